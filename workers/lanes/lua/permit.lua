-- Asks for a permit.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 budget  3 method (get | post)  4 permit  5 class  6 ms until the call's deadline
-- Answer  {wait (ms), 0 when granted; why}
-- include: lib/clock
-- include: lib/slots
local P, now, B, life = KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2]), tonumber(ARGV[6])
if slots_quick(P, now, B, ARGV[3], ARGV[4], ARGV[5], life) then return {0, ''} end
-- include: lib/permits
return {permits_grant(P, now, B, ARGV[3], ARGV[4], ARGV[5], life)}
