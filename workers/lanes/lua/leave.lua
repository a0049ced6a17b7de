-- Gives a round back before it is over, or ends it without having found anything.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 name of the round  3 token  4 ms until it may be taken up again, -1 when it is over  5 why, or ''
--         6 findings (JSON) or ''
-- Answer  1, or 0 when somebody else has taken up the round
-- include: lib/clock
-- include: lib/rounds
local P, now, name, wait = KEYS[1], clock(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local state = rounds_of(P, name)
if not state or state.token ~= ARGV[3] then return 0 end
state.token, state.why = '', ARGV[5]
if wait < 0 then
  state.phase, state.ended = 'done', now
  redis.call('DEL', P .. 'found:' .. name)
else
  state.till = now + wait
end
if ARGV[6] ~= '' then state.told = cjson.decode(ARGV[6]) end
rounds_keep(P, name, state)
return 1
