-- Leases and claims: which worker has a lane, and what its turn starts from.
--
--   P leases   HASH  lane     -> token of its lease, '<number>-<nonce>'
--                    @<nonce> -> what the claim with this nonce got, while the lease runs: '<lane> <class> <events taken> '
--                                and, if it was made while settling, the token that was settled. A repeated call,
--                                whose first answer was lost, is answered from it.

-- A lane that has waited for this many windows may use the reserved permits in one of EVERY claims, so that it does not
-- wait forever behind more urgent work.
local AGED, EVERY = 5, 10
-- With newest first, every few claims take the oldest lane, so that it does not wait forever.
local OLDEST_EVERY = 4
-- A lane that cannot be read is tried again after this time.
local UNREADABLE_PAUSE = 600000
-- Its dead letter, which is written again at each attempt, is kept for this time.
local UNREADABLE_LIFE = 7 * 86400000

function leases.nonce(token)
  return string.match(token, '%-(.*)')
end

-- Return whether a token still proves the lease of a lane.
function leases.valid(P, lane, token)
  return redis.call('HGET', P .. 'leases', lane) == token
end

-- Return whether a lease is a client's, see clients.lua.
function leases.of_client(token)
  return string.sub(leases.nonce(token) or '', 1, 7) == 'client.'
end

-- Return how many of a lane's events, from its first one, a running turn has taken.
function leases.taken(P, lane)
  local token = redis.call('HGET', P .. 'leases', lane)
  if not token or leases.of_client(token) then return 0 end
  local claim = redis.call('HGET', P .. 'leases', '@' .. leases.nonce(token)) or ''
  return tonumber(string.match(claim, '^%S+ %S+ (%d+) ')) or math.huge
end

function leases.delete(P, lane, token)
  redis.call('HDEL', P .. 'leases', lane, '@' .. leases.nonce(token))
end

-- Return the pauses, or false if there never were any, and whether the whole account is paused: then none of its lanes
-- is claimed. The first value is {of the account, of its routers, how many tickets, how many have ended}.
local function read_pauses(P)
  local paused = redis.call('HMGET', P .. 'paused', 'account', 'routers', 'tickets', 'ended')
  if not (paused[1] or paused[2] or paused[3] or paused[4]) then return false, false end
  return paused, paused[1] and not cjson.decode(paused[1]).skip
end

-- Raise an error if a value is not a number: workers would fail at every claim.
local function check_number(value, name, event)
  if value and value ~= '' and not (#value < 19 and string.match(value, '^%-?%d+$')) then
    error('`' .. name .. '` of ' .. (event and 'event ' .. event or 'the turn') .. ' is not a number', 0)
  end
end

-- Return the data a turn starts from:
--   {1, lane, token, now, turn, snapshot or false, events, epoch of the store or false, class, pauses or false, memory,
--    created, writes, sweep or false}
--     turn      flat list of the fields of `P turn:<ticket>`, see turns.lua; empty at the turn's first claim
--     events    list of what a turn needs of each event, false for what it does not have; of a hook also the body
--     epoch     for a ticket that has no snapshot yet
--     pauses    {of the account, of its routers, of the ticket, how many have ended}, each as in `paused`
--     memory    as memory.notice returns it
--     created   0 if we have certainly not created the ticket, and no creation is under way in the account; else 1. Not
--               checked if there is a snapshot, because a ticket is hardly created twice
--     writes    what clients of the gateway have written to the ticket lately, see clients.lua
--     sweep     the state of the account's sweep, see periodic.lua, for a ticket that has no snapshot yet and is read
-- An error leaves the lane as it was.
local function read_lane(P, now, lane, wanted, class, doubt)
  local most, paused = wanted.most, wanted.paused
  if not string.match(lane, '^%d+$') then error('the schedule contains a lane that is not a ticket number', 0) end
  local turn, ids, digests, expired = redis.call('HGETALL', P .. 'turn:' .. lane), nil, {}, false
  for n = 1, #turn, 2 do
    if turn[n] == 'retry' or turn[n] == 'claims' then check_number(turn[n + 1], turn[n]) end
    if turn[n] == 'events' then ids = cjson.decode(turn[n + 1]) end
  end
  -- A frozen turn keeps its events. Any other takes all that wait, because it has had no effects yet.
  local events = ids or redis.call('LRANGE', P .. 'lane:' .. lane, 0, most - 1)
  for n, id in ipairs(events) do
    if type(id) ~= 'string' or not string.match(id, '^[\33-\126]+$') then
      error('the lane contains an id that no event can have', 0)
    end
    -- In the order in which claims.py reads it, with the id last.
    local event = redis.call('HMGET', P .. 'event:' .. id, 'at', 'kind', 'update', 'update_id', 'source', 'since',
      'pending', 'handler', 'digest')
    check_number(event[1], 'at', id)
    check_number(event[4], 'update_id', id)
    check_number(event[6], 'since', id)
    if event[9] then digests[#digests + 1] = event[9] end
    expired = expired or not event[1]
    event[10] = id
    if event[5] == 'hook' then event[11] = redis.call('HGET', P .. 'event:' .. id, 'body') end
    events[n] = event
  end
  local snapshot = redis.call('GET', P .. 'snapshot:' .. lane)
  if paused and paused[3] then paused[3] = redis.call('HGET', P .. 'paused', 'ticket:' .. lane) end
  local epoch = not snapshot and redis.call('GET', P .. 'store_epoch')
  -- A sweep that cannot be read must not stop turns.
  local sweep = not snapshot and wanted.read and redis.pcall('HGET', P .. 'periodic_tasks', ':sweep')
  if type(sweep) == 'table' then sweep = false end
  local created = (snapshot or redis.call('EXISTS', P .. 'created:' .. lane, P .. 'drafts') > 0) and 1 or 0
  local writes = redis.call('LRANGE', P .. 'client_writes:' .. lane, 0, -1)
  -- No event of a task may join one of a claimed lane. Only these writes are left, and the first one fails or none.
  if ids or #events == most then
    for _, digest in ipairs(digests) do redis.call('HDEL', P .. 'joins:' .. lane, digest) end
  elseif digests[1] or expired then
    redis.call('DEL', P .. 'joins:' .. lane) -- earlier versions gave it no lifetime
  end
  return {1, lane, '', now, turn, snapshot, events, epoch, class, paused, doubt, created, writes, sweep}
end

-- Choose one of the due lanes that may begin: return {lane, since, class, rank}, or nil, wait and why.
local function choose(P, now, budget, due)
  local wait, why = -1, ''
  for _, found in ipairs(due) do
    local full, reason = permits.wait_for_turn(P, now, budget, found[3])
    if full > 0 and reason == 'budget' and now - found[2] > AGED * budget.window
      and (tonumber(redis.call('GET', P .. 'lease_number')) or 0) % EVERY == 0 then
      found[3] = 'interactive'
      full, reason = permits.wait_for_turn(P, now, budget, found[3])
    end
    if full == 0 then return found end
    if wait < 0 or full < wait then wait, why = full, reason end
    if reason ~= 'budget' then break end
  end
  return nil, wait, why
end

-- Find a due lane and take the permit of its read: return {lane, since, class, rank}, or nil, wait and why.
local function find_lane(P, now, wanted)
  local due = schedule.due(P, now, wanted.newest_first
    and (tonumber(redis.call('GET', P .. 'lease_number')) or 0) % OLDEST_EVERY ~= 0)
  local first = due[1]
  if not first then return nil, due.wait, 'idle' end
  if not wanted.read then return first end
  local budget, life, class, permit = wanted.budget, wanted.life, first[3], 'read-' .. wanted.nonce
  if (budget.post < 1 or permits.has_room(P, budget, 'post', class))
    and permits.grant_quickly(P, now, budget, 'get', permit, permits.first(class), life) then return first end
  local chosen, wait, why = choose(P, now, budget, due)
  if not chosen then return nil, wait, why end
  local closed, refused = permits.grant(P, now, budget, 'get', permit, permits.first(chosen[3]), life)
  if closed > 0 then return nil, closed, refused end
  return chosen
end

-- Lease a lane that `read_lane` has read, and complete what its turn starts from.
local function lease_lane(P, now, wanted, found, settled, state)
  local lane, class, rank = found[1], found[3], found[4]
  local key, due, before = P .. 'turn:' .. lane, now + wanted.lease, redis.call('HGET', P .. 'leases', lane)
  if before and leases.of_client(before) then
    leases.delete(P, lane, before)
    before = false
  end
  -- A turn's first claim writes nothing into it: the nonce of the lease is the turn's id. Further claims, and those of
  -- a lane with pending work, are counted.
  if state[5][1] or before then
    redis.call('HSETNX', key, 'id', before and leases.nonce(before) or wanted.nonce)
    redis.call('HSETNX', key, 'claims', before and 1 or 0)
    redis.call('HINCRBY', key, 'claims', 1)
    redis.call('HSET', key, 'v', 1)
    if before then leases.delete(P, lane, before) end
    state[5] = redis.call('HGETALL', key)
  end
  state[3] = redis.call('INCR', P .. 'lease_number') .. '-' .. wanted.nonce
  redis.call('HSET', P .. 'leases', lane, state[3], '@' .. wanted.nonce,
    string.format('%s %s %d %s', lane, class, #state[7], settled))
  redis.call('ZADD', P .. 'schedule', due, lane)
  if rank then redis.call('ZADD', P .. 'schedule:' .. rank, due, lane) else schedule.move(P, lane, due) end
  return state
end

-- Postpone a lane with a key of the wrong type or an invalid value, and report it as a dead letter. The account's other
-- lanes continue.
local function defer_unreadable(P, now, lane, why)
  local id, due, token = 'lane-' .. lane, now + UNREADABLE_PAUSE, redis.call('HGET', P .. 'leases', lane)
  redis.call('ZADD', P .. 'schedule', due, lane)
  schedule.move(P, lane, due)
  if token then leases.delete(P, lane, token) end
  local reason = 'the lane cannot be read, repair or delete its keys: ' .. why
  -- Postponing it must not fail because of the list of dead letters.
  pcall(add_dead_letter, P, now, id, lane, '', cjson.encode({id = id, handler = '', reason = reason}), UNREADABLE_LIFE)
end

-- The keys of the account that every claim writes; one that reads also needs PERMITS.
claims.KEYS = {lease_number = 'string'}

-- Read the arguments of a claim, ARGV[first] and the nine behind it, and what it needs of the account, before anything
-- is written:
--   nonce     chosen by the claimer; the same nonce gets the same lane again until it is claimed again
--   lease (ms), most events of one turn
--   read      '1' if the turn will read the ticket and needs a permit, id 'read-<nonce>', else '0'
--   life of the read (ms), budget (JSON)
--   durable   '1' if a restart of the store loses nothing, so that calls need not pause after it
--   seen      the server of the store that the claimer saw last, or '';  silence: how many ms ago
--   newest first  '1' if the newest lanes of a class are claimed first, else '0'
-- `calls` is true if the caller settles a permit, too.
function claims.wanted(P, ARGV, first, calls)
  local nonce, lease, most, read, life, budget, durable, seen, silence, newest_first = unpack(ARGV, first, first + 9)
  calls = calls or read == '1'
  if calls then require_types(P, PERMITS) end
  local paused, all_paused = read_pauses(P)
  return {paused = paused, all_paused = all_paused, memory = memory.read(P), nonce = nonce, lease = tonumber(lease),
    most = tonumber(most), read = read == '1', life = tonumber(life), budget = calls and decode_budget(budget),
    budget_text = budget, durable = durable == '1', seen = seen, silence = silence,
    newest_first = newest_first == '1'}
end

-- Pause the calls if the store's memory has just come into doubt. Return the memory as memory.notice does.
local function notice_memory(P, now, wanted)
  local doubt, pause = memory.notice(P, now, wanted.seen, wanted.silence, wanted.memory)
  if pause then
    if not wanted.durable or pause == 'always' then
      permits.pause(P, now, wanted.budget or decode_budget(wanted.budget_text))
    end
    memory.paused(P)
  end
  return doubt
end

-- Claim a due lane. `before` is the result of an earlier claim with this nonce or false, `settled` the token of the
-- lease that the same function has just ended or ''. Return as read_lane, or {0, ms until it is worth asking again or -1,
-- why}, why: idle, paused, or as permits.grant.
function claims.claim(P, now, wanted, before, settled)
  local doubt = notice_memory(P, now, wanted)
  local lane, class = string.match(before or '', '^(%S+) (%S+)')
  local token = lane and redis.call('HGET', P .. 'leases', lane)
  local found, wait, why
  if token and leases.nonce(token) == wanted.nonce then
    found = {lane, 0, class}
  elseif wanted.all_paused then
    return {0, -1, 'paused'}
  else
    found, wait, why = find_lane(P, now, wanted)
    token = false
    if not found then return {0, wait, why} end
  end
  local read, state = pcall(read_lane, P, now, found[1], wanted, found[3], doubt)
  if not read then
    defer_unreadable(P, now, found[1], type(state) == 'table' and state.err or tostring(state))
    if wanted.read then
      permits.release(P, now, wanted.budget, 'get', 'read-' .. wanted.nonce, 'unsent', 0, 0, '')
    end
    return {0, 1, 'idle'}
  end
  if not token then return lease_lane(P, now, wanted, found, settled, state) end
  -- The lease may have expired without another claim: renew it, or a turn on another lane gets the same id.
  if (tonumber(redis.call('ZSCORE', P .. 'schedule', lane)) or 0) <= now then
    redis.call('ZADD', P .. 'schedule', now + wanted.lease, lane)
    schedule.move(P, lane, now + wanted.lease)
  end
  -- It may have taken more events than at the first call.
  redis.call('HSET', P .. 'leases', '@' .. wanted.nonce, string.format('%s %s %d %s', lane, class, #state[7], settled))
  state[3] = token
  return state
end

-- claim: claim one due lane of an account, or return how long to wait.
-- ARGV    1 now  2 nonce  3 lease (ms)  4 most events  5 read (0|1)  6 life of the read (ms)  7 budget (JSON)
--         8 durable (0|1)  9 server seen last or ''  10 how many ms ago  11 newest first (0|1)
-- Return  as claims.claim
register('claim', {args = 11, numbers = {3, 4, 6, 10}, keys = {LEASES, SCHEDULE, claims.KEYS}},
  function(P, now, ARGV)
  return claims.claim(P, now, claims.wanted(P, ARGV, 2), redis.call('HGET', P .. 'leases', '@' .. ARGV[2]), '')
end)

-- due: count the lanes that may be claimed now, so that a process wakes no more threads than there are lanes.
-- ARGV    1 now  2 how many to count at most  3 read (0|1)  4 budget (JSON)
-- Return  {lanes, ms until it is worth asking again or -1}
register('due', {args = 4, numbers = {2}, keys = {LEASES, SCHEDULE, PERMITS}}, function(P, now, ARGV)
  local due = schedule.due(P, now)
  permits.expire(P, now, now - permits.LATE)
  if not due[1] then return {0, due.wait} end
  local _, all_paused = read_pauses(P)
  if all_paused then return {0, -1} end
  local most = math.min(tonumber(ARGV[2]), redis.call('ZCOUNT', P .. 'schedule', '-inf', now))
  if ARGV[3] ~= '1' then return {most, 0} end
  local budget = decode_budget(ARGV[4])
  local chosen, wait = choose(P, now, budget, due)
  if not chosen then return {0, wait} end
  local reads = permits.available(P, now, budget, 'get', permits.first(chosen[3]))
  local writes = permits.available(P, now, budget, 'post', chosen[3])
  return {math.max(1, math.min(most, reads, budget.post > 0 and writes or reads)), 0}
end)

-- renew: renew the leases of all lanes of an account that a process has claimed.
-- ARGV    1 now  2 lease (ms)  3.. lane, token, lane, token ...
-- Return  the lanes whose lease is lost
register('renew', {least = 2, numbers = {2}, keys = {LEASES, SCHEDULE}}, function(P, now, ARGV)
  local lost = {}
  for n = 3, #ARGV, 2 do
    if leases.valid(P, ARGV[n], ARGV[n + 1]) then
      redis.call('ZADD', P .. 'schedule', 'XX', now + ARGV[2], ARGV[n])
    else
      lost[#lost + 1] = ARGV[n]
    end
  end
  return lost
end)
