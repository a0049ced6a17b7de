-- The lanes of `sched` by the class of what waits in them, so that a lane that may use a reserve is found behind any
-- number of lanes that may not.
--
--   P sched:interactive, P sched:normal   ZSET   lane -> its score in sched, or an earlier one, which is put right when
--                                                it is met; a lane in neither is bulk
--
-- A class has a head start of so many ms over the lanes that wait already. It is bounded and ages with the lane, so that
-- no lane waits for ever behind newer ones.
local RANKS = {'interactive', 'normal'}

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

-- The due lanes worth asking a permit for, at most one of each class, the one whose turn it is first: list of
-- {lane, since (ms), class, rank it was found under or nil}. An empty list has `wait`: the ms until a lane is due, or -1.
local function ranks_due(P, now)
  local found, ranked = {}, false
  local head = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
  local lane, since = head[1], tonumber(head[2])
  if not lane or since > now then
    found.wait = lane and math.max(1, math.ceil(since - now)) or -1
    return found
  end
  for _, rank in ipairs(RANKS) do
    local key = P .. 'sched:' .. rank
    for _ = 1, 100 do
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      if not first[1] or tonumber(first[2]) > now then break end
      ranked = ranked or first[1] == lane
      local due = first[1] == lane and since or tonumber(redis.call('ZSCORE', P .. 'sched', first[1]))
      if due and due <= now then
        found[#found + 1] = {first[1], due, rank, rank}
        break
      end
      if due then redis.call('ZADD', key, due, first[1]) else redis.call('ZREM', key, first[1]) end
    end
  end
  if not ranked then found[#found + 1] = {lane, since, 'bulk'} end
  if found[2] then
    local start = {interactive = 60000, normal = 30000, bulk = 0}
    table.sort(found, function(one, other)
      local first, second = one[2] - start[one[3]], other[2] - start[other[3]]
      return first < second or first == second and start[one[3]] > start[other[3]]
    end)
  end
  return found
end
