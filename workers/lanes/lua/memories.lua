-- Gives what was last seen of other tickets.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2.. tickets
-- Answer  for each ticket its last seen, or false
local P, found = KEYS[1], {}
for n = 2, #ARGV do found[n - 1] = redis.call('GET', P .. 'ticket:' .. ARGV[n]) end
return found
