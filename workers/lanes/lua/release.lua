-- Settles a permit.
--   KEYS[1]  P
--   ARGV     1 now, 2 budget, 3 method, 4 permit id, 5 outcome, 6 ms since the answer, 7 ms of wait it asked for
-- Answers 1.
-- include: lib/clock
-- include: lib/permits
permits_release(KEYS[1], clock(ARGV[1]), permits_budget(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
