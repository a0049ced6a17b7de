-- include: lib/ranks
-- Whether a token still proves the lease of a lane, and how a lane is given back.
local function lease_held(P, lane, token)
  return redis.call('HGET', P .. 'own', lane) == token
end

-- Gives the lane back and lets it become due at `due` (ms). The claims counted so far were no crash, nobody is to blame.
local function lease_release(P, lane, due)
  redis.call('HDEL', P .. 'own', lane)
  redis.call('ZADD', P .. 'sched', due, lane)
  ranks_move(P, lane, due)
  if redis.call('EXISTS', P .. 'turn:' .. lane) == 1 then
    redis.call('HSET', P .. 'turn:' .. lane, 'claims', 0)
    redis.call('HDEL', P .. 'turn:' .. lane, 'mark')
  end
end
