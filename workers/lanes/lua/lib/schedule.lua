-- include: lib/classes
-- Makes a lane due for an event of this class that has just been put into it.
local function schedule_event(P, now, ticket, class)
  local sched = P .. 'sched'
  -- A lane that has just written is quiet for a moment, so that the echoes of its writes share one read.
  local ready = math.max(now, tonumber(redis.call('GET', P .. 'quiet:' .. ticket) or 0))
  if redis.call('ZADD', sched, 'NX', ready, ticket) == 1 then
    if class ~= 'bulk' then redis.call('ZADD', P .. 'sched:' .. class, ready, ticket) end
    return
  end
  class_raise(P, ticket, tonumber(redis.call('ZSCORE', sched, ticket)), class)
  if redis.call('HEXISTS', P .. 'own', ticket) == 1 then return end
  -- Parked. Only a lane that waits for nothing but an owed handler, or for a further look at its ticket, becomes due by
  -- an event; one that waits for permits or for an effect in doubt does not.
  local retry = tonumber(redis.call('HGET', P .. 'turn:' .. ticket, 'retry'))
  local due = tonumber(redis.call('ZSCORE', sched, ticket))
  if retry and retry == due and due > ready then
    redis.call('ZADD', sched, ready, ticket)
    ranks_move(P, ticket, ready)
    redis.call('ZREM', P .. 'sched:timer', ticket)
  end
end
