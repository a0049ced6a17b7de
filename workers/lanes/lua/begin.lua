-- Begins an effect: lease, permit and journal entry in one step, or none of them.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 lane  3 token  4 effect  5 permit (chosen by the caller)  6 life of the call (ms)  7 budget  8 class
--         9 tries so far  10 parts of the effect that are not sent (JSON list), or ''  11 newest row of the ticket before
-- Answer  {1, now} begun   {0, wait (ms), why} no permit, nothing written   {-1} lease lost
--         {-2} begun before under another permit: it is in doubt
-- include: lib/clock
-- include: lib/lease
-- include: lib/permits
local P, now = KEYS[1], clock(ARGV[1])
local turn, field, permit, life = P .. 'turn:' .. ARGV[2], 'j:' .. ARGV[4], ARGV[5], tonumber(ARGV[6])
if not lease_held(P, ARGV[2], ARGV[3]) then return {-1} end
local before = redis.call('HGET', turn, field)
if before then
  local entry = cjson.decode(before)
  if entry.state == 'begun' and entry.permit == permit then return {1, entry.at} end
  return {-2}
end
local wait, why = permits_grant(P, now, cjson.decode(ARGV[7]), 'post', permit, ARGV[8], life)
if wait > 0 then return {0, wait, why} end
redis.call('HSET', turn, field, cjson.encode({
  v = 1, state = 'begun', permit = permit, at = now, deadline = now + life, tries = tonumber(ARGV[9]) + 1,
  without = ARGV[10] ~= '' and cjson.decode(ARGV[10]) or nil, after = tonumber(ARGV[11]),
}))
return {1, now}
