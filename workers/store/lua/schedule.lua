-- The schedule: when each lane is due, and in which class.
--
--   P schedule                            ZSET  lane -> ms when it may next be claimed
--   P schedule:interactive and :normal    ZSET  the lanes of these classes -> their score in schedule, or an earlier
--                                               one, which is corrected when found; a lane in neither is bulk
--   P schedule:timers                     ZSET  the lanes that only wait for a timer -> ms of the timer
--
-- Each class has its own set, so that a lane that may use reserved permits is found behind any number of other lanes.
local RANKS = {'interactive', 'normal'}

-- A class has a head start of this many ms over older lanes. It is limited, so no lane waits forever behind newer ones.
local HEAD_START = {interactive = 60000, normal = 30000, bulk = 0}

local function goes_first(one, other)
  local first, second = one[2] - HEAD_START[one[3]], other[2] - HEAD_START[other[3]]
  return first < second or first == second and HEAD_START[one[3]] > HEAD_START[other[3]]
end

-- Keep the class of a lane that is now due at `due`, or drop the lane if `due` is nil.
function schedule.move(P, lane, due)
  for _, rank in ipairs(RANKS) do
    if due then
      redis.call('ZADD', P .. 'schedule:' .. rank, 'XX', due, lane)
    elseif redis.call('ZREM', P .. 'schedule:' .. rank, lane) == 1 then
      return
    end
  end
end

-- Return the due lane of a class that became due last, or nil if the last ones are not due after all.
local function newest(P, now, key)
  for _, lane in ipairs(redis.call('ZRANGE', key, now, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 10)) do
    if tonumber(redis.call('ZSCORE', P .. 'schedule', lane) or now + 1) <= now then return lane end
  end
end

-- Return the first due lane of each class, most urgent first: a list of {lane, since (ms), class, rank under which it
-- was found or nil}. An empty list has `wait`: ms until a lane is due, or -1. With `newest_first`, the newest lane of a
-- class takes the place of its first one, which still decides when it is the turn of that class.
function schedule.due(P, now, newest_first)
  local found, ranked = {}, false
  local head = redis.call('ZRANGE', P .. 'schedule', 0, 0, 'WITHSCORES')
  local lane, since = head[1], tonumber(head[2])
  if not lane or since > now then
    found.wait = lane and math.max(1, math.ceil(since - now)) or -1
    return found
  end
  for _, rank in ipairs(RANKS) do
    local key = P .. 'schedule:' .. rank
    for _ = 1, 100 do
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      if not first[1] or tonumber(first[2]) > now then break end
      ranked = ranked or first[1] == lane
      local due = first[1] == lane and since or tonumber(redis.call('ZSCORE', P .. 'schedule', first[1]))
      if due and due <= now then
        found[#found + 1] = {newest_first and newest(P, now, key) or first[1], due, rank, rank}
        break
      end
      if due then redis.call('ZADD', key, due, first[1]) else redis.call('ZREM', key, first[1]) end
    end
  end
  if not ranked then found[#found + 1] = {lane, since, 'bulk'} end
  if found[2] then table.sort(found, goes_first) end
  return found
end

-- Return the class of an event: interactive if it comes from a contact, bulk if no person waits for it.
function schedule.class_of(kind, actor, label, source)
  if source == 'replay' or source == 'schedule' or source == 'sweep' then return 'bulk' end
  if kind == 'created' or actor == 'contact' or label == 'contact-reply' then return 'interactive' end
  return 'normal'
end

-- How long (ms) after the last stormy moment a storm is over, and how long events that may wait do so in it.
local STORM, STORM_WAIT = 60000, 30000

-- Return whether far more deliveries arrive than usual, see storms.py.
function schedule.is_stormy(P, now)
  local last = redis.pcall('HGET', P .. 'storm', 'last')
  return type(last) == 'string' and now - tonumber(last) < STORM
end

-- Return the class of an event in a storm, and until when (ms) it may wait, or nil.
function schedule.calm(now, class, wait)
  if class == 'interactive' then return class, wait end
  return 'bulk', math.max(wait or 0, now + STORM_WAIT)
end

-- Put a lane that is due at `due` into a class.
function schedule.set_class(P, lane, due, class)
  for _, rank in ipairs(RANKS) do
    if rank == class then
      redis.call('ZADD', P .. 'schedule:' .. rank, due, lane)
    else
      redis.call('ZREM', P .. 'schedule:' .. rank, lane)
    end
  end
end

-- Return the class of a lane: the most urgent of its newest events, or in a storm bulk if that is not interactive.
function schedule.class_named(P, now, lane)
  local class = 'bulk'
  for _, id in ipairs(redis.call('LRANGE', P .. 'lane:' .. lane, -16, -1)) do
    -- An event of the wrong type fails the next claim of its lane, which reports it.
    local event = redis.pcall('HMGET', P .. 'event:' .. id, 'kind', 'actor', 'label', 'source')
    local of = schedule.class_of(event[1], event[2], event[3], event[4])
    if of == 'interactive' then return of end
    if of == 'normal' then class = of end
  end
  return schedule.is_stormy(P, now) and 'bulk' or class
end

-- Raise the class of a lane that is already scheduled, if a further event is more urgent.
local function raise_class(P, lane, due, class)
  if class == 'bulk' then return end
  if class == 'normal' and redis.call('ZSCORE', P .. 'schedule:interactive', lane) then return end
  schedule.set_class(P, lane, due, class)
end

-- A read that brings nothing new makes the next deliveries whose body was seen before wait this long (ms); after further
-- ones the next value applies, the last one repeatedly, until a read brings something or QUIET_MEMORY has passed.
local QUIET, QUIET_MEMORY = {2000, 5000, 15000, 60000}, 600000

-- Note that a read has brought nothing new. The next one that does deletes the key.
function schedule.read_in_vain(P, now, ticket)
  local key = P .. 'quiet:' .. ticket
  local before = redis.pcall('GET', key)
  local level = math.min(#QUIET, tonumber(type(before) == 'string' and string.match(before, '^%d+') or 0) + 1)
  redis.call('SET', key, string.format('%d %.0f', level, now + QUIET[level]), 'PX', QUIET[level] + QUIET_MEMORY)
end

-- Return the ms until which a delivery whose body was seen before waits, or 0.
function schedule.quiet_until(P, ticket)
  return tonumber(string.match(redis.call('GET', P .. 'quiet:' .. ticket) or '', '%d+$') or 0)
end

-- Return until when (ms) a lane waits that has just written, so that the webhooks of its writes share one read. Raise an
-- error if no event can be added to the lane, because it has the wrong type.
function schedule.settling_until(P, ticket)
  require_type(P .. 'lane:' .. ticket, 'list')
  return tonumber(redis.call('GET', P .. 'settling:' .. ticket)) or 0
end

-- Make a lane due for an event of this class that was just added to it, and that may wait until `wait` (ms) or nil. A
-- turn of the wrong type does not fail this: the next claim of the lane reports it.
function schedule.event_added(P, now, ticket, class, settling, wait)
  local due_lanes = P .. 'schedule'
  local ready = math.max(now, settling)
  local waits = wait and wait > ready
  if waits then ready = wait end
  if redis.call('ZADD', due_lanes, 'NX', ready, ticket) == 1 then
    if class ~= 'bulk' then redis.call('ZADD', P .. 'schedule:' .. class, ready, ticket) end
    -- The next event that may not wait makes the lane due.
    if waits then redis.pcall('HSET', P .. 'turn:' .. ticket, 'v', 1, 'retry', ready) end
    return
  end
  local due = tonumber(redis.call('ZSCORE', due_lanes, ticket))
  raise_class(P, ticket, due, class)
  if redis.call('HEXISTS', P .. 'leases', ticket) == 1 then return end
  -- The lane is parked. A new event makes it due if it waits for pending handler work or to read its ticket again. A
  -- lane that waits for permits or for an effect in doubt keeps its time.
  local retry = redis.pcall('HGET', P .. 'turn:' .. ticket, 'retry')
  retry = type(retry) == 'string' and tonumber(retry)
  if retry and retry == due and due > ready then
    redis.call('ZADD', due_lanes, ready, ticket)
    schedule.move(P, ticket, ready)
    redis.call('ZREM', P .. 'schedule:timers', ticket)
    if waits then redis.call('HSET', P .. 'turn:' .. ticket, 'retry', ready) end
  end
end

-- Add an event that is not a delivery to a ticket's lane; `settling` is what `settling_until` returned. The further
-- arguments are fields of the event and values.
function schedule.add_event(P, now, settling, id, ticket, class, ...)
  replace_other_type(P .. 'event:' .. id, 'hash')
  redis.call('RPUSH', P .. 'lane:' .. ticket, id)
  redis.call('HSET', P .. 'event:' .. id, 'v', 1, 'ticket', ticket, 'update', 0, 'at', now, ...)
  redis.call('PERSIST', P .. 'event:' .. id)  -- one that was handled before expires
  schedule.event_added(P, now, ticket, class, settling)
end
