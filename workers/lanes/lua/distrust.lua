-- Closes the gate for one window, because the store's clock or its memory cannot be trusted.
--   KEYS[1]  P
--   ARGV     1 now, 2 budget
-- Answers 1.
-- include: lib/clock
-- include: lib/permits
permits_distrust(KEYS[1], clock(ARGV[1]), permits_budget(ARGV[2]))
return 1
