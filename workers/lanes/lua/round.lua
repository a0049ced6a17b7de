-- Takes up the round that is due longest, or tells how long to wait. A round that nobody has seen before is due at once;
-- of rounds that were missed only the last one is made up for.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 token of the taker  3 lease (ms)  4 rounds [{name, period (ms)}] (JSON)
-- Answer  {1, name, state (JSON)} or {0, ms until it is worth asking again}
-- include: lib/clock
-- include: lib/rounds
local P, now, token, lease = KEYS[1], clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
-- How long (ms) the state of a round is kept that nobody asks for any more, in periods at least.
local FORGET, PERIODS = 30 * 86400000, 3

local function due_at(state, period)
  if not state then return now end
  if state.phase ~= 'done' then return state.till end
  return state.slot + period
end

local function begin(state, name, period)
  local slot = now
  if state then slot = state.slot + math.floor((now - state.slot) / period) * period end
  redis.call('DEL', P .. 'found:' .. name)
  return {slot = slot, period = period, phase = 'search', page = 1, found = 0, put = 0, cut = false, why = '',
    ended = state and state.ended or 0, told = state and state.told or nil}
end

local function forget()
  local all = redis.call('HGETALL', P .. 'rounds')
  for n = 1, #all, 2 do
    local state = cjson.decode(all[n + 1])
    if now - state.slot > math.max(FORGET, PERIODS * state.period) then redis.call('HDEL', P .. 'rounds', all[n]) end
  end
end

local chosen, first = nil, nil
for _, round in ipairs(cjson.decode(ARGV[4])) do
  local name, period = round[1], round[2]
  local state = rounds_of(P, name)
  -- A repeated call finds what it took.
  if state and state.token == token and state.till > now then return {1, name, cjson.encode(state)} end
  local due = due_at(state, period)
  if not first or due < first then chosen, first = {name, period, state}, due end
end
if not chosen then return {0, -1} end
if first > now then return {0, math.ceil(first - now)} end
local name, period, state = chosen[1], chosen[2], chosen[3]
if not state or state.phase == 'done' then
  state = begin(state, name, period)
  forget()
end
state.token, state.till = token, now + lease
rounds_keep(P, name, state)
return {1, name, cjson.encode(state)}
