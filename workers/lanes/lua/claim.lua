-- Claims one due lane of an account, or tells how long to wait.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2.. nonce, lease (ms), most events, read (0|1), life of the read (ms) and budget, as claims_take
-- Answer  as claims_take
-- include: lib/clock
-- include: lib/claims
local P, now = KEYS[1], clock(ARGV[1])
local before = redis.call('HGET', P .. 'own', '@' .. ARGV[2])
return claims_take(P, now, {unpack(ARGV, 2)}, before, '')
