-- Makes events of tickets that a round has found, in each one's lane; one that still waits for the same handler is enough.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 name of the round: the handler  3 token  4 lease (ms)  5 how many at the most  6 retention (s)
-- Answer  how many are left, or -1 when somebody else has taken up the round
-- include: lib/clock
-- include: lib/schedule
-- include: lib/rounds
local P, now, name, most = KEYS[1], clock(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local state = rounds_of(P, name)
if not state or state.token ~= ARGV[3] then return -1 end
local list, digest = P .. 'found:' .. name, 'round:' .. name

local function put(ticket)
  local id = string.format('round-%s-%.0f-%s', name, state.slot, ticket)
  local joins = P .. 'joins:' .. ticket
  local known = redis.call('HGET', joins, digest)
  if redis.call('EXISTS', P .. 'event:' .. id) == 1 then return end
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return end
  redis.call('RPUSH', P .. 'lane:' .. ticket, id)
  redis.call('HSET', P .. 'event:' .. id, 'v', 1, 'ticket', ticket, 'kind', 'scheduled', 'update', 0,
    'source', 'schedule', 'at', now, 'handler', name, 'digest', digest)
  redis.call('EXPIRE', P .. 'event:' .. id, ARGV[6])
  schedule_event(P, now, ticket, 'bulk')
  redis.call('HSET', joins, digest, id)
  state.put = state.put + 1
end

for _, ticket in ipairs(redis.call('LRANGE', list, 0, most - 1)) do
  -- A key of the wrong type concerns its own ticket alone.
  pcall(put, ticket)
end
redis.call('LTRIM', list, most, -1)
local left = redis.call('LLEN', list)
state.till = now + ARGV[4]
if left == 0 then state.phase, state.token, state.ended = 'done', '', now end
rounds_keep(P, name, state)
return left
