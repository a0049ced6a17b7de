-- include: lib/slots
-- Permits and the gate of one account, for use inside other scripts.
--
--   P permits:get, P permits:post   ZSET  permit -> ms when its slot is free again
--   P flight                        ZSET  permit of a call not answered yet -> ms of its deadline
--   P gate                          HASH  state   open (or absent), locked, denied, probing
--                                         until   ms: end of the closing, or of the probe's lease
--                                         why     limited, throttled, denied, clock: what closed it last
--                                         epoch   how often it was closed
--                                         probe   permit of the one call that may open it
--                                         alone   after a reopening: 'next', or the write that goes first
--                                         alone_until  ms: end of that write's lease
--                                         opened  ms of the last opening; the limits grow from there for a window
--                                         share, share_until  thousandths of the limits allowed, and until when
--                                         denials reads refused for want of a right, in a row
--
-- A permit holds its slot until one window and a guard after the answer to its call. Two calls in one slot therefore
-- arrive more than a window apart, whatever the latency, so that no window of any alignment holds more than the limit.
-- An id stands for one call: a call that is made again needs another id.

local HOUR = 3600000
-- While a probe or too many calls are under way, this is when asking again makes sense.
local SOON = 100
-- A write may probe only when no read came for it; a store full of finished plans would wait for ever otherwise.
local PATIENCE = 2000
-- A single ticket may be closed to the API user; so many refused reads in a row say that it is the key.
local DENIALS = 3

-- Most accounts never saw their gate closed; for them this is all it takes.
local OPEN = {state = 'open', till = 0, alone_till = 0, opened = -HOUR * 1000, share = 1000, share_till = 0, denials = 0}

local function permits_gate(P)
  if slots_open(P) then return OPEN end
  local v = redis.call('HMGET', P .. 'gate', 'state', 'until', 'why', 'probe', 'alone', 'alone_until', 'opened',
    'share', 'share_until', 'denials')
  return {state = v[1] or 'open', till = tonumber(v[2] or 0), why = v[3], probe = v[4], alone = v[5],
    alone_till = tonumber(v[6] or 0), opened = tonumber(v[7] or -HOUR * 1000), share = tonumber(v[8] or 1000),
    share_till = tonumber(v[9] or 0), denials = tonumber(v[10] or 0)}
end

-- How long an unanswered probe is left alone.
local function permits_again(B)
  return math.min(15000, B.lockout)
end

-- The slots of a method that a class may use now: its part of the limit, of the lowered share, of the ramp.
local function permits_limit(B, gate, now, method, class)
  local limit = B[method]
  if now < gate.share_till then limit = limit * gate.share / 1000 end
  if now < gate.opened + B.window then limit = limit * math.max(now - gate.opened, 0) / B.window end
  return B[method] < 1 and 0 or slots_part(limit, class)
end

-- What the gate says to a call: wait and why, or 0 and 'probe' or 'alone' if this call is the one, or 0.
local function permits_pass(gate, now, method)
  if gate.state ~= 'open' then
    local probing = gate.state == 'probing'
    local why = gate.why == 'denied' and 'denied' or probing and 'probe' or 'gate'
    if now < gate.till then return probing and math.min(SOON, gate.till - now) or gate.till - now, why end
    if method ~= 'get' and now < gate.till + PATIENCE then return SOON, why end
    return 0, 'probe'
  end
  if method ~= 'get' and gate.alone then
    if gate.alone ~= 'next' and now < gate.alone_till then return SOON, 'probe' end
    return 0, 'alone'
  end
  return 0
end

-- How many members of a set of times are still to come. Those that are over go only when `most` is reached, which keeps
-- the set bounded and spares the common call a command.
local function permits_count(key, now, most)
  local count = redis.call('ZCARD', key)
  if count < most then return count end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end

-- Room for one more call of a class: wait and why, wait 0 if there is.
local function permits_space(P, now, B, gate, method, class)
  if permits_count(P .. 'flight', now, B.in_flight) >= B.in_flight then return SOON, 'flight' end
  local key, limit = P .. 'permits:' .. method, permits_limit(B, gate, now, method, class)
  local used = permits_count(key, now, limit)
  if used < limit then return 0 end
  local wait = B.window + B.guard
  if limit > 0 then wait = math.min(wait, redis.call('ZRANGE', key, used - limit, used - limit, 'WITHSCORES')[2] - now) end
  if now < gate.opened + B.window then wait = math.min(wait, math.ceil(B.window / math.max(B[method], 1))) end
  return math.max(1, wait), 'budget'
end

-- Takes a slot for the call `id`, whose deadline is `life` ms from now. Answers wait and why: 0 is granted, else the ms
-- until it is worth asking again, because of 'budget', 'gate', 'flight', 'probe' or 'denied'.
local function permits_grant(P, now, B, method, id, class, life)
  if method ~= 'get' then method = 'post' end
  local key = P .. 'permits:' .. method
  local slot = redis.call('ZSCORE', key, id)
  if slot and tonumber(slot) > now then return 0, '' end
  life = tonumber(life)
  local gate = permits_gate(P)
  local wait, role = permits_pass(gate, now, method)
  if wait > 0 then return math.ceil(wait), role end
  local full, why = permits_space(P, now, B, gate, method, class)
  if full > 0 then return math.ceil(full), why end
  if role == 'probe' then
    redis.call('HSET', P .. 'gate', 'state', 'probing', 'probe', id, 'until', now + math.max(life, permits_again(B)))
  elseif role == 'alone' then
    redis.call('HSET', P .. 'gate', 'alone', id, 'alone_until', now + math.max(life, permits_again(B)))
  end
  slots_take(P, now, B, method, id, life)
  return 0, ''
end

-- Closes the gate till then, for calls of both methods; a closing that ends later stays.
local function permits_close(P, gate, now, state, why, till)
  if till <= now then return end
  if (gate.state == 'locked' or gate.state == 'denied') and gate.till >= till then return end
  if state == 'denied' and gate.state == 'locked' and now < gate.till then return end
  redis.call('HSET', P .. 'gate', 'state', state, 'why', why, 'until', till)
  redis.call('HDEL', P .. 'gate', 'probe', 'alone', 'alone_until')
  redis.call('HINCRBY', P .. 'gate', 'epoch', 1)
end

-- The account is over its limit: closed for a lockout and its guard or the longer wait asked for, an hour at most.
-- Somebody else is calling, so what we allow ourselves is halved for an hour, once for each lockout: a 429 while it is
-- probed, by the first write too, is still the old one.
local function permits_limited(P, gate, now, B, why, age, wait)
  local at = now - age
  local till = at + math.max(B.lockout + B.lockguard, math.min(wait, HOUR))
  if gate.state == 'open' and not gate.alone and till > now then
    local share = now < gate.share_till and gate.share or 1000
    redis.call('HSET', P .. 'gate', 'share', math.max(125, math.floor(share / 2)), 'share_until', now + HOUR)
  end
  permits_close(P, gate, now, 'locked', why, till)
end

-- The probe came back: an answer opens the gate, anything else closes it for a while. One that never left lets the next
-- call try at once, a write too: a turn that resumes a young plan takes a permit to read and gives it back unused.
local function permits_probed(P, gate, now, B, outcome)
  if outcome == 'answered' or (outcome == 'forbidden' and gate.why ~= 'denied') then
    redis.call('HSET', P .. 'gate', 'state', 'open', 'alone', 'next', 'opened', now)
    redis.call('HDEL', P .. 'gate', 'probe', 'until')
    return
  end
  local pause = outcome == 'unsent' and -PATIENCE or permits_again(B)
  if outcome == 'forbidden' then pause = math.min(60000, B.lockout) end
  redis.call('HSET', P .. 'gate', 'state', gate.why == 'denied' and 'denied' or 'locked', 'until', now + pause)
  redis.call('HDEL', P .. 'gate', 'probe')
end

-- Settles the permit of a call. Outcomes, with `age` the ms since its answer arrived:
--   answered   HappyFox worked                      failed     5xx: it arrived, but says nothing about the gate
--   limited    429: the account is locked out       throttled  503 with a wait: the same
--   denied     401: closed until a probe is let in  forbidden  403 on a read: the same when it repeats
--   unsent     no byte left: the slot is free       doubt      no answer: the slot stays past its deadline
-- `wait` is what the answer asked for, in ms. Settling twice does no harm; a permit already dropped is taken up again.
local function permits_release(P, now, B, method, id, outcome, age, wait)
  if method ~= 'get' then method = 'post' end
  age, wait = math.max(0, tonumber(age) or 0), math.max(0, tonumber(wait) or 0)
  local key, gate = P .. 'permits:' .. method, permits_gate(P)
  if outcome == 'unsent' then
    redis.call('ZREM', key, id)
    redis.call('ZREM', P .. 'flight', id)
  elseif outcome == 'doubt' then
    redis.call('ZADD', key, 'NX', now + B.grace + B.window + B.guard, id)
    redis.call('ZREM', P .. 'flight', id)
  else
    slots_answered(P, now, B, method, id, age)
  end
  if outcome == 'limited' or outcome == 'throttled' then return permits_limited(P, gate, now, B, outcome, age, wait) end
  if outcome == 'forbidden' and method == 'get' then
    redis.call('HSET', P .. 'gate', 'denials', gate.denials + 1)
    if gate.denials + 1 >= DENIALS and gate.state == 'open' then outcome = 'denied' end
  elseif outcome == 'answered' and method == 'get' and gate.denials > 0 then
    redis.call('HDEL', P .. 'gate', 'denials')
  end
  if outcome == 'denied' then
    return permits_close(P, gate, now, 'denied', 'denied', now - age + math.min(60000, B.lockout))
  end
  if gate.state == 'probing' and gate.probe == id then return permits_probed(P, gate, now, B, outcome) end
  if gate.state == 'open' and gate.alone == id then
    if outcome == 'answered' or outcome == 'forbidden' then
      redis.call('HDEL', P .. 'gate', 'alone', 'alone_until')
    else
      redis.call('HSET', P .. 'gate', 'alone', 'next')
    end
  end
end

-- Closes the gate for one window and begins with empty slots: times of another clock may lie hours ahead, and by the end
-- of it no earlier call is in any window. Those still under way take their slots up again when they are settled.
local function permits_distrust(P, now, B)
  local gate = permits_gate(P)
  redis.call('DEL', P .. 'permits:get', P .. 'permits:post', P .. 'flight')
  -- A lockout keeps its end, unless the clock was set back under it.
  if gate.state == 'locked' and gate.till - now > HOUR then gate.till = now end
  permits_close(P, gate, now, 'locked', 'clock', now + B.window + B.guard)
end

-- What a permit of this method and class would be answered now, without taking one: wait, why, and for wait 0 how many
-- such calls there is room for, so that no more work is handed out than that.
local function permits_wait(P, now, B, method, class)
  if method ~= 'get' then method = 'post' end
  local gate = permits_gate(P)
  local wait, role = permits_pass(gate, now, method)
  if wait > 0 then return math.ceil(wait), role, 0 end
  local full, why = permits_space(P, now, B, gate, method, class)
  if full > 0 then return math.ceil(full), why, 0 end
  if role then return 0, '', 1 end
  local past = '(' .. string.format('%.0f', now)
  local used = redis.call('ZCOUNT', P .. 'permits:' .. method, past, '+inf')
  local flying = redis.call('ZCOUNT', P .. 'flight', past, '+inf')
  return 0, '', math.min(permits_limit(B, gate, now, method, class) - used, B.in_flight - flying)
end
