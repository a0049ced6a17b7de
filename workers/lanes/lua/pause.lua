-- Pauses an account, a router or a ticket, or ends that pause; then the lanes that wait for the end of one become due.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 scope (account | router | ticket)  3 name of the router or ticket, or ''  4 the pause (JSON), or '' to
--         end it
-- Answer  1 when it was paused before, else 0
-- include: lib/clock
-- include: lib/ranks
local P, now, scope, name, pause = KEYS[1], clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local key = P .. 'paused'

local function put(field, value)
  if value == '' then return redis.call('HDEL', key, field) == 1 end
  return redis.call('HSET', key, field, value) == 0
end

-- The routers stand in one field, since every claim is told of them.
local function router()
  local all = cjson.decode(redis.call('HGET', key, 'routers') or '{}')
  local known = all[name] ~= nil
  all[name] = pause ~= '' and cjson.decode(pause) or nil
  put('routers', next(all) and cjson.encode(all) or '')
  return known
end

-- How many tickets are paused is counted, so that a claim asks for its own only when there are any.
local function ticket()
  local known = put('ticket:' .. name, pause)
  if known ~= (pause ~= '') and redis.call('HINCRBY', key, 'tickets', pause ~= '' and 1 or -1) == 0 then
    redis.call('HDEL', key, 'tickets')
  end
  return known
end

local known
if scope == 'account' then known = put('account', pause)
elseif scope == 'router' then known = router()
else known = ticket() end
if known and pause == '' then
  -- A turn that is under way settles by what its claim was told: the count tells it that something has ended since.
  redis.call('HINCRBY', key, 'ended', 1)
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'waiting')) do
    if redis.call('ZSCORE', P .. 'sched', lane) and redis.call('HEXISTS', P .. 'own', lane) == 0 then
      redis.call('ZADD', P .. 'sched', 'LT', now, lane)
      ranks_move(P, lane, tonumber(redis.call('ZSCORE', P .. 'sched', lane)))
      redis.call('SREM', P .. 'waiting', lane)
    end
  end
end
return known and 1 or 0
