-- Settles a permit.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 budget  3 method  4 permit  5 outcome  6 age of the answer (ms)  7 wait told by HappyFox (ms)
-- Answer  1
-- include: lib/clock
-- include: lib/slots
local P, now, B = KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2])
if ARGV[5] == 'answered' and slots_open(P) then
  slots_answered(P, now, B, ARGV[3], ARGV[4], math.max(0, tonumber(ARGV[6])))
  return 1
end
-- include: lib/permits
permits_release(P, now, B, ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
