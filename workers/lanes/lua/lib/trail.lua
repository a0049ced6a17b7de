-- The trail of a ticket: short lines, newest last, at most TRAIL_LINES of them.
local TRAIL_LINES = 200

local function trail_add(P, ticket, lines, life)
  if #lines == 0 then return end
  local key = P .. 'trail:' .. ticket
  redis.call('RPUSH', key, unpack(lines))
  redis.call('LTRIM', key, -TRAIL_LINES, -1)
  redis.call('PEXPIRE', key, life)
end
