-- Tells which tickets are our own doing.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2.. tickets
-- Answer  {those of the tickets that we created, looks of the tickets being created}
local P, known = KEYS[1], {}
for n = 2, #ARGV do
  if redis.call('EXISTS', P .. 'created:' .. ARGV[n]) == 1 then known[#known + 1] = ARGV[n] end
end
return {known, redis.call('HVALS', P .. 'drafts')}
