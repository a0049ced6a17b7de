-- Puts a lane with a key of the wrong type or a broken value aside and names it; the account's other lanes go on.
local function lane_aside(P, now, lane, why)
  local id, due, token = 'lane-' .. lane, now + 600000, redis.call('HGET', P .. 'own', lane)
  redis.call('ZADD', P .. 'sched', due, lane)
  ranks_move(P, lane, due)
  if token then lease_end(P, lane, token) end
  redis.call('ZADD', P .. 'dead', now, id)
  redis.call('HSET', P .. 'letter:' .. id, 'v', 1, 'at', now, 'ticket', lane, 'turn', '', 'evidence', cjson.encode({
    id = id, handler = '', reason = 'the lane cannot be read, mend or delete its keys: ' .. why,
  }))
end
