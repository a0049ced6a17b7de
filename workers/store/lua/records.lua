-- Small records of an account: pauses, snapshots of other tickets, reference lists, tickets that we created.

-- How to set the pause of a scope, or to end it with ''. Each function returns the pause before, or ''.
local set_pause = {}

local function set_field(P, field, value)
  local before = redis.call('HGET', P .. 'paused', field) or ''
  set_or_delete(P .. 'paused', field, value)
  return before
end

function set_pause.account(P, _, pause)
  return set_field(P, 'account', pause)
end

-- All routers are in one field, because every claim returns them.
function set_pause.router(P, name, pause)
  local all = cjson.decode(redis.call('HGET', P .. 'paused', 'routers') or '{}')
  local before = all[name] and cjson.encode(all[name]) or ''
  all[name] = pause ~= '' and cjson.decode(pause) or nil
  set_field(P, 'routers', next(all) and cjson.encode(all) or '')
  return before
end

-- Paused tickets are counted, so that a claim reads its own pause only if there are any.
function set_pause.ticket(P, name, pause)
  local before = set_field(P, 'ticket:' .. name, pause)
  if (before ~= '') ~= (pause ~= '') and redis.call('HINCRBY', P .. 'paused', 'tickets', pause ~= '' and 1 or -1) == 0 then
    redis.call('HDEL', P .. 'paused', 'tickets')
  end
  return before
end

-- Make the lanes due that wait for the end of a pause. The counter shows a running turn that a pause has ended since
-- its claim.
local function resume(P, now)
  redis.call('HINCRBY', P .. 'paused', 'ended', 1)
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'waiting_for_resume')) do
    if redis.call('ZSCORE', P .. 'schedule', lane) and redis.call('HEXISTS', P .. 'leases', lane) == 0 then
      redis.call('ZADD', P .. 'schedule', 'LT', now, lane)
      schedule.move(P, lane, tonumber(redis.call('ZSCORE', P .. 'schedule', lane)))
      redis.call('SREM', P .. 'waiting_for_resume', lane)
    end
  end
end

-- pause: pause an account, a router or a ticket, or end that pause.
-- ARGV    1 now  2 scope (account | router | ticket)  3 name of the router or ticket, or ''
--         4 the pause (JSON), or '' to end it  5 who does it (JSON)
-- Return  1 if it was paused before, else 0
register('pause', {args = 5, by = 5, keys = {LEASES, SCHEDULE, AUDIT, {paused = 'hash', waiting_for_resume = 'set'}}},
  function(P, now, ARGV)
  local scope, name, pause = ARGV[2], ARGV[3], ARGV[4]
  local before = set_pause[scope](P, name, pause)
  if before ~= '' or pause ~= '' then
    local object = name == '' and scope or scope .. ' ' .. name
    audit(P, now, ARGV[5], pause == '' and 'resume' or 'pause', object, before, pause)
  end
  if before ~= '' and pause == '' then resume(P, now) end
  return before ~= '' and 1 or 0
end)

-- audit: write to the audit log that a person has done something that no function of its own does.
-- ARGV    1 now  2 who (JSON)  3 what  4 object  5 before or ''  6 after or ''
-- Return  1
register('audit', {args = 6, by = 2, keys = {AUDIT}}, function(P, now, ARGV)
  audit(P, now, ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
  return 1
end)

-- read_snapshots: return the snapshots of other tickets.
-- ARGV    1 now  2.. tickets
-- Return  for each ticket its snapshot, or false
register('read_snapshots', {}, function(P, _, ARGV)
  local snapshots = {}
  for n = 2, #ARGV do snapshots[n - 1] = redis.call('GET', P .. 'snapshot:' .. ARGV[n]) end
  return snapshots
end, 'no-writes')

-- read_lists: return the stored reference lists that are still fresh.
-- ARGV    1 now  2 maximum age (ms)  3.. names of lists
-- Return  for each name its JSON, or false
register('read_lists', {least = 2, numbers = {2}}, function(P, now, ARGV)
  local lists = {}
  for n = 3, #ARGV do
    local at = (tonumber(redis.call('HGET', P .. 'directory', 'at:' .. ARGV[n])) or 0)
    lists[#lists + 1] = now - at < tonumber(ARGV[2]) and redis.call('HGET', P .. 'directory', ARGV[n]) or false
  end
  return lists
end, 'no-writes')

-- store_list: store a reference list as HappyFox sent it. All lists expire together, when none was stored for a while.
-- ARGV    1 now  2 name  3 JSON  4 lifetime (ms)
-- Return  1
register('store_list', {args = 4, numbers = {4}, keys = {{directory = 'hash'}}}, function(P, now, ARGV)
  redis.call('HSET', P .. 'directory', ARGV[2], ARGV[3], 'at:' .. ARGV[2], now)
  redis.call('PEXPIRE', P .. 'directory', ARGV[4])
  return 1
end)

-- announce_creation: announce that a ticket is about to be created, so that its webhook is recognized as ours.
-- ARGV    1 now  2 effect: turn and key  3 draft: what the ticket will look like  4 lifetime (ms)  5 ticket of the turn
--         6 how many tickets may be created one from another
-- Return  1, or 0 if the ticket of the turn is already the last of that many
register('announce_creation', {args = 6, numbers = {4, 6}, keys = {{creations = 'zset', drafts = 'hash'}}},
  function(P, now, ARGV)
  local life = tonumber(ARGV[4])
  if (tonumber(redis.call('GET', P .. 'created:' .. ARGV[5])) or 0) >= tonumber(ARGV[6]) then return 0 end
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', P .. 'creations', '-inf', now - life)) do
    redis.call('HDEL', P .. 'drafts', old)
  end
  redis.call('ZREMRANGEBYSCORE', P .. 'creations', '-inf', now - life)
  redis.call('ZADD', P .. 'creations', now, ARGV[2])
  redis.call('HSET', P .. 'drafts', ARGV[2], ARGV[3])
  redis.call('PEXPIRE', P .. 'creations', life)
  redis.call('PEXPIRE', P .. 'drafts', life)
  return 1
end)

-- read_creations: return which tickets we created.
-- ARGV    1 now  2.. tickets
-- Return  {those of the tickets that we created, drafts of the tickets being created}
register('read_creations', {}, function(P, _, ARGV)
  local created = {}
  for n = 2, #ARGV do
    if redis.call('EXISTS', P .. 'created:' .. ARGV[n]) == 1 then created[#created + 1] = ARGV[n] end
  end
  return {created, redis.call('HVALS', P .. 'drafts')}
end, 'no-writes')

-- record_shape: keep the shape of a delivery or an answer, with the time; beyond a limit only count it as `more`.
-- ARGV    1 now  2 digest  3 shape (JSON)  4 how many are kept at most
-- Return  how many there are if it is new, else 0
register('record_shape', {args = 4, numbers = {4}, keys = {{shapes = 'hash'}}}, function(P, now, ARGV)
  local key = P .. 'shapes'
  if redis.call('HEXISTS', key, ARGV[2]) == 1 then return 0 end
  if redis.call('HLEN', key) >= tonumber(ARGV[4]) then
    redis.call('HINCRBY', key, 'more', 1)
    return 0
  end
  redis.call('HSET', key, ARGV[2], string.format('%.0f ', now) .. ARGV[3])
  return redis.call('HLEN', key)
end)

-- learn: keep what deliveries have taught, once; not what a person has refused.
-- ARGV    1 now  2 what (number | event | contact)  3 value  4 digest of the shape that settled it
-- Return  1, or 0 if it is known or refused
register('learn', {args = 4, keys = {{shapes = 'hash'}}}, function(P, now, ARGV)
  local key, what = P .. 'shapes', ARGV[2]
  if redis.call('HEXISTS', key, 'refused ' .. what) == 1 then return 0 end
  return redis.call('HSETNX', key, 'learned ' .. what, string.format('%.0f ', now) .. ARGV[4] .. ' ' .. ARGV[3])
end)

-- refuse_learning: forget what was learned and do not learn it again, or allow it again.
-- ARGV    1 now  2 what  3 refuse, or '' to allow it  4 who does it (JSON)
-- Return  1, or 0 if it was so before
register('refuse_learning', {args = 4, by = 4, keys = {AUDIT, {shapes = 'hash'}}}, function(P, now, ARGV)
  local key, what, refused = P .. 'shapes', ARGV[2], ARGV[3] ~= ''
  local before = redis.call('HEXISTS', key, 'refused ' .. what) == 1
  if before == refused then return 0 end
  local learned = redis.call('HGET', key, 'learned ' .. what) or ''
  redis.call('HDEL', key, 'learned ' .. what, 'refused ' .. what)
  if refused then redis.call('HSET', key, 'refused ' .. what, string.format('%.0f', now)) end
  audit(P, now, ARGV[4], refused and 'forget' or 'allow', 'learned ' .. what, learned, '')
  return 1
end)

-- read_arrivals: count the deliveries that were accepted so far.
-- ARGV    1 now
-- Return  {now, accepted}
register('read_arrivals', {args = 1, keys = {{counts = 'hash'}}}, function(P, now)
  local counts = redis.call('HMGET', P .. 'counts', 'accepted', 'duplicate')
  return {now, (tonumber(counts[1]) or 0) + (tonumber(counts[2]) or 0)}
end, 'no-writes')

-- How long (ms) the last storm is kept, and how long after the last stormy moment another one is new.
local STORM_LIFE, STORM_OVER = 86400000, 60000

-- note_storm: note that it is stormy now.
-- ARGV    1 now  2 deliveries in the last minute  3 in a usual one
-- Return  1 if a new storm has begun, else 0
register('note_storm', {args = 3, numbers = {2, 3}, keys = {{storm = 'hash'}}}, function(P, now, ARGV)
  local key = P .. 'storm'
  local last, peak = unpack(redis.call('HMGET', key, 'last', 'peak'))
  local new = now - (tonumber(last) or 0) >= STORM_OVER
  if new then redis.call('HSET', key, 'since', now) end
  peak = math.max(tonumber(ARGV[2]), not new and tonumber(peak) or 0)
  redis.call('HSET', key, 'last', now, 'arrivals', ARGV[2], 'usual', ARGV[3], 'peak', peak)
  redis.call('PEXPIRE', key, STORM_LIFE)
  return new and 1 or 0
end)
