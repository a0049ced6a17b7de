-- Claims one due lane of an account, or tells how long to wait.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 nonce  3 lease (ms)  4 most events  5 read (0|1)  6 budget  7 life of the read (ms)
-- Answer  as claims_take
-- include: lib/clock
-- include: lib/lease
-- include: lib/claims
local P, now = KEYS[1], clock(ARGV[1])
return claims_take(P, now, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7])
