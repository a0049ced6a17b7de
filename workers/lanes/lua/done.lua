-- Ends an effect: its journal entry and the slot of its permit in one step.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 effect  5 journal entry (JSON), '' to forget that it began, '-' to leave it as it is
--         6 permit or ''  7 outcome of the call  8 age (ms)  9 wait told by HappyFox (ms)  10 budget
-- Answer  1, or 0 when the lease is lost (the slot is settled all the same)
-- include: lib/clock
-- include: lib/lease
-- include: lib/permits
local P, now = KEYS[1], clock(ARGV[1])
if ARGV[6] ~= '' then
  permits_release(P, now, cjson.decode(ARGV[10]), 'post', ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]))
end
if not lease_held(P, ARGV[2], ARGV[3]) then return 0 end
if ARGV[5] == '' then
  redis.call('HDEL', P .. 'turn:' .. ARGV[2], 'j:' .. ARGV[4])
elseif ARGV[5] ~= '-' then
  redis.call('HSET', P .. 'turn:' .. ARGV[2], 'j:' .. ARGV[4], ARGV[5])
end
return 1
