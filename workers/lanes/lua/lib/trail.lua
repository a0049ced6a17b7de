-- The trail of a ticket: short lines, newest last, at most TRAIL_LINES of them.
local TRAIL_LINES = 200

local function trail_add(P, ticket, lines, life)
  if #lines == 0 then return end
  local key = P .. 'trail:' .. ticket
  -- Somebody may have stored something else there; a trail is worth less than the turn it tells of.
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'list' and kind ~= 'none' then redis.call('DEL', key) end
  redis.call('RPUSH', key, unpack(lines))
  redis.call('LTRIM', key, -TRAIL_LINES, -1)
  redis.call('PEXPIRE', key, life)
end
