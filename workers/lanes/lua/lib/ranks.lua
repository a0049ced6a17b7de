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
  local found, ranked = {}, false
  local head = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
  if not head[1] or tonumber(head[2]) > now then return found end
  for _, rank in ipairs(RANKS) do
    local lane, since = ranks_head(P, now, rank, head)
    if lane then found[#found + 1] = {lane, since, rank, rank} end
    ranked = ranked or lane == head[1]
  end
  if not ranked then found[#found + 1] = {head[1], tonumber(head[2]), 'bulk'} end
  if found[2] then
    table.sort(found, function(one, other)
      local first, second = one[2] - HEAD_START[one[3]], other[2] - HEAD_START[other[3]]
      return first < second or first == second and HEAD_START[one[3]] > HEAD_START[other[3]]
    end)
  end
  return found
end
