-- include: lib/ranks
-- include: lib/lease
-- Claiming: a due lane, its lease, the permit for reading its ticket, and everything a turn starts from.
--
-- claims_take(P, now, claim, before, settled) -> reply
--   claim   {nonce, lease (ms), most events of one turn, read ('1' or '0'), life of the read (ms), budget}
--     nonce   chosen by the claimer; the same nonce gets the same lane again until somebody else has claimed it
--     read    '1' when the turn will read the ticket and needs a permit, id 'read-<nonce>'; '0' when it will not
--   before  what the lease of a claim with this nonce says of it, see lib/lease, or false
--   settled token of the lease that the same script has just ended, or ''
-- reply: {0, ms until it is worth asking again or -1, why}   why: idle, paused, or what permits_grant says
--        {1, lane, token, now, turn, last seen or false, events, birth of the store or false, class, pauses or false}
--   birth   told for a ticket that was not seen before
--   turn    flat list of the turn's fields, empty at its first claim: id, claims, plan, owed, retry, mark, reading,
--           j:<effect>, e:<handler> <name>, and events: once the turn is frozen by a plan or a reading, whoever claims it
--           gets these
--   pauses  {of the account, of its routers, of the ticket, how many have ended}, each as in `paused`, or false
--   events  lists of what a turn takes of each event, false for what it does not have

-- What a worker takes for a number has to be one: it would fail there, at every lease again.
local function claims_number(value, name, event)
  if value and value ~= '' and not (#value < 19 and string.match(value, '^%-?%d+$')) then
    error('`' .. name .. '` of ' .. (event and 'event ' .. event or 'the turn') .. ' is no number')
  end
end

-- What a person has stopped, or false when nothing ever was, and whether that is the whole account: then nothing of it is
-- claimed. The third value is how many tickets are paused.
local function claims_paused(P)
  local paused = redis.call('HMGET', P .. 'paused', 'account', 'routers', 'tickets', 'ended')
  if not (paused[1] or paused[2] or paused[3] or paused[4]) then return false, false end
  return paused, paused[1] and not cjson.decode(paused[1]).skip
end

local function claims_reply(P, now, lane, token, turn, most, class, paused)
  local ids
  for n = 1, #turn, 2 do
    if turn[n] == 'retry' then claims_number(turn[n + 1], 'retry') end
    if turn[n] == 'events' then ids = cjson.decode(turn[n + 1]) end
  end
  -- The events that a turn takes: once it is frozen its own, else all that waits by now, for it did nothing outside.
  local events = ids or redis.call('LRANGE', P .. 'lane:' .. lane, 0, most - 1)
  for n, id in ipairs(events) do
    if type(id) ~= 'string' or not string.match(id, '^[\33-\126]+$') then
      error('the lane names an event that is none')
    end
    -- In the order in which claims.py reads it, which expects the id last.
    local event = redis.call('HMGET', P .. 'event:' .. id, 'at', 'kind', 'update', 'update_id', 'source', 'since', 'debt',
      'handler', 'digest')
    claims_number(event[1], 'at', id)
    claims_number(event[4], 'update_id', id)
    claims_number(event[6], 'since', id)
    if event[9] then redis.call('HDEL', P .. 'joins:' .. lane, event[9]) end
    event[10] = id
    events[n] = event
  end
  local seen = redis.call('GET', P .. 'ticket:' .. lane)
  if paused and paused[3] then paused[3] = redis.call('HGET', P .. 'paused', 'ticket:' .. lane) end
  return {1, lane, token, now, turn, seen, events, not seen and redis.call('GET', P .. 'birth'), class, paused}
end

-- Choosing a lane and its permit when the first look does not settle it: functions to choose, grant and release. They are
-- made only then, since making them costs as much as a part of a claim.
local function claims_closely()
  -- include: lib/permits

  -- Whether a turn of this class may begin: wait and why, wait 0 when it may. Most turns write, so that one without room
  -- for a write would only read, decide and wait with a plan that ages; the gate lets reads pass before writes.
  local function room(P, now, B, class)
    local gate = permits_gate(P)
    local wait, role = permits_pass(gate, now, 'get')
    if wait > 0 then return math.ceil(wait), role end
    local full, why = permits_space(P, now, B, gate, 'get', slots_first(class))
    if full == 0 and B.post > 0 then full, why = permits_space(P, now, B, gate, 'post', class) end
    return full, why
  end

  -- Chooses of the due lanes one that may begin: {lane, since, class, rank} or nil, wait and why. A lane that has waited
  -- for AGED windows is let past the reserves once in EVERY claims, so that work of the classes above cannot keep it out
  -- for ever.
  local AGED, EVERY = 5, 10
  local function choose(P, now, B, due)
    local wait, why = -1, ''
    for _, found in ipairs(due) do
      local full, reason = room(P, now, B, found[3])
      if full > 0 and reason == 'budget' and now - found[2] > AGED * B.window
        and tonumber(redis.call('GET', P .. 'fence') or 0) % EVERY == 0 then
        found[3] = 'interactive'
        full, reason = room(P, now, B, found[3])
      end
      if full == 0 then return found end
      if wait < 0 or full < wait then wait, why = full, reason end
      if reason ~= 'budget' then break end
    end
    return nil, wait, why
  end

  return choose, permits_grant, permits_release
end

-- Finds a due lane, with the permit of its read: {lane, since, class, rank}, or nil, wait and why.
local function claims_find(P, now, nonce, read, life, budget)
  local due = ranks_due(P, now)
  local first = due[1]
  if not first then return nil, due.wait, 'idle' end
  if read ~= '1' then return first end
  -- include: lib/slots
  local B, class, permit = cjson.decode(budget), first[3], 'read-' .. nonce
  if (B.post < 1 or slots_room(P, B, 'post', class))
    and slots_quick(P, now, B, 'get', permit, slots_first(class), tonumber(life)) then return first end
  local choose, grant = claims_closely()
  local chosen, wait, why = choose(P, now, B, due)
  if not chosen then return nil, wait, why end
  local closed, refused = grant(P, now, B, 'get', permit, slots_first(chosen[3]), life)
  if closed > 0 then return nil, closed, refused end
  return chosen
end

local function claims_lease(P, now, nonce, found, lease, most, settled, paused)
  local lane, class, rank = found[1], found[3], found[4]
  if not string.match(lane, '^%d+$') then error('the schedule names a lane that is no ticket') end
  local key, due = P .. 'turn:' .. lane, now + lease
  local turn, before = redis.call('HGETALL', key), redis.call('HGET', P .. 'own', lane)
  -- A turn's first claim writes nothing into it: the lease tells of it, whose nonce is the turn's id. Further ones, and
  -- those of a lane that is owed something, are counted.
  if turn[1] or before then
    redis.call('HSETNX', key, 'id', before and lease_nonce(before) or nonce)
    redis.call('HSETNX', key, 'claims', before and 1 or 0)
    redis.call('HINCRBY', key, 'claims', 1)
    redis.call('HSET', key, 'v', 1)
    if before then lease_end(P, lane, before) end
    turn = redis.call('HGETALL', key)
  end
  local token = redis.call('INCR', P .. 'fence') .. '-' .. nonce
  redis.call('HSET', P .. 'own', lane, token, '@' .. nonce, lane .. ' ' .. class .. ' ' .. settled)
  redis.call('ZADD', P .. 'sched', due, lane)
  if rank then redis.call('ZADD', P .. 'sched:' .. rank, due, lane) else ranks_move(P, lane, due) end
  return claims_reply(P, now, lane, token, turn, most, class, paused)
end

local function claims_take(P, now, claim, before, settled)
  local nonce, lease, most, read, life, budget = unpack(claim)
  lease, most = tonumber(lease), tonumber(most)
  local paused, stopped = claims_paused(P)
  if before then
    local lane, class = string.match(before, '^(%S+) (%S+)')
    local token = redis.call('HGET', P .. 'own', lane)
    if token and lease_nonce(token) == nonce then
      -- It came so late that the lease has run out, but nobody took the lane: another one would share its turn's id.
      if tonumber(redis.call('ZSCORE', P .. 'sched', lane) or 0) <= now then
        redis.call('ZADD', P .. 'sched', now + lease, lane)
        ranks_move(P, lane, now + lease)
      end
      return claims_reply(P, now, lane, token, redis.call('HGETALL', P .. 'turn:' .. lane), most, class, paused)
    end
  end
  if stopped then return {0, -1, 'paused'} end
  local found, wait, why = claims_find(P, now, nonce, read, life, budget)
  if not found then return {0, wait, why} end
  local leased, reply = pcall(claims_lease, P, now, nonce, found, lease, most, settled, paused)
  if leased then return reply end
  -- include: lib/aside
  lane_aside(P, now, found[1], type(reply) == 'table' and reply.err or tostring(reply))
  if read == '1' then
    local _, _, release = claims_closely()
    release(P, now, cjson.decode(budget), 'get', 'read-' .. nonce, 'unsent', 0, 0)
  end
  return {0, 1, 'idle'}
end
