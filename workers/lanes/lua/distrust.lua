-- Closes the gate for one window, because the store's clock or its memory cannot be trusted.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 budget
-- Answer  1
-- include: lib/clock
-- include: lib/permits
permits_distrust(KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2]))
return 1
