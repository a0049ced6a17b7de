-- Asks for a permit.
--   KEYS[1]  P
--   ARGV     1 now, 2 budget, 3 method (get, post), 4 permit id, 5 class, 6 ms until the call's deadline
-- Answers {wait in ms (0 = granted), why}.
-- include: lib/clock
-- include: lib/permits
local wait, why = permits_grant(KEYS[1], clock(ARGV[1]), permits_budget(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return {wait, why}
