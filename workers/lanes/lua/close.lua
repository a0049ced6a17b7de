-- Closes the gate for a time, when the store's clock or its memory cannot be trusted.
--   KEYS[1]  P
--   ARGV     1 now, 2 budget, 3 ms to stay closed, 4 why
-- Answers 1.
-- include: lib/clock
-- include: lib/permits
local now = clock(ARGV[1])
permits_close(KEYS[1], permits_gate(KEYS[1]), now, 'locked', ARGV[4], now + tonumber(ARGV[3]))
return 1
