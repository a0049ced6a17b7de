-- State: what routers remember across tickets (`ctx.store`). It is written only together with the plan of a turn, so that
-- each change happens exactly once, or not at all.
--
--   P state:<router>:<kind>:<name>   HASH  version     id of the turn that changed it last
--                                          ticket      the ticket of that turn
--                                          until       ms until which it is kept, also by tests with a clock of their own
--                                          value       of a value or a rotation (JSON), or of a counter
--                                          m:<member>  of a set: ms until which it is a member, a space, and the ticket

-- Return the first entry in `reads` that is not what its handler read, or nil. Each is {entry, field, value or ''}.
function state.changed_since(P, reads)
  for _, read in ipairs(reads) do
    local found = redis.pcall('HGET', P .. 'state:' .. read[1], read[2])
    if (type(found) == 'string' and found or '') ~= read[3] then return read[1] end
  end
end

-- Add and remove members, and drop those whose time is over. Return false if none is left.
local function change_members(key, now, ticket, change)
  local all, left = redis.call('HGETALL', key), 0
  for n = 1, #all, 2 do
    if string.sub(all[n], 1, 2) == 'm:' then
      local ended = (tonumber(string.match(all[n + 1], '^%d+')) or 0) <= now
      if ended then redis.call('HDEL', key, all[n]) else left = left + 1 end
    end
  end
  for _, member in ipairs(change.remove or {}) do left = left - redis.call('HDEL', key, 'm:' .. member) end
  for _, member in ipairs(change.add or {}) do
    left = left + redis.call('HSET', key, 'm:' .. member, string.format('%.0f %s', now + change.keep, ticket))
  end
  return left > 0
end

-- Make one change. Whatever else the key holds is replaced: it is unreadable, or its time is over.
local function apply(P, now, turn, ticket, change)
  local key = P .. 'state:' .. change.entry
  replace_other_type(key, 'hash')
  local known = redis.call('HMGET', key, 'until', 'value')
  if change.delete or (tonumber(known[1]) or 0) <= now then redis.call('DEL', key) end
  if change.delete then return end
  local life = change.keep
  if change.by then
    if known[2] and not string.match(known[2], '^%-?%d+$') then redis.call('HDEL', key, 'value') end
    redis.call('HINCRBY', key, 'value', change.by)
  elseif change.value then
    redis.call('HSET', key, 'value', change.value)
  else
    if not change_members(key, now, ticket, change) then return redis.call('DEL', key) end
    life = math.max(life, (tonumber(known[1]) or 0) - now)
  end
  redis.call('HSET', key, 'version', turn, 'ticket', ticket, 'until', string.format('%.0f', now + life))
  redis.call('PEXPIRE', key, life)
end

-- Make all changes of a turn.
function state.apply(P, now, turn, ticket, changes)
  for _, change in ipairs(changes) do apply(P, now, turn, ticket, change) end
end

-- read_state: read an entry.
-- ARGV    1 now  2 entry: <router>:<kind>:<name>
-- Return  its fields and values as a flat list, empty if there is none
register('read_state', {args = 2}, function(P, _, ARGV)
  local found = redis.pcall('HGETALL', P .. 'state:' .. ARGV[2])
  return found.err and {} or found
end, 'no-writes')
