-- The memory of the store, and since when it is in doubt: an older copy was restored, a replica that lagged behind took
-- over, or a restart lost the last writes. What foxhooks did in the lost time is on the tickets, but not in the store.
--
--   P memory  HASH  server           the server that wrote here last, by the run id of its INFO
--                   server:<digest>  the same where INFO is forbidden: an id that this library gives itself
--                   doubts           how often the memory has been in doubt; a snapshot with a lower number is older
--                   at               ms when this was noticed last
--                   ends             ms of the last thing that the store still knew then; the oldest within a day
--                   alive            ms until when the server before certainly worked, 0 if no process saw it
--                   why              'server', or the person who said so; 'moved <account> <person>' if that account was
--                                    moved here
--                   unpaused         until a claim has paused the calls, because permits may be lost, too: 'always',
--                                    or 'restart' if that is not needed where a restart loses nothing

local DAY = 86400000

-- This server, and the field that names it. Both live as long as the process: a server that starts, or a replica that
-- takes over, finds the name of another one in its data.
local server, field

local function identify()
  if server then return end
  local info = redis.pcall('INFO', 'server')
  server, field = type(info) == 'string' and string.match(info, 'run_id:(%w+)'), 'server'
  if server then return end
  local t = redis.call('TIME')
  server, field = t[1] .. '.' .. t[2], 'server:' .. DIGEST
end

-- Return when the store last learned something: the latest delivery or turn.
local function last_sign(P)
  -- A key of the wrong type says nothing.
  local turn = redis.pcall('ZRANGE', P .. 'turns', -1, -1, 'WITHSCORES')
  local last = math.max(tonumber(turn[2]) or 0, tonumber(redis.pcall('GET', P .. 'store_epoch')) or 0)
  for _, at in ipairs(redis.pcall('HMGET', P .. 'counts', 'accepted:at', 'duplicate:at')) do
    last = math.max(last, tonumber(at) or 0)
  end
  return last
end

-- Put the memory in doubt. Return {doubts, at, ends, alive}.
function memory.doubt(P, now, why, alive)
  local known = redis.call('HMGET', P .. 'memory', 'doubts', 'at', 'ends')
  local before, ends = tonumber(known[2]) or 0, math.min(now, last_sign(P))
  if before > now - DAY then ends = math.min(ends, tonumber(known[3]) or ends) end
  local doubts, at = (tonumber(known[1]) or 0) + 1, math.max(now, before)
  local unpaused = why == 'server' and 'restart' or 'always'
  redis.call('HSET', P .. 'memory', 'doubts', doubts, 'at', at, 'ends', ends, 'alive', alive, 'why', why,
    'unpaused', unpaused)
  return {doubts, at, ends, alive}
end

-- Return what is stored, as memory.notice needs it: a caller that has written something reads it before.
function memory.read(P)
  identify()
  return redis.call('HMGET', P .. 'memory', field, 'doubts', 'at', 'ends', 'alive', 'unpaused')
end

-- Notice another server, before anything is decided from what the store says: exactly one call puts the memory in
-- doubt. `seen` is the server that the caller saw last or '', `silence` how many ms ago. Return {doubts, at, ends,
-- alive}, or false if it never was in doubt, and whether calls must pause for it: false, 'restart' or 'always'.
function memory.notice(P, now, seen, silence, known)
  known = known or memory.read(P)
  local alive = seen ~= '' and seen ~= server and now - tonumber(silence) or 0
  if known[1] ~= server then
    -- Data without a name that this library can compare, such as a copy from before servers were noted, may be older
    -- than the world.
    local other = known[1] or redis.call('EXISTS', P .. 'memory', P .. 'lease_number') > 0
    redis.call('HSET', P .. 'memory', field, server)
    if other then return memory.doubt(P, now, 'server', alive), 'restart' end
  end
  if not known[2] then return false, false end
  if alive > 0 and known[5] == '0' then
    redis.call('HSET', P .. 'memory', 'alive', alive)
    known[5] = alive
  end
  return {tonumber(known[2]), tonumber(known[3]), tonumber(known[4]), tonumber(known[5])}, known[6]
end

-- Note that the calls pause, or need not.
function memory.paused(P)
  redis.call('HDEL', P .. 'memory', 'unpaused')
end

-- notice: notice whether this is another server than the one that wrote here last.
-- ARGV    1 now  2 the server that the caller saw last, or ''  3 how many ms ago
-- Return  {this server, epoch of the store or false, how often its memory has been in doubt, why or ''}
register('notice', {args = 3, numbers = {3}, keys = {MEMORY}}, function(P, now, ARGV)
  local found = memory.notice(P, now, ARGV[2], ARGV[3])
  local why = found and redis.call('HGET', P .. 'memory', 'why') or ''
  return {server, redis.call('GET', P .. 'store_epoch'), found and found[1] or 0, why}
end)

-- doubt: put the memory in doubt, because a person says that an older copy was restored.
-- ARGV    1 now  2 who says so  3 who says so, for the audit log (JSON)
-- Return  {doubts, at, ends, alive}
register('doubt', {args = 3, by = 3, keys = {MEMORY, AUDIT}}, function(P, now, ARGV)
  memory.notice(P, now, '', 0)
  local before = redis.call('HGET', P .. 'memory', 'doubts') or '0'
  local found = memory.doubt(P, now, ARGV[2], 0)
  audit(P, now, ARGV[3], 'store restored', 'account', before .. ' times in doubt', found[1] .. ' times in doubt')
  return found
end)
