-- Tells what waits in an account; changes nothing. Lanes that only wait for a timer still to come are no backlog.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 how many lanes to look into at the most
-- Answer  {lanes, lanes due, lanes looked into, calls planned in them}
-- include: lib/clock
local P, now = KEYS[1], clock(ARGV[1])
local timers = redis.call('ZCOUNT', P .. 'sched:timer', '(' .. string.format('%.0f', now), '+inf')
local looked, planned = 0, 0
for _, lane in ipairs(redis.call('ZRANGE', P .. 'sched', 0, ARGV[2] - 1)) do
  local timer = timers > 0 and redis.call('ZSCORE', P .. 'sched:timer', lane)
  if not (timer and tonumber(timer) > now) then
    looked = looked + 1
    planned = planned + (redis.call('HGET', P .. 'turn:' .. lane, 'calls') or 0)
  end
end
return {redis.call('ZCARD', P .. 'sched') - timers, redis.call('ZCOUNT', P .. 'sched', '-inf', now), looked, planned}
