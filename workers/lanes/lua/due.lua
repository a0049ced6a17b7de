-- Counts the lanes that may be claimed now, so that a process invites no more threads than there is work.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 how many to count at the most  3 read (0|1)  4 budget  5 class
-- Answer  {lanes due, ms until it is worth asking again or -1}
-- include: lib/clock
-- include: lib/permits
local P, now = KEYS[1], clock(ARGV[1])
local due = redis.call('ZRANGEBYSCORE', P .. 'sched', '-inf', now, 'LIMIT', 0, ARGV[2])
if #due > 0 then
  if ARGV[3] == '1' then
    local wait = permits_wait(P, now, permits_budget(ARGV[4]), 'get', ARGV[5])
    if wait > 0 then return {0, wait} end
  end
  return {#due, 0}
end
local next = redis.call('ZRANGE', P .. 'sched', 0, 0, 'WITHSCORES')
return {0, next[2] and math.max(1, math.ceil(next[2] - now)) or -1}
