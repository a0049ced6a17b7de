-- Tells what waits in an account; changes nothing.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 how many lanes to look into at the most
-- Answer  {lanes, lanes due, lanes looked into, calls planned in them}
-- include: lib/clock
local P, now = KEYS[1], clock(ARGV[1])
local lanes = redis.call('ZRANGE', P .. 'sched', 0, ARGV[2] - 1)
local planned = 0
for _, lane in ipairs(lanes) do planned = planned + (redis.call('HGET', P .. 'turn:' .. lane, 'calls') or 0) end
return {redis.call('ZCARD', P .. 'sched'), redis.call('ZCOUNT', P .. 'sched', '-inf', now), #lanes, planned}
