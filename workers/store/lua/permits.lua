-- Permits and the gate of one account.
--
--   P permits:get, P permits:post   ZSET  permit -> ms when its slot is free again
--   P in_flight                     ZSET  permit of a call not answered yet -> ms of its deadline
--   P gate                          HASH  state   open (or absent), locked, denied, unreachable, probing
--                                         until   ms: when the gate opens, or the probe's lease ends
--                                         why     limited, throttled, denied, clock, unreachable: what closed it last
--                                         epoch   how often it was closed, except as unreachable
--                                         probe   permit of the last call that could open it
--                                         alone   after a reopening: 'next', or the write that goes first
--                                         alone_until  ms: end of that write's lease
--                                         opened  ms of the last opening; the limits grow from there for a window
--                                         share, share_until  thousandths of the limits allowed, and until when
--                                         failures, since  calls without an answer in a row, ms of the first one
--
-- A permit occupies its slot until one window and a guard after the answer to its call. Two calls in one slot therefore
-- arrive more than a window apart, whatever the latency, so no window of any alignment has more calls than the limit.
-- An id identifies one call: a repeated call needs another id.
--
-- budget: {get, post, window, guard, lockout, lockguard, in_flight, grace}, see `argument` in permits.py

local HOUR = 3600000
-- Ask again after this time while a probe or too many calls are under way.
local SOON = 100
-- A write may probe only if no read did for this time; without it, a store with nothing but plans would wait forever.
local PATIENCE = 2000
-- After this many calls without an answer in a row, HappyFox counts as unreachable. A ticket that cannot be read is not
-- enough: its turn then makes a call that is known to work (check_api in engine/context.py).
local FAILURES = 3
-- How long no call is made then, doubled by each failed probe up to a limit.
local FIRST_PAUSE, LONGEST_PAUSE = 5000, 60000
-- The outcomes of calls to which HappyFox gave no answer.
local UNANSWERED = {failed = true, doubt = true, unreachable = true}

-- The share of the slots that a class may use. `first` is for the first reads of interactive turns: they leave some
-- slots to the later reads of running turns, or new turns could use all slots and none would finish. Calls of clients
-- leave some to the turns of the same class: a program that asks without a pause would use every slot that becomes free.
local SHARES = {interactive = 1, first = 0.95, normal = 0.9, bulk = 0.7,
  ['client-interactive'] = 0.9, ['client-normal'] = 0.8, ['client-bulk'] = 0.7}
-- In each of this many parts of a window, clients may use as many parts of their share. If they used all of it at once,
-- no slot would become free for the rest of the window, and turns would have to wait for as long.
local CLIENT_PARTS = 8

-- The gate of most accounts was never closed.
local OPEN = {state = 'open', closed_until = 0, alone_until = 0, opened = -HOUR * 1000, share = 1000, share_until = 0,
  failures = 0}

local function never_closed(P)
  return redis.call('EXISTS', P .. 'gate') == 0
end

local function read_gate(P)
  if never_closed(P) then return OPEN end
  local v = redis.call('HMGET', P .. 'gate', 'state', 'until', 'why', 'probe', 'alone', 'alone_until', 'opened',
    'share', 'share_until', 'failures', 'since')
  return {state = v[1] or 'open', closed_until = tonumber(v[2] or 0), why = v[3], probe = v[4], alone = v[5],
    alone_until = tonumber(v[6] or 0), opened = tonumber(v[7] or -HOUR * 1000), share = tonumber(v[8] or 1000),
    share_until = tonumber(v[9] or 0), failures = tonumber(v[10] or 0), since = tonumber(v[11] or 0)}
end

-- Return the class under which a turn of this class reads first.
function permits.first(class)
  return class == 'interactive' and 'first' or class
end

local function share_of(limit, class)
  return math.max(1, math.floor(limit * SHARES[class] + 0.000001))
end

-- Return how many slots of a method a class may use now: its share of the limit, of the lowered share, of the ramp.
local function limit_of(budget, gate, now, method, class)
  local limit = budget[method]
  -- At least two: a turn that needs a second read would never end if its first one used the only slot.
  if now < gate.share_until then limit = math.max(limit * gate.share / 1000, math.min(limit, 2)) end
  if now < gate.opened + budget.window then limit = limit * math.max(now - gate.opened, 0) / budget.window end
  return budget[method] < 1 and 0 or share_of(limit, class)
end

-- Return how long the gate waits for the answer to a probe.
local function probe_pause(budget)
  return math.min(15000, budget.lockout)
end

-- Return the gate's answer to a call: wait and why; or 0 and 'probe' or 'alone' if this call is that one; or 0. A probe
-- may have failed only because of its ticket, so its check, if the call has this `id`, is the next probe.
local function pass_gate(gate, now, method, id)
  if gate.state ~= 'open' then
    if id and gate.probe and id == gate.probe .. '-check' then return 0, 'probe' end
    local probing = gate.state == 'probing'
    local why = (gate.why == 'denied' or gate.why == 'unreachable') and gate.why or probing and 'probe'
      or gate.why == 'clock' and 'clock' or 'gate'
    local left = gate.closed_until - now
    if left > 0 then return probing and math.min(why == 'unreachable' and PATIENCE or SOON, left) or left, why end
    if method ~= 'get' and now < gate.closed_until + PATIENCE then return SOON, why end
    return 0, 'probe'
  end
  if method ~= 'get' and gate.alone then
    if gate.alone ~= 'next' and now < gate.alone_until then return SOON, 'probe' end
    return 0, 'alone'
  end
  return 0
end

-- The calls of a worker that has died are never settled: nobody knows whether they have left. They count as unknown this
-- long (ms) after their deadline.
permits.LATE = 60000

-- Forget the calls whose deadline was before `till` (ms).
function permits.expire(P, now, till)
  local ids, counted = redis.call('ZRANGEBYSCORE', P .. 'in_flight', '-inf', till), {}
  for _, id in ipairs(ids) do
    local method = redis.call('ZSCORE', P .. 'permits:get', id) and 'get' or 'post'
    local field = 'call ' .. method .. ' unknown'
    counted[field] = (counted[field] or 0) + 1
    redis.call('ZREM', P .. 'in_flight', id)
  end
  if ids[1] then figures.add(P, now, cmsgpack.pack(counted)) end
end

-- Count the future members of a set of times. Past ones are removed only when `most` is reached, which limits the set
-- and saves a command in the common case.
local function count(key, now, most)
  local members = redis.call('ZCARD', key)
  if members < most then return members end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end

local function is_of_client(class)
  return string.find(class, '^client') ~= nil
end

-- Return how long (ms) a client's call has to wait because too many calls were answered in the last part of a window.
local function wait_for_part(now, budget, key, limit)
  local part, till = math.floor(budget.window / CLIENT_PARTS), now + budget.window + budget.guard
  local since = '(' .. string.format('%.0f', till - part)
  local most = math.max(1, math.floor(limit / CLIENT_PARTS))
  local recent = redis.call('ZCOUNT', key, since, till)
  if recent < most then return 0 end
  local oldest = redis.call('ZRANGEBYSCORE', key, since, till, 'WITHSCORES', 'LIMIT', recent - most, 1)
  return math.max(1, math.min(part, oldest[2] - (till - part)))
end

-- Return wait and why for one more call of a class; wait is 0 if there is room.
local function wait_for_slot(P, now, budget, gate, method, class)
  if redis.call('ZCARD', P .. 'in_flight') >= budget.in_flight then
    permits.expire(P, now, now)
    if redis.call('ZCARD', P .. 'in_flight') >= budget.in_flight then return SOON, 'flight' end
  end
  local key, limit = P .. 'permits:' .. method, limit_of(budget, gate, now, method, class)
  local used = count(key, now, limit)
  if used < limit then
    local wait = is_of_client(class) and wait_for_part(now, budget, key, limit) or 0
    return wait, wait > 0 and 'budget' or nil
  end
  local wait = budget.window + budget.guard
  if limit > 0 then
    local frees = redis.call('ZRANGE', key, used - limit, used - limit, 'WITHSCORES')
    wait = math.min(wait, frees[2] - now)
  end
  if now < gate.opened + budget.window then
    wait = math.min(wait, math.ceil(budget.window / math.max(budget[method], 1)))
  end
  return math.max(1, wait), 'budget'
end

-- Take a slot until after the call's deadline, when no answer can be reported any more.
local function take_slot(P, now, budget, method, id, life)
  redis.call('ZADD', P .. 'permits:' .. method, now + life + budget.grace + budget.window + budget.guard, id)
  redis.call('ZADD', P .. 'in_flight', now + life, id)
end

-- Free the slot of a call answered `age` ms ago one window and a guard after the answer. Return whether the call was
-- under way until now.
local function slot_answered(P, now, budget, method, id, age)
  redis.call('ZADD', P .. 'permits:' .. method, now - age + budget.window + budget.guard, id)
  return redis.call('ZREM', P .. 'in_flight', id) == 1
end

-- Return whether a class certainly has a slot: slots that have become free still count as used.
function permits.has_room(P, budget, method, class)
  return budget[method] >= 1 and redis.call('ZCARD', P .. 'permits:' .. method) < share_of(budget[method], class)
end

-- Take a slot if the gate was never closed and a slot is certainly free. A permit asked for twice is one member.
function permits.grant_quickly(P, now, budget, method, id, class, life)
  if not never_closed(P) or redis.call('ZCARD', P .. 'in_flight') >= budget.in_flight
    or not permits.has_room(P, budget, method, class) then
    return false
  end
  take_slot(P, now, budget, method, id, life)
  return true
end

-- Take a slot for the call `id`, whose deadline is `life` ms from now. Return wait and why: 0 if granted, else the ms
-- until it is worth asking again, because of 'budget', 'gate', 'clock', 'flight', 'probe', 'denied' or 'unreachable'.
function permits.grant(P, now, budget, method, id, class, life)
  local slot = redis.call('ZSCORE', P .. 'permits:' .. method, id)
  if slot and tonumber(slot) > now then return 0, '' end
  local gate = read_gate(P)
  local wait, role = pass_gate(gate, now, method, id)
  if wait > 0 then return math.ceil(wait), role end
  local full, why = wait_for_slot(P, now, budget, gate, method, class)
  if full > 0 then return math.ceil(full), why end
  if role == 'probe' then
    redis.call('HSET', P .. 'gate', 'state', 'probing', 'probe', id, 'until', now + math.max(life, probe_pause(budget)))
  elseif role == 'alone' then
    redis.call('HSET', P .. 'gate', 'alone', id, 'alone_until', now + math.max(life, probe_pause(budget)))
  end
  take_slot(P, now, budget, method, id, life)
  return 0, ''
end

-- Close the gate until `till` for calls of both methods; a later end stays.
local function close(P, gate, now, state, why, till)
  if till <= now then return end
  if (gate.state == 'locked' or gate.state == 'denied') and gate.closed_until >= till then return end
  if state == 'denied' and gate.state == 'locked' and now < gate.closed_until then return end
  redis.call('HSET', P .. 'gate', 'state', state, 'why', why, 'until', till)
  redis.call('HDEL', P .. 'gate', 'probe', 'alone', 'alone_until')
  redis.call('HINCRBY', P .. 'gate', 'epoch', 1)
end

-- The account is over its limit: close the gate for a lockout and its guard, or the longer wait that HappyFox asked
-- for, at most an hour. Another client is calling, so halve our share for an hour, once per lockout: a 429 for a probe
-- or for the first write after it belongs to the old lockout.
local function limited(P, gate, now, budget, why, age, wait)
  local at = now - age
  local till = at + math.max(budget.lockout + budget.lockguard, math.min(wait, HOUR))
  if gate.state == 'open' and not gate.alone and till > now then
    local share = now < gate.share_until and gate.share or 1000
    redis.call('HSET', P .. 'gate', 'share', math.max(125, math.floor(share / 2)), 'share_until', now + HOUR)
  end
  close(P, gate, now, 'locked', why, till)
end

-- The probe has ended: an answer opens the gate, anything else closes it for a while. If the probe was not sent, the
-- next call may probe at once, even a write: a turn that resumes a new plan returns its read permit unused.
local function probed(P, gate, now, budget, outcome)
  if outcome == 'answered' or (outcome == 'forbidden' and gate.why ~= 'denied') then
    redis.call('HSET', P .. 'gate', 'state', 'open', 'alone', 'next', 'opened', now)
    redis.call('HDEL', P .. 'gate', 'probe', 'until')
    return
  end
  local pause = outcome == 'unsent' and -PATIENCE or probe_pause(budget)
  if outcome == 'forbidden' then pause = math.min(60000, budget.lockout) end
  local state = (gate.why == 'denied' or gate.why == 'unreachable') and gate.why or 'locked'
  redis.call('HSET', P .. 'gate', 'state', state, 'until', now + pause)
end

-- HappyFox has answered a call: forget earlier failures, and open the gate if they closed it.
local function answered(P, gate)
  redis.call('HDEL', P .. 'gate', 'failures', 'since')
  if gate.why == 'unreachable' and gate.state ~= 'open' then
    redis.call('HDEL', P .. 'gate', 'state', 'until', 'why', 'probe')
    gate.state, gate.why, gate.probe = 'open', false, false
  end
end

-- HappyFox has not answered a call, while the gate was open or as its probe. Return whether it counts as unreachable:
-- then there are few probes until one is answered.
local function unanswered(P, gate, now, budget, id)
  local failures = redis.call('HINCRBY', P .. 'gate', 'failures', 1)
  redis.call('HSETNX', P .. 'gate', 'since', now)
  if failures < FAILURES or (gate.state ~= 'open' and gate.why ~= 'unreachable') then return false end
  local pause = math.min(FIRST_PAUSE * 2 ^ math.min(failures - FAILURES, 10), LONGEST_PAUSE)
  redis.call('HSET', P .. 'gate', 'state', 'unreachable', 'why', 'unreachable', 'probe', id,
    'until', now + math.min(pause, budget.lockout))
  redis.call('HDEL', P .. 'gate', 'alone', 'alone_until')
  return true
end

-- Settle the permit of a call. Outcomes, with `age` the ms since its answer arrived:
--   answered   HappyFox worked                      forbidden  403 on a read: the same, unless the key is denied
--   limited    429: the account is locked out       throttled  503 with a wait: the same
--   denied     the key is: closed until a probe succeeds
--   unsent     nothing sent: the slot is free       unreachable  the same, because HappyFox could not be reached
--   failed     5xx: HappyFox counted it             doubt      no answer: the slot stays past its deadline
-- The last three close the gate when they repeat. `wait` is what the answer asked for, in ms. Settling twice is
-- harmless; a deleted permit is added again.
local function release(P, now, budget, method, id, outcome, age, wait, first_time)
  local key, gate = P .. 'permits:' .. method, read_gate(P)
  if outcome == 'unsent' or outcome == 'unreachable' then
    redis.call('ZREM', key, id)
  elseif outcome == 'doubt' then
    redis.call('ZADD', key, 'NX', now + budget.grace + budget.window + budget.guard, id)
  else
    slot_answered(P, now, budget, method, id, age)
  end
  local probe = gate.state == 'probing' and gate.probe == id
  if UNANSWERED[outcome] then
    if first_time and (gate.state == 'open' or probe) and unanswered(P, gate, now, budget, id) then return end
  elseif outcome ~= 'unsent' and gate.failures > 0 and now - age >= gate.since then
    answered(P, gate)
    probe = probe and gate.state == 'probing'
  end
  if outcome == 'limited' or outcome == 'throttled' then return limited(P, gate, now, budget, outcome, age, wait) end
  if outcome == 'denied' then
    return close(P, gate, now, 'denied', 'denied', now - age + math.min(60000, budget.lockout))
  end
  if probe then return probed(P, gate, now, budget, outcome) end
  if gate.state == 'open' and gate.alone == id then
    if outcome == 'answered' or outcome == 'forbidden' then
      redis.call('HDEL', P .. 'gate', 'alone', 'alone_until')
    else
      redis.call('HSET', P .. 'gate', 'alone', 'next')
    end
  end
end

-- Settle the permit of a call, as described above. Return `counted`, the figures of the call, the first time, else ''.
function permits.release(P, now, budget, method, id, outcome, age, wait, counted)
  age, wait = math.max(0, tonumber(age) or 0), math.max(0, tonumber(wait) or 0)
  local first_time
  if outcome == 'answered' and never_closed(P) then
    first_time = slot_answered(P, now, budget, method, id, age)
  else
    first_time = redis.call('ZREM', P .. 'in_flight', id) == 1
    release(P, now, budget, method, id, outcome, age, wait, first_time)
  end
  return first_time and counted or ''
end

-- Return wait and why for a turn of this class, 0 if it may begin. Most turns write: without room for a write, a turn
-- would only read, decide and wait while its plan ages. The gate opens for reads before writes.
function permits.wait_for_turn(P, now, budget, class)
  local gate = read_gate(P)
  local wait, role = pass_gate(gate, now, 'get')
  if wait > 0 then return math.ceil(wait), role end
  local full, why = wait_for_slot(P, now, budget, gate, 'get', permits.first(class))
  if full == 0 and budget.post > 0 then full, why = wait_for_slot(P, now, budget, gate, 'post', class) end
  return full, why
end

-- Count the future members of a set of times without changing it.
local function count_future(key, now)
  return redis.call('ZCOUNT', key, '(' .. string.format('%.0f', now), '+inf')
end

-- Return how many calls of this method and class would be granted now.
function permits.available(P, now, budget, method, class)
  local gate = read_gate(P)
  local wait, role = pass_gate(gate, now, method)
  if wait > 0 or wait_for_slot(P, now, budget, gate, method, class) > 0 then return 0 end
  if role then return 1 end
  local free = limit_of(budget, gate, now, method, class) - count_future(P .. 'permits:' .. method, now)
  return math.min(free, budget.in_flight - count_future(P .. 'in_flight', now))
end

-- permit: ask for a permit.
-- ARGV    1 now  2 budget (JSON)  3 method (get | post)  4 permit  5 class  6 ms until the call's deadline
-- Return  {wait (ms), 0 if granted; why}
register('permit', {args = 6, numbers = {6}, keys = {PERMITS}}, function(P, now, ARGV)
  local budget, life = decode_budget(ARGV[2]), tonumber(ARGV[6])
  if not is_of_client(ARGV[5]) and permits.grant_quickly(P, now, budget, ARGV[3], ARGV[4], ARGV[5], life) then
    return {0, ''}
  end
  return {permits.grant(P, now, budget, ARGV[3], ARGV[4], ARGV[5], life)}
end)

-- release: settle a permit.
-- ARGV    1 now  2 budget (JSON)  3 method  4 permit  5 outcome  6 age of the answer (ms)
--         7 wait HappyFox asked for (ms)  8 figures of the call or ''
-- Return  1
register('release', {args = 8, numbers = {6, 7}, keys = {PERMITS}}, function(P, now, ARGV)
  local budget, counted = decode_budget(ARGV[2]), ARGV[8]
  figures.add(P, now, permits.release(P, now, budget, ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], counted))
  return 1
end)

-- Close the gate for one window, because the store's clock or data cannot be trusted, and empty all slots: their times
-- may be hours ahead, and after the window no earlier call counts. A running call takes its slot again when it is
-- settled.
function permits.pause(P, now, budget)
  local gate = read_gate(P)
  permits.expire(P, now, '+inf')
  redis.call('DEL', P .. 'permits:get', P .. 'permits:post')
  -- A lockout keeps its end, unless the clock was set back during it.
  if gate.state == 'locked' and gate.closed_until - now > HOUR then gate.closed_until = now end
  close(P, gate, now, 'locked', 'clock', now + budget.window + budget.guard)
end

-- close_gate: close the gate for one window.
-- ARGV    1 now  2 budget (JSON)
-- Return  1
register('close_gate', {args = 2, keys = {PERMITS}}, function(P, now, ARGV)
  permits.pause(P, now, decode_budget(ARGV[2]))
  return 1
end)

-- forecast: report how much of the budget is used and what the gate does; change nothing.
-- ARGV    1 now  2 budget (JSON)
-- Return  {gets used, gets allowed, posts used, posts allowed, in flight, state, why, ms to reopen, epoch, share in
--         thousandths, ms since when HappyFox does not answer or 0}
register('forecast', {args = 2}, function(P, now, ARGV)
  local budget, gate = decode_budget(ARGV[2]), read_gate(P)
  return {
    count_future(P .. 'permits:get', now), limit_of(budget, gate, now, 'get', 'interactive'),
    count_future(P .. 'permits:post', now), limit_of(budget, gate, now, 'post', 'interactive'),
    count_future(P .. 'in_flight', now), gate.state, gate.why or '',
    gate.state == 'open' and 0 or math.max(0, gate.closed_until - now),
    (tonumber(redis.call('HGET', P .. 'gate', 'epoch')) or 0), now < gate.share_until and gate.share or 1000,
    gate.why == 'unreachable' and gate.since or 0,
  }
end, 'no-writes')

-- Return one answer, nil if there is none or the key has the wrong type: it must not hide all others.
local function readable(...)
  local found = redis.pcall(...)
  return type(found) ~= 'table' and found or nil
end

-- backlog: count the waiting work of an account; change nothing. Lanes that only wait for a timer do not count.
-- ARGV    1 now  2 how many lanes to sample at most
-- Return  {lanes, lanes due, lanes sampled, calls planned in them, how many of them have a plan, events in them, ms when
--         the oldest of these came or 0, ms since when the lane is due that is due longest or 0}
register('backlog', {args = 2, numbers = {2}}, function(P, now, ARGV)
  local timers = count_future(P .. 'schedule:timers', now)
  local sampled, planned, decided, events, oldest = 0, 0, 0, 0, 0
  for _, lane in ipairs(redis.call('ZRANGE', P .. 'schedule', 0, ARGV[2] - 1)) do
    local timer = timers > 0 and redis.call('ZSCORE', P .. 'schedule:timers', lane)
    if not (timer and tonumber(timer) > now) then
      sampled = sampled + 1
      local calls = tonumber(readable('HGET', P .. 'turn:' .. lane, 'calls'))
      if calls then planned, decided = planned + calls, decided + 1 end
    end
    local first = readable('LINDEX', P .. 'lane:' .. lane, 0)
    if first then
      events = events + redis.call('LLEN', P .. 'lane:' .. lane)
      local at = tonumber(readable('HGET', P .. 'event:' .. first, 'at'))
      if at and (oldest == 0 or at < oldest) then oldest = at end
    end
  end
  local due = redis.call('ZCOUNT', P .. 'schedule', '-inf', now)
  local first = redis.call('ZRANGE', P .. 'schedule', '-inf', now, 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  return {redis.call('ZCARD', P .. 'schedule') - timers, due, sampled, planned, decided, events, oldest,
    tonumber(first[2] or 0)}
end, 'no-writes')
