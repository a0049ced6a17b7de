-- Puts a dead letter back into its ticket's lane, as an event that owes its handler the letter's changes. However long
-- that waits, it is kept until a turn has taken it: nothing else tells what is owed.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 letter
-- Answer  the ticket, or 0 when there is no such letter (any more)
-- include: lib/clock
-- include: lib/schedule
local P, now, letter = KEYS[1], clock(ARGV[1]), ARGV[2]
local stored = redis.call('HMGET', P .. 'letter:' .. letter, 'ticket', 'evidence')
local id = 'replay-' .. letter
if not stored[1] then
  -- A repeated call finds the letter gone and its event waiting.
  local ticket = redis.call('HGET', P .. 'event:' .. id, 'ticket')
  return ticket and redis.call('LPOS', P .. 'lane:' .. ticket, id) and tonumber(ticket) or 0
end
redis.call('HSET', P .. 'event:' .. id, 'v', 1, 'ticket', stored[1], 'kind', 'updated', 'update', 0,
  'source', 'replay', 'at', now, 'debt', stored[2])
redis.call('RPUSH', P .. 'lane:' .. stored[1], id)
schedule_event(P, now, stored[1], 'bulk')
redis.call('ZREM', P .. 'dead', letter)
redis.call('DEL', P .. 'letter:' .. letter)
return tonumber(stored[1])
