-- Announces that a ticket is about to be created, so that its webhook is known for our own doing.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 effect: turn and key  3 what the ticket will look like  4 lifetime (ms)
-- Answer  1
-- include: lib/clock
local P, now, life = KEYS[1], clock(ARGV[1]), tonumber(ARGV[4])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', P .. 'creating', '-inf', now - life)) do
  redis.call('HDEL', P .. 'drafts', old)
end
redis.call('ZREMRANGEBYSCORE', P .. 'creating', '-inf', now - life)
redis.call('ZADD', P .. 'creating', now, ARGV[2])
redis.call('HSET', P .. 'drafts', ARGV[2], ARGV[3])
redis.call('PEXPIRE', P .. 'creating', life)
redis.call('PEXPIRE', P .. 'drafts', life)
return 1
