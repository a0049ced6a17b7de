-- Gives the stored reference lists that are still fresh.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 most age (ms)  3.. names of lists
-- Answer  for each name its JSON, or false
-- include: lib/clock
local P, now = KEYS[1], clock(ARGV[1])
local found = {}
for i = 3, #ARGV do
  local at = tonumber(redis.call('HGET', P .. 'directory', 'at:' .. ARGV[i]) or 0)
  found[#found + 1] = now - at < tonumber(ARGV[2]) and redis.call('HGET', P .. 'directory', ARGV[i]) or false
end
return found
