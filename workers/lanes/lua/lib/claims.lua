-- include: lib/permits
-- Claiming: a due lane, its lease, the permit for reading its ticket, and everything a turn starts from.
--
-- claims_take(P, now, nonce, lease, most, read, budget, class, life) -> reply
--   nonce   chosen by the claimer; the same nonce gets the same lane again while its lease runs
--   lease   ms
--   most    how many waiting events one turn takes at the most
--   read    '1' when the turn will read the ticket and needs a permit, id 'read-<nonce>'; '0' when it will not
-- reply: {0, ms until it is worth asking again or -1, why}   why: idle, or what permits_grant says
--        {1, lane, token, now, turn, last seen or false, events, birth of the store or false}
--   turn    flat list of the turn's fields: id, claims, events, plan, owed, retry, mark, j:<effect>
--   events  list of flat lists of the event's fields without its body and headers, each with its id under 'id'
-- How long (ms) a lane that cannot be read is left alone.
local ASIDE = 600000
local EVENT_FIELDS = {'at', 'kind', 'update', 'update_id', 'source', 'since', 'digest', 'debt'}

local function claims_events(P, lane, most)
  local turn = P .. 'turn:' .. lane
  local ids
  if redis.call('HEXISTS', turn, 'plan') == 1 then
    ids = cjson.decode(redis.call('HGET', turn, 'events') or '[]')
  else
    -- A turn without a plan did nothing outside: it is formed anew from all that waits by now.
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

local function claims_reply(P, now, lane, token, most)
  local events = claims_events(P, lane, most)
  local turn = redis.call('HGETALL', P .. 'turn:' .. lane)
  return {1, lane, token, now, turn, redis.call('GET', P .. 'ticket:' .. lane), events, redis.call('GET', P .. 'birth')}
end

local function claims_due(P, now)
  local due = redis.call('ZRANGEBYSCORE', P .. 'sched', '-inf', now, 'LIMIT', 0, 1)[1]
  if due then return due, 0 end
  local next = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
  return nil, next[2] and math.max(1, math.ceil(next[2] - now)) or -1
end

local function claims_lease(P, now, nonce, lane, lease, most)
  if not string.match(lane, '^%d+$') then error('the schedule names a lane that is no ticket') end
  local token = redis.call('INCR', P .. 'fence') .. '-' .. nonce
  local turn = P .. 'turn:' .. lane
  redis.call('HSET', P .. 'own', lane, token)
  redis.call('ZADD', P .. 'sched', now + lease, lane)
  redis.call('SET', P .. 'claim:' .. nonce, lane .. ' ' .. token, 'PX', lease)
  if redis.call('HSETNX', turn, 'id', nonce) == 1 then redis.call('HSET', turn, 'v', 1) end
  redis.call('HINCRBY', turn, 'claims', 1)
  return claims_reply(P, now, lane, token, most)
end

-- A lane with a key of the wrong type or a broken value is put aside and named; the account's other lanes go on.
local function claims_aside(P, now, lane, why)
  local id = 'lane-' .. lane
  redis.call('ZADD', P .. 'sched', now + ASIDE, lane)
  redis.call('HDEL', P .. 'own', lane)
  redis.call('ZADD', P .. 'dead', now, id)
  redis.call('HSET', P .. 'letter:' .. id, 'v', 1, 'at', now, 'ticket', lane, 'turn', '', 'evidence', cjson.encode({
    id = id, handler = '', reason = 'the lane cannot be read, mend or delete its keys: ' .. why,
  }))
end

local function claims_take(P, now, nonce, lease, most, read, budget, class, life)
  local before = redis.call('GET', P .. 'claim:' .. nonce)
  if before then
    local lane, token = string.match(before, '^(%S+) (%S+)$')
    if lease_held(P, lane, token) then return claims_reply(P, now, lane, token, most) end
  end
  local lane, wait = claims_due(P, now)
  if not lane then return {0, wait, 'idle'} end
  if read == '1' then
    local closed, why = permits_grant(P, now, permits_budget(budget), 'get', 'read-' .. nonce, class, tonumber(life))
    if closed > 0 then return {0, closed, why} end
  end
  local leased, reply = pcall(claims_lease, P, now, nonce, lane, lease, most)
  if leased then return reply end
  claims_aside(P, now, lane, type(reply) == 'table' and reply.err or tostring(reply))
  redis.call('DEL', P .. 'claim:' .. nonce)
  if read == '1' then permits_release(P, now, permits_budget(budget), 'get', 'read-' .. nonce, 'unsent', 0, 0) end
  return {0, 1, 'idle'}
end
