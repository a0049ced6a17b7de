-- Announces that a ticket is about to be created, so that its webhook is known for our own doing.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 effect: turn and key  3 what the ticket will look like  4 lifetime (ms)  5 ticket it is wanted on
--         6 how many tickets may be created one from another
-- Answer  1, or 0 when that ticket is the last of so many
-- include: lib/clock
local P, now, life = KEYS[1], clock(ARGV[1]), tonumber(ARGV[4])
if tonumber(redis.call('GET', P .. 'created:' .. ARGV[5]) or 0) >= tonumber(ARGV[6]) then return 0 end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', P .. 'creating', '-inf', now - life)) do
  redis.call('HDEL', P .. 'drafts', old)
end
redis.call('ZREMRANGEBYSCORE', P .. 'creating', '-inf', now - life)
redis.call('ZADD', P .. 'creating', now, ARGV[2])
redis.call('HSET', P .. 'drafts', ARGV[2], ARGV[3])
redis.call('PEXPIRE', P .. 'creating', life)
redis.call('PEXPIRE', P .. 'drafts', life)
return 1
