-- Gives a lane back before its turn is over; it becomes due again after a delay.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 delay (ms)  5 budget  6 permit of the read or ''  7 outcome of the read  8 age (ms)
--         9 wait told by HappyFox (ms)  10 trail line or ''  11 lifetime of the trail (ms)
-- Answer  1, or 0 when the lease is lost
-- include: lib/clock
-- include: lib/lease
-- include: lib/permits
-- include: lib/ranks
-- include: lib/trail
local P, now = KEYS[1], clock(ARGV[1])
local lane, turn, due = ARGV[2], P .. 'turn:' .. ARGV[2], now + ARGV[4]
if ARGV[6] ~= '' then
  permits_release(P, now, cjson.decode(ARGV[5]), 'get', ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
end
if not lease_held(P, lane, ARGV[3]) then return 0 end
lease_end(P, lane, ARGV[3])
redis.call('ZADD', P .. 'sched', due, lane)
ranks_move(P, lane, due)
redis.call('HSETNX', turn, 'id', lease_nonce(ARGV[3]))
-- The claims counted so far were no crash, nobody is to blame.
redis.call('HSET', turn, 'v', 1, 'claims', 0)
redis.call('HDEL', turn, 'mark')
if ARGV[10] ~= '' then trail_add(P, lane, {ARGV[10]}, ARGV[11]) end
return 1
