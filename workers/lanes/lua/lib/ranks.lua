-- The lanes of `sched` by the class of what waits in them, so that a lane that may use a reserve is found behind any
-- number of lanes that may not.
--
--   P sched:interactive, P sched:normal   ZSET   lane -> its score in sched, or an earlier one, which is put right when
--                                                it is met; a lane in neither is bulk
--
-- A class has a head start of so many ms over the lanes that wait already. It is bounded and ages with the lane, so that
-- no lane waits for ever behind newer ones.
local RANKS = {'interactive', 'normal'}
local HEAD_START = {interactive = 60000, normal = 30000, bulk = 0}

-- The class of an event: what a contact did is urgent, what nobody waits for is bulk.
local function ranks_class(kind, actor, label, source)
  if source == 'replay' or source == 'schedule' or source == 'sweep' then return 'bulk' end
  if kind == 'created' or actor == 'contact' or label == 'contact-reply' then return 'interactive' end
  return 'normal'
end

-- Gives a lane the class, due at `due`.
local function ranks_set(P, lane, due, class)
  for _, rank in ipairs(RANKS) do
    if rank == class then
      redis.call('ZADD', P .. 'sched:' .. rank, due, lane)
    else
      redis.call('ZREM', P .. 'sched:' .. rank, lane)
    end
  end
end

-- Takes a lane that is in sched already into the class of a further event, if that is the more urgent one.
local function ranks_raise(P, lane, due, class)
  if class == 'bulk' then return end
  if class == 'normal' and redis.call('ZSCORE', P .. 'sched:interactive', lane) then return end
  ranks_set(P, lane, due, class)
end

-- A lane keeps its class and is due at `due`, or without it has nothing more to do.
local function ranks_move(P, lane, due)
  for _, rank in ipairs(RANKS) do
    if due then
      redis.call('ZADD', P .. 'sched:' .. rank, 'XX', due, lane)
    elseif redis.call('ZREM', P .. 'sched:' .. rank, lane) == 1 then
      return
    end
  end
end

-- The same for a lane that ranks_due has found under `rank`, nil when it found it under none.
local function ranks_lease(P, lane, due, rank)
  if rank then redis.call('ZADD', P .. 'sched:' .. rank, due, lane) else ranks_move(P, lane, due) end
end

-- The oldest lane of a class that is due, and since when; `head` is the oldest of all.
local function ranks_head(P, now, rank, head)
  local key = P .. 'sched:' .. rank
  for _ = 1, 100 do
    local found = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    local lane, due = found[1], tonumber(found[2])
    if not lane or due > now then return end
    if lane == head[1] then return lane, tonumber(head[2]) end
    due = tonumber(redis.call('ZSCORE', P .. 'sched', lane))
    if due and due <= now then return lane, due end
    if due then redis.call('ZADD', key, due, lane) else redis.call('ZREM', key, lane) end
  end
end

-- The due lanes worth asking a permit for, at most one of each class, the one whose turn it is first: list of
-- {lane, since (ms), class, rank it was found under or nil}.
local function ranks_due(P, now)
  local found, known = {}, {}
  local head = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
  if not head[1] or tonumber(head[2]) > now then return found end
  local function add(lane, since, class, rank)
    if known[lane] then return end
    known[lane] = true
    local due, at = since - HEAD_START[class], 1
    while found[at] and found[at][2] - HEAD_START[found[at][3]] <= due do at = at + 1 end
    table.insert(found, at, {lane, since, class, rank})
  end
  for _, rank in ipairs(RANKS) do
    local lane, since = ranks_head(P, now, rank, head)
    if lane then add(lane, since, rank, rank) end
  end
  add(head[1], tonumber(head[2]), 'bulk')
  return found
end

-- The ms until the next lane is due, -1 when there is none.
local function ranks_wait(P, now)
  local next = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
  return next[2] and math.max(1, math.ceil(next[2] - now)) or -1
end
