-- Notes the tickets of one page of a round's search.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 name of the round  3 token  4 lease (ms)  5 page  6 its tickets (JSON)  7 last page (0|1)
--         8 how many tickets a round takes at the most
-- Answer  1, or 0 when somebody else has taken up the round
-- include: lib/clock
-- include: lib/rounds
local P, now, name, page, most = KEYS[1], clock(ARGV[1]), ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[8])
local state = rounds_of(P, name)
if not state or state.token ~= ARGV[3] then return 0 end
if state.phase ~= 'search' or state.page ~= page then return 1 end
local list, tickets = P .. 'found:' .. name, cjson.decode(ARGV[6])
for _, ticket in ipairs(tickets) do
  if state.found < most then
    redis.call('RPUSH', list, string.format('%.0f', ticket))
    state.found = state.found + 1
  else
    state.cut = true
  end
end
redis.call('PEXPIRE', list, 7 * 86400000)
state.page = page + 1
if ARGV[7] == '0' and state.found >= most then state.cut = true end
if ARGV[7] == '1' or state.cut then state.phase = 'spread' end
state.till, state.why = now + ARGV[4], ''
rounds_keep(P, name, state)
return 1
