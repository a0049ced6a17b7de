-- Moving: give what an account has in the store to another account, because its name has changed. P is the prefix of
-- the new name, Q that of the old one. Each function moves its part completely or not at all, so that a move that was
-- killed is finished by the next one, and each can be repeated.

-- How a value that both accounts have is joined, by the kind of its key: `sum` and `max` of numbers, as ZUNIONSTORE calls
-- it, `append` of texts, or `none` of it: the new account's is newer. Of other hashes, the new account keeps the fields that it has.
local JOIN = {gate = 'none', storm = 'none', store_epoch = 'none', counts = 'sum', stats = 'sum', ['stats:new'] = 'append',
  refusals = 'sum', calls_saved = 'sum', learned = 'sum', batches = 'sum', lease_number = 'max',
  keys_used = 'max', hosts = 'max', created = 'max', ['permits:get'] = 'MAX', ['permits:post'] = 'MAX',
  in_flight = 'MAX', turns = 'MAX', dead_letters = 'MAX', open = 'MAX', creations = 'MAX', emails = 'MAX'}

-- The keys of an account itself, without those of its lanes and tickets.
local OF_ACCOUNT = {'permits:get', 'permits:post', 'in_flight', 'gate', 'creations', 'drafts', 'turns', 'dead_letters',
  'quarantine', 'joins:quarantine', 'hosts', 'counts', 'calls_saved', 'batches', 'lease_number', 'refusals', 'keys_used',
  'stats:new', 'stats:totals', 'directory', 'store_epoch', 'audit', 'learned', 'missed', 'shapes', 'storm', 'open',
  'client_calls', 'client_counts'}

-- The keys of a ticket that are joined like any other, and the types of all of them.
local OF_TICKET = {'joins', 'settling', 'quiet', 'created', 'client_writes'}
local TYPES = {lane = 'list', turn = 'hash', snapshot = 'string', history = 'list', joins = 'hash', settling = 'string',
  quiet = 'string', created = 'string', client_writes = 'list'}

-- What is left in the end and means nothing without the rest.
local REMAINDER = {'memory', 'leases', 'schedule', 'schedule:interactive', 'schedule:normal', 'schedule:timers'}

local HISTORY_LINES = 200

-- Return the longer of two lifetimes; -1 is forever, -2 that there is no such key.
local function longer(one, other)
  if one == -1 or other == -1 then return -1 end
  return math.max(one, other)
end

local function set_life(key, life)
  if life > 0 then redis.call('PEXPIRE', key, life) elseif life == -1 then redis.call('PERSIST', key) end
end

local function kind_of(name)
  return JOIN[name] and name or string.match(name, '^[^:]+')
end

local join = {}

function join.string(from, to, how)
  local old, new = redis.call('GET', from), redis.call('GET', to)
  if how == 'sum' then redis.call('INCRBY', to, old) end
  if how == 'append' then redis.call('APPEND', to, old) end
  if how == 'max' and tonumber(old) > tonumber(new) then redis.call('SET', to, old) end
end

-- Times, whose names end in `@` or `:at`, are never added.
function join.hash(from, to, how)
  local all = redis.call('HGETALL', from)
  for n = 1, #all, 2 do
    local name, value = all[n], all[n + 1]
    if redis.call('HSETNX', to, name, value) == 0 and how then
      if how == 'sum' and not string.match(name, '@$') and not string.match(name, ':at$') then
        redis.call('HINCRBY', to, name, value)
      elseif tonumber(value) > tonumber(redis.call('HGET', to, name)) then
        redis.call('HSET', to, name, value)
      end
    end
  end
end

function join.list(from, to)
  local all = redis.call('LRANGE', from, 0, -1)
  for n = #all, 1, -1 do redis.call('LPUSH', to, all[n]) end
end

-- The lines of a stream have the order of their ids, so the new account keeps its own, and those of the old one follow.
function join.stream(from, to)
  for _, line in ipairs(redis.call('XRANGE', from, '-', '+')) do
    local fields = line[2]
    redis.call('XADD', to, '*', unpack(fields))
  end
end

function join.zset(from, to, how)
  redis.call('ZUNIONSTORE', to, 2, to, from, 'AGGREGATE', how)
end

-- Count the emails that a dead letter of both accounts holds.
local function count_held(P, id)
  local dead_letter = P .. 'dead_letter:' .. id
  if redis.call('EXISTS', dead_letter) == 0 then return end
  redis.call('HSET', dead_letter, 'held', redis.call('LLEN', P .. 'held:' .. id))
end

-- Move one key; join it with that of the new account, if there is one. A key that has another type there stays.
local function move_key(P, Q, name)
  local from, to = Q .. name, P .. name
  local kind, there = redis.call('TYPE', from).ok, redis.call('TYPE', to).ok
  if kind == 'none' then return true end
  if there == 'none' then return redis.call('RENAME', from, to) end
  if kind ~= there then return false end
  local life, how = longer(redis.call('PTTL', from), redis.call('PTTL', to)), JOIN[kind_of(name)]
  if how ~= 'none' then join[kind](from, to, how) end
  redis.call('DEL', from)
  set_life(to, life)
  if kind_of(name) == 'held' then count_held(P, string.sub(name, 6)) end
  return true
end

-- Join the pauses: whatever one of the two accounts has paused, is paused.
local function move_pauses(P, Q)
  local from, to = Q .. 'paused', P .. 'paused'
  local routers = cjson.decode(redis.call('HGET', from, 'routers') or '{}')
  for name, pause in pairs(cjson.decode(redis.call('HGET', to, 'routers') or '{}')) do routers[name] = pause end
  move_key(P, Q, 'paused')
  if next(routers) then redis.call('HSET', to, 'routers', cjson.encode(routers)) end
  local tickets = 0
  for _, name in ipairs(redis.call('HKEYS', to)) do
    if string.match(name, '^ticket:') then tickets = tickets + 1 end
  end
  if tickets > 0 then redis.call('HSET', to, 'tickets', tickets) end
end

-- Move the schedules. Of one that the new account has, too, the matches that have no event yet are added to its own.
local function move_tasks(P, Q, now)
  local from, to = Q .. 'periodic_tasks', P .. 'periodic_tasks'
  local all = redis.call('HGETALL', from)
  for n = 1, #all, 2 do
    local name, known = all[n], redis.call('HGET', to, all[n])
    if not known then
      redis.call('HSET', to, name, all[n + 1])
    elseif redis.call('EXISTS', Q .. 'matches:' .. name) == 1 then
      local state = cjson.decode(known)
      if state.phase == 'done' then
        state.phase, state.token, state.locked_until = 'enqueue', '', now
        redis.call('HSET', to, name, cjson.encode(state))
      end
    end
    move_key(P, Q, 'matches:' .. name)
    redis.call('HDEL', from, name)
  end
end

local function is_integer(text)
  return string.match(text, '^-?%d+$') ~= nil and #text <= 16
end

local function is_json(text)
  return (pcall(cjson.decode, text))
end

local function refuse_value(key, what)
  error('CORRUPT ' .. key .. ' has an unreadable value' .. (what and ' of ' .. what or ''), 0)
end

-- Raise an error if a value of a hash, or of the field `only`, is none of ours.
local function check_hash(key, is_ours, only)
  local all = only and {only, redis.call('HGET', key, only)} or redis.call('HGETALL', key)
  for n = 1, #all, 2 do
    if all[n + 1] and not is_ours(all[n + 1]) then refuse_value(key, all[n]) end
  end
end

-- Raise an error before the first write if joining the keys of two accounts would fail after it.
local function check_values(start)
  require_types(start, {paused = 'hash', periodic_tasks = 'hash', memory = 'hash'})
  check_hash(start .. 'paused', is_json, 'routers')
  check_hash(start .. 'periodic_tasks', is_json)
  check_hash(start .. 'memory', is_integer, 'doubts')
  for _, name in ipairs(OF_ACCOUNT) do
    local how = JOIN[kind_of(name)]
    local key = (how == 'sum' or how == 'max') and start .. name
    local kind = key and redis.call('TYPE', key).ok
    if kind == 'hash' then check_hash(key, is_integer) end
    if kind == 'string' and not is_integer(redis.call('GET', key)) then refuse_value(key) end
  end
end

-- move_account: put the memory of the new account in doubt, so that nothing the old one did is done again, then move the
-- keys of the account itself.
-- ARGV    1 now  2 prefix of the old account  3 why the memory is in doubt
-- Return  1, or the error CORRUPT <key> ... before anything is written
register('move_account', {args = 3}, function(P, now, ARGV)
  local Q = ARGV[2]
  check_values(P)
  check_values(Q)
  memory.notice(P, now, '', 0)
  local known = redis.call('HMGET', Q .. 'memory', 'doubts')[1]
  local doubts = math.max(tonumber(known or 0), tonumber(redis.call('HGET', P .. 'memory', 'doubts') or 0))
  redis.call('HSET', P .. 'memory', 'doubts', doubts)
  memory.doubt(P, now, ARGV[3], 0)
  for _, name in ipairs(OF_ACCOUNT) do move_key(P, Q, name) end
  move_pauses(P, Q)
  move_tasks(P, Q, now)
  return 1
end)

-- Return the lane's lease if it is still valid.
local function working(P, now, lane)
  return redis.call('HEXISTS', P .. 'leases', lane) == 1
    and tonumber(redis.call('ZSCORE', P .. 'schedule', lane) or 0) > now
end

-- Return whether a turn has work that a worker must finish.
local function is_unfinished(turn)
  for _, name in ipairs(redis.call('HKEYS', turn)) do
    if name == 'plan' or name == 'reading' or name == 'pending' or string.match(name, '^external:') then return true end
  end
  return false
end

-- Move the waiting events of a lane before those of the new account.
local function move_events(P, Q, lane)
  local from, to = Q .. 'lane:' .. lane, P .. 'lane:' .. lane
  local ids = redis.call('LRANGE', from, 0, -1)
  for n = #ids, 1, -1 do
    move_key(P, Q, 'event:' .. ids[n])
    if not redis.call('LPOS', to, ids[n]) then redis.call('LPUSH', to, ids[n]) end
  end
  redis.call('DEL', from)
end

-- Move when the lane is due, and its class. With work on both sides, the earlier time counts, but a turn that the new
-- account has begun keeps its own.
local function move_due(P, Q, lane, begun)
  local key, turn = P .. 'schedule', P .. 'turn:' .. lane
  local old = tonumber(redis.call('ZSCORE', Q .. 'schedule', lane))
  local new = tonumber(redis.call('ZSCORE', key, lane))
  local due = old and new and math.min(old, new) or old or new
  if begun and new then due = new end
  if due then
    redis.call('ZADD', key, due, lane)
    schedule.move(P, lane, due)
    for _, class in ipairs({'interactive', 'normal'}) do
      if redis.call('ZSCORE', Q .. 'schedule:' .. class, lane) then
        schedule.set_class(P, lane, due, class)
        break
      end
    end
    if old and new and not begun then redis.call('HSET', turn, 'v', 1, 'retry', due) end
  end
  local timer, only = redis.call('ZSCORE', Q .. 'schedule:timers', lane), P .. 'schedule:timers'
  if not new and timer then redis.call('ZADD', only, timer, lane) elseif old then redis.call('ZREM', only, lane) end
  redis.call('ZREM', Q .. 'schedule:timers', lane)
  redis.call('ZREM', Q .. 'schedule', lane)
  schedule.move(Q, lane, nil)
end

-- Move an unfinished turn, which the lease of a dead worker may be the only sign of.
local function move_turn(P, Q, lane, begun)
  local from, to = Q .. 'turn:' .. lane, P .. 'turn:' .. lane
  local token = redis.call('HGET', Q .. 'leases', lane)
  if token and not begun then
    redis.call('HSETNX', from, 'id', leases.nonce(token))
    redis.call('HSETNX', from, 'claims', 1)
    redis.call('HSET', from, 'v', 1)
  end
  if token then leases.delete(Q, lane, token) end
  if redis.call('EXISTS', from) == 0 then return end
  if begun then
    redis.call('DEL', from)
  else
    redis.call('DEL', to)
    redis.call('RENAME', from, to)
  end
end

-- Move a history before that of the new account, and add a line.
local function move_history(P, Q, lane, line)
  if redis.call('EXISTS', Q .. 'history:' .. lane) == 0 then return end
  move_key(P, Q, 'history:' .. lane)
  local key = P .. 'history:' .. lane
  local left = redis.call('PTTL', key)
  if line ~= '' then redis.call('RPUSH', key, line) end
  redis.call('LTRIM', key, -HISTORY_LINES, -1)
  set_life(key, left)
end

-- Return whether a key of a ticket has the wrong type or value: the move would fail after its first writes.
local function is_corrupt(P, lane)
  for kind, expected in pairs(TYPES) do
    local actual = redis.call('TYPE', P .. kind .. ':' .. lane).ok
    if actual ~= expected and actual ~= 'none' then return true end
  end
  local created = redis.call('GET', P .. 'created:' .. lane)
  return created and not is_integer(created)
end

-- Return why a ticket cannot be moved now, or nil, and whether the new account has begun a turn on it.
local function why_not(P, Q, now, lane)
  if is_corrupt(Q, lane) or is_corrupt(P, lane) then return 'corrupt' end
  if working(Q, now, lane) then return 'running-old' end
  if working(P, now, lane) then return 'running-new' end
  -- The lease of a dead worker is the only sign of a turn at its first claim.
  local begun = is_unfinished(P .. 'turn:' .. lane) or redis.call('HEXISTS', P .. 'leases', lane) == 1
  if begun and is_unfinished(Q .. 'turn:' .. lane) then return 'unfinished' end
  return nil, begun
end

-- move_ticket: move all that is stored under a ticket's number.
-- ARGV    1 now  2 prefix of the old account  3 ticket  4 line for its history; empty for none
--         5 its snapshot in the old account, 6 in the new one: '' for none  7 the two joined; empty if there are not two
-- Return  '' if it is moved, else why not: corrupt, running-old, running-new, unfinished (on both sides), changed (a
--         snapshot)
register('move_ticket', {args = 7}, function(P, now, ARGV)
  local Q, lane = ARGV[2], ARGV[3]
  local reason, begun = why_not(P, Q, now, lane)
  if reason then return reason end
  local old, new = redis.call('GET', Q .. 'snapshot:' .. lane), redis.call('GET', P .. 'snapshot:' .. lane)
  if (old or '') ~= ARGV[5] or (new or '') ~= ARGV[6] then return 'changed' end
  if ARGV[7] ~= '' then
    local life = longer(redis.call('PTTL', Q .. 'snapshot:' .. lane), redis.call('PTTL', P .. 'snapshot:' .. lane))
    redis.call('SET', P .. 'snapshot:' .. lane, ARGV[7])
    set_life(P .. 'snapshot:' .. lane, life)
    redis.call('DEL', Q .. 'snapshot:' .. lane)
  else
    move_key(P, Q, 'snapshot:' .. lane)
  end
  move_turn(P, Q, lane, begun)
  move_due(P, Q, lane, begun)
  move_events(P, Q, lane)
  for _, kind in ipairs(OF_TICKET) do move_key(P, Q, kind .. ':' .. lane) end
  move_history(P, Q, lane, ARGV[4])
  if redis.call('SREM', Q .. 'waiting_for_resume', lane) == 1 then
    redis.call('SADD', P .. 'waiting_for_resume', lane)
  end
  return ''
end)

-- move_keys: move other keys: records, dead letters, handled events and what belongs to them.
-- ARGV    1 now  2 prefix of the old account  3.. names of keys, without the prefix
-- Return  the names of keys that stay, because their type differs in the new account
register('move_keys', {least = 2}, function(P, _, ARGV)
  local stay = {}
  for n = 3, #ARGV do
    if not move_key(P, ARGV[2], ARGV[n]) then stay[#stay + 1] = ARGV[n] end
  end
  return stay
end)

-- move_rest: delete what means nothing when all else has been moved, unless a lane is left.
-- ARGV    1 now  2 prefix of the old account
-- Return  1, or 0 if a lane is left
register('move_rest', {args = 2}, function(_, _, ARGV)
  local Q = ARGV[2]
  if redis.call('ZCARD', Q .. 'schedule') > 0 then return 0 end
  for _, name in ipairs(REMAINDER) do redis.call('DEL', Q .. name) end
  return 1
end)
