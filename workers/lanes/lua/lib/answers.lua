-- Whether the gate was never closed: then a slot is all that a call takes and leaves.
local function slots_open(P)
  return redis.call('EXISTS', P .. 'gate') == 0
end

-- The slot of a call answered `age` ms ago is free one window and a guard after the answer.
local function slots_answered(P, now, B, method, id, age)
  redis.call('ZADD', P .. 'permits:' .. method, now - age + B.window + B.guard, id)
  redis.call('ZREM', P .. 'flight', id)
end
