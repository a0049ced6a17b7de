-- Notes which handler is about to run, in a turn that crashed before: if it crashes again, this one did it.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 handler, or '' when it came back
-- Answer  1, or 0 when the lease is lost
-- include: lib/lease
local P = KEYS[1]
if not lease_held(P, ARGV[2], ARGV[3]) then return 0 end
if ARGV[4] == '' then
  redis.call('HDEL', P .. 'turn:' .. ARGV[2], 'mark')
else
  redis.call('HSET', P .. 'turn:' .. ARGV[2], 'mark', ARGV[4])
end
return 1
