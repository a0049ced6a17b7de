-- Deletes a dead letter.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 letter
-- Answer  1, or 0 when there is no such letter (any more)
local P = KEYS[1]
redis.call('ZREM', P .. 'dead', ARGV[2])
return redis.call('DEL', P .. 'letter:' .. ARGV[2])
