-- Writes what became of an effect in another system; the first one of a turn freezes what its handlers were shown.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 effect: handler, a space, name  5 journal entry (JSON), '' to forget that it began
--         6 the reading (JSON), or '' when it is there already  7 the ids of the turn's events (JSON)
-- Answer  1, or 0 when the lease is lost
-- include: lib/lease
local P, turn = KEYS[1], KEYS[1] .. 'turn:' .. ARGV[2]
if not lease_held(P, ARGV[2], ARGV[3]) then return 0 end
if ARGV[6] ~= '' then
  redis.call('HSETNX', turn, 'reading', ARGV[6])
  redis.call('HSETNX', turn, 'events', ARGV[7])
end
if ARGV[5] == '' then
  redis.call('HDEL', turn, 'e:' .. ARGV[4])
else
  redis.call('HSET', turn, 'e:' .. ARGV[4], ARGV[5])
end
return 1
