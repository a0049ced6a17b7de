-- Tells how much of the budget is used and what the gate does; changes nothing.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 budget
-- Answer  {gets used, gets allowed, posts used, posts allowed, in flight, state, why, ms to reopen, epoch, share in
--         thousandths}
-- include: lib/clock
-- include: lib/permits
local P, now, B = KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2])
local gate = permits_gate(P)
local past = '(' .. string.format('%.0f', now)
return {
  redis.call('ZCOUNT', P .. 'permits:get', past, '+inf'), permits_limit(B, gate, now, 'get', 'interactive'),
  redis.call('ZCOUNT', P .. 'permits:post', past, '+inf'), permits_limit(B, gate, now, 'post', 'interactive'),
  redis.call('ZCOUNT', P .. 'flight', past, '+inf'), gate.state, gate.why or '',
  gate.state == 'open' and 0 or math.max(0, gate.till - now),
  tonumber(redis.call('HGET', P .. 'gate', 'epoch') or 0), now < gate.share_till and gate.share or 1000,
}
