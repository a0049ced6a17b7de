-- Stores a reference list as HappyFox sent it.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 name  3 JSON
-- Answer  1
-- include: lib/clock
local P, now = KEYS[1], clock(ARGV[1])
redis.call('HSET', P .. 'directory', ARGV[2], ARGV[3], 'at:' .. ARGV[2], now)
return 1
