-- include: lib/permits
-- include: lib/ranks
-- Claiming: a due lane, its lease, the permit for reading its ticket, and everything a turn starts from.
--
-- claims_take(P, now, nonce, lease, most, read, budget, life) -> reply
--   nonce   chosen by the claimer; the same nonce gets the same lane again while its lease runs
--   lease   ms
--   most    how many waiting events one turn takes at the most
--   read    '1' when the turn will read the ticket and needs a permit, id 'read-<nonce>'; '0' when it will not
-- reply: {0, ms until it is worth asking again or -1, why}   why: idle, or what permits_grant says
--        {1, lane, token, now, turn, last seen or false, events, birth of the store or false,
--         class}
--   turn    flat list of the turn's fields: id, claims, events, plan, owed, retry, mark, reading, j:<effect>,
--           e:<handler> <name>
--   events  list of flat lists of the event's fields without its body and headers, each with its id under 'id'
-- How long (ms) a lane that cannot be read is left alone.
local ASIDE = 600000
local EVENT_FIELDS = {'at', 'kind', 'update', 'update_id', 'source', 'since', 'digest', 'debt'}

local function claims_events(P, lane, most)
  local turn = P .. 'turn:' .. lane
  local ids
  if redis.call('HEXISTS', turn, 'plan') == 1 or redis.call('HEXISTS', turn, 'reading') == 1 then
    ids = cjson.decode(redis.call('HGET', turn, 'events') or '[]')
  else
    -- A turn without plan or frozen reading did nothing outside: it is formed anew from all that waits by now.
    ids = redis.call('LRANGE', P .. 'lane:' .. lane, 0, most - 1)
    redis.call('HSET', turn, 'events', #ids > 0 and cjson.encode(ids) or '[]')
  end
  local events = {}
  for n, id in ipairs(ids) do
    local values = redis.call('HMGET', P .. 'event:' .. id, unpack(EVENT_FIELDS))
    local event = {'id', id}
    for f, name in ipairs(EVENT_FIELDS) do
      if values[f] then
        event[#event + 1] = name
        event[#event + 1] = values[f]
      end
    end
    if values[7] then redis.call('HDEL', P .. 'joins:' .. lane, values[7]) end
    events[n] = event
  end
  return events
end

local function claims_reply(P, now, lane, token, most, class)
  local events = claims_events(P, lane, most)
  local turn = redis.call('HGETALL', P .. 'turn:' .. lane)
  return {1, lane, token, now, turn, redis.call('GET', P .. 'ticket:' .. lane), events, redis.call('GET', P .. 'birth'),
    class}
end

-- The class of what waits in a lane: the most urgent of its newest events.
local function claims_class(P, lane)
  local class = 'bulk'
  for _, id in ipairs(redis.call('LRANGE', P .. 'lane:' .. lane, -16, -1)) do
    local event = redis.call('HMGET', P .. 'event:' .. id, 'kind', 'actor', 'label', 'source')
    local of = ranks_class(event[1], event[2], event[3], event[4])
    if of == 'interactive' then return of end
    if of == 'normal' then class = of end
  end
  return class
end

-- The class under which a turn reads first.
local FIRST = {interactive = 'first', normal = 'normal', bulk = 'bulk'}

-- Whether a turn of this class may begin: wait and why, wait 0 when it may. Most turns write, so that one without room for
-- a write would only read, decide and wait with a plan that ages; the gate lets reads pass before writes.
local function claims_room(P, now, B, class)
  local gate = permits_gate(P)
  local wait, role = permits_pass(gate, now, 'get')
  if wait > 0 then return math.ceil(wait), role end
  local full, why = permits_space(P, now, B, gate, 'get', FIRST[class])
  if full == 0 and B.post > 0 then full, why = permits_space(P, now, B, gate, 'post', class) end
  return full, why
end

-- Chooses a due lane that may begin: {lane, since, class} or nil, wait and why. A lane that has waited for AGED windows is
-- let past the reserves once in EVERY claims, so that work of the classes above cannot keep it out for ever.
local AGED, EVERY = 5, 10
local function claims_choose(P, now, B, read)
  local wait, why = -1, 'idle'
  for _, found in ipairs(ranks_due(P, now)) do
    local full, reason = 0, ''
    if read == '1' then full, reason = claims_room(P, now, B, found[3]) end
    if full > 0 and reason == 'budget' and now - found[2] > AGED * B.window
      and tonumber(redis.call('GET', P .. 'fence') or 0) % EVERY == 0 then
      found[3] = 'interactive'
      full, reason = claims_room(P, now, B, found[3])
    end
    if full == 0 then return found end
    if wait < 0 or full < wait then wait, why = full, reason end
    if reason ~= 'budget' then break end
  end
  if wait < 0 then
    local next = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
    if next[2] then wait = math.max(1, math.ceil(next[2] - now)) end
  end
  return nil, wait, why
end

local function claims_lease(P, now, nonce, lane, lease, most, class)
  if not string.match(lane, '^%d+$') then error('the schedule names a lane that is no ticket') end
  local token = redis.call('INCR', P .. 'fence') .. '-' .. nonce
  local turn = P .. 'turn:' .. lane
  redis.call('HSET', P .. 'own', lane, token)
  redis.call('ZADD', P .. 'sched', now + lease, lane)
  ranks_move(P, lane, now + lease)
  redis.call('SET', P .. 'claim:' .. nonce, lane .. ' ' .. token .. ' ' .. class, 'PX', lease)
  if redis.call('HSETNX', turn, 'id', nonce) == 1 then redis.call('HSET', turn, 'v', 1) end
  redis.call('HINCRBY', turn, 'claims', 1)
  return claims_reply(P, now, lane, token, most, class)
end

-- A lane with a key of the wrong type or a broken value is put aside and named; the account's other lanes go on.
local function claims_aside(P, now, lane, why)
  local id = 'lane-' .. lane
  redis.call('ZADD', P .. 'sched', now + ASIDE, lane)
  ranks_move(P, lane, now + ASIDE)
  redis.call('HDEL', P .. 'own', lane)
  redis.call('ZADD', P .. 'dead', now, id)
  redis.call('HSET', P .. 'letter:' .. id, 'v', 1, 'at', now, 'ticket', lane, 'turn', '', 'evidence', cjson.encode({
    id = id, handler = '', reason = 'the lane cannot be read, mend or delete its keys: ' .. why,
  }))
end

local function claims_take(P, now, nonce, lease, most, read, budget, life)
  local before = redis.call('GET', P .. 'claim:' .. nonce)
  if before then
    local lane, token, class = string.match(before, '^(%S+) (%S+) (%S+)$')
    if lease_held(P, lane, token) then return claims_reply(P, now, lane, token, most, class) end
  end
  local B = permits_budget(budget)
  local chosen, wait, why = claims_choose(P, now, B, read)
  if not chosen then return {0, wait, why} end
  local lane, class = chosen[1], chosen[3]
  if read == '1' then
    local closed, refused = permits_grant(P, now, B, 'get', 'read-' .. nonce, FIRST[class], life)
    if closed > 0 then return {0, closed, refused} end
  end
  local leased, reply = pcall(claims_lease, P, now, nonce, lane, lease, most, class)
  if leased then return reply end
  claims_aside(P, now, lane, type(reply) == 'table' and reply.err or tostring(reply))
  redis.call('DEL', P .. 'claim:' .. nonce)
  if read == '1' then permits_release(P, now, B, 'get', 'read-' .. nonce, 'unsent', 0, 0) end
  return {0, 1, 'idle'}
end
