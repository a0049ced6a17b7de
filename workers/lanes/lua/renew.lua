-- Prolongs the leases of all lanes that a process holds in an account.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lease (ms)  3.. lane, token, lane, token ...
-- Answer  the lanes whose lease is lost
-- include: lib/clock
-- include: lib/lease
local P, now = KEYS[1], clock(ARGV[1])
local lost = {}
for i = 3, #ARGV, 2 do
  if lease_held(P, ARGV[i], ARGV[i + 1]) then
    redis.call('ZADD', P .. 'sched', 'XX', now + ARGV[2], ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
