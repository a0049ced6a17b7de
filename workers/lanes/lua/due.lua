-- Counts the lanes that may be claimed now, so that a process invites no more threads than there is work and room for it.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 how many to count at the most  3 read (0|1)  4 budget
-- Answer  {lanes, ms until it is worth asking again or -1}
-- include: lib/clock
-- include: lib/permits
-- include: lib/claims
local P, now = KEYS[1], clock(ARGV[1])
local due = ranks_due(P, now)
if not due[1] then return {0, due.wait} end
local _, stopped = claims_paused(P)
if stopped then return {0, -1} end
local most = math.min(tonumber(ARGV[2]), redis.call('ZCOUNT', P .. 'sched', '-inf', now))
if ARGV[3] ~= '1' then return {most, 0} end
local B = cjson.decode(ARGV[4])
local chosen, wait = claims_closely()(P, now, B, due)
if not chosen then return {0, wait} end
local _, _, reads = permits_wait(P, now, B, 'get', slots_first(chosen[3]))
local _, _, writes = permits_wait(P, now, B, 'post', chosen[3])
return {math.max(1, math.min(most, reads, B.post > 0 and writes or reads)), 0}
