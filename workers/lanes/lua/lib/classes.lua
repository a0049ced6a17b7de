-- include: lib/ranks
-- Giving lanes their class, by the events that wait in them.

-- The class of an event: what a contact did is urgent, what nobody waits for is bulk.
local function class_of(kind, actor, label, source)
  if source == 'replay' or source == 'schedule' or source == 'sweep' then return 'bulk' end
  if kind == 'created' or actor == 'contact' or label == 'contact-reply' then return 'interactive' end
  return 'normal'
end

-- Gives a lane the class, due at `due`.
local function class_set(P, lane, due, class)
  for _, rank in ipairs(RANKS) do
    if rank == class then
      redis.call('ZADD', P .. 'sched:' .. rank, due, lane)
    else
      redis.call('ZREM', P .. 'sched:' .. rank, lane)
    end
  end
end

-- Takes a lane that is in sched already into the class of a further event, if that is the more urgent one.
local function class_raise(P, lane, due, class)
  if class == 'bulk' then return end
  if class == 'normal' and redis.call('ZSCORE', P .. 'sched:interactive', lane) then return end
  class_set(P, lane, due, class)
end

-- The class of what waits in a lane: the most urgent of its newest events.
local function class_waiting(P, lane)
  local class = 'bulk'
  for _, id in ipairs(redis.call('LRANGE', P .. 'lane:' .. lane, -16, -1)) do
    local event = redis.call('HMGET', P .. 'event:' .. id, 'kind', 'actor', 'label', 'source')
    local of = class_of(event[1], event[2], event[3], event[4])
    if of == 'interactive' then return of end
    if of == 'normal' then class = of end
  end
  return class
end
