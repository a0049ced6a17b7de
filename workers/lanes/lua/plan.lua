-- Stores a turn's plan: from here on the turn is frozen, and whoever claims the lane resumes the plan.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 plan (JSON)  5 budget  6 permit of the read or ''  7 outcome of the read  8 age (ms)
--         9 how many calls it has  10 the ids of its events (JSON)
-- Answer  1, or 0 when the lease is lost
-- include: lib/clock
-- include: lib/lease
-- include: lib/permits
local P, now = KEYS[1], clock(ARGV[1])
if ARGV[6] ~= '' then
  permits_release(P, now, cjson.decode(ARGV[5]), 'get', ARGV[6], ARGV[7], tonumber(ARGV[8]), 0)
end
if not lease_held(P, ARGV[2], ARGV[3]) then return 0 end
redis.call('HSETNX', P .. 'turn:' .. ARGV[2], 'plan', ARGV[4])
redis.call('HSETNX', P .. 'turn:' .. ARGV[2], 'calls', ARGV[9])
redis.call('HSETNX', P .. 'turn:' .. ARGV[2], 'events', ARGV[10])
redis.call('HDEL', P .. 'turn:' .. ARGV[2], 'mark')
return 1
