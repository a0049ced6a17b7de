-- The library of Redis functions that contains all store logic of foxhooks. `workers/store/scripts.py` joins the files
-- of this folder in the order of MODULES; each file is a block of its own, so its `local` names are private to it. A
-- file shares functions with later files through its table below.
--
-- Every function is called with KEYS[1], the prefix of the account's keys ("P" in this code), and ARGV[1], the time:
-- empty for the store's own clock, milliseconds in tests. All other keys are named from the prefix; `keys.py` lists
-- them. All times are milliseconds.
--
-- A function may run twice with the same arguments, because the client repeats a call whose answer was lost. The second
-- run must return what the first one returned.
--
-- The store has no rollback: a function that fails after its first write leaves half of its work. So everything that
-- can fail is checked before: `register` checks the number of arguments, the numbers among them, and the types of the keys
-- that the function declares. A function checks itself what depends on its data. A list from outside is never unpacked
-- as a whole, because Lua limits how many values that may be.
local figures, schedule, permits, memory, emails, leases, claims, history, state = {}, {}, {}, {}, {}, {}, {}, {}, {}

-- The types of the keys of an account that several functions need.
local SCHEDULE = {schedule = 'zset', ['schedule:interactive'] = 'zset', ['schedule:normal'] = 'zset'}
local TIMERS = {['schedule:timers'] = 'zset'}
local PERMITS = {gate = 'hash', ['permits:get'] = 'zset', ['permits:post'] = 'zset', in_flight = 'zset'}
local LEASES, MEMORY = {leases = 'hash'}, {memory = 'hash'}
local DEAD_LETTERS = {dead_letters = 'zset'}
local AUDIT = {audit = 'stream'}

local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Set a field of a hash, or delete it if its value is empty.
local function set_or_delete(key, field, value)
  if value == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, value) end
end

-- Commands that fail for a key of another type, and cost less than TYPE.
local LENGTH = {string = 'STRLEN', hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN'}

-- Return which type a key has if it has another than expected, or nil.
local function other_type(key, expected)
  if type(redis.pcall(LENGTH[expected], key)) == 'table' then return redis.call('TYPE', key).ok end
end

local function describe_type(key, actual)
  return 'CORRUPT ' .. key .. ' is a ' .. actual
end

-- Raise an error if a key exists and has another type.
local function require_type(key, expected)
  local actual = other_type(key, expected)
  if actual then error(redis.error_reply(describe_type(key, actual)), 0) end
end

local function require_types(P, keys)
  for key, expected in pairs(keys) do require_type(P .. key, expected) end
end

-- Delete a key of the wrong type that must not fail the turn: only people read it.
local function replace_other_type(key, expected)
  if other_type(key, expected) then redis.call('DEL', key) end
end

-- The members of a budget, see permits.lua.
local BUDGET = {'get', 'post', 'window', 'guard', 'lockout', 'lockguard', 'in_flight', 'grace'}

-- The last budgets and their texts: each account has one, and decoding it costs as much as several commands.
local budgets, budgets_kept, MOST_BUDGETS = {}, 0, 1000

-- Return a budget, which nobody may change.
local function decode_budget(text)
  local budget = budgets[text]
  if budget then return budget end
  budget = cjson.decode(text)
  for _, name in ipairs(BUDGET) do
    if type(budget[name]) ~= 'number' then error('`' .. name .. '` of the budget is not a number', 0) end
  end
  if budgets_kept >= MOST_BUDGETS then budgets, budgets_kept = {}, 0 end
  budgets[text], budgets_kept = budget, budgets_kept + 1
  return budget
end

-- List a dead letter, whose hash exists, and keep it for `life` ms.
local function keep_dead_letter(P, now, id, life)
  local list = P .. 'dead_letters'
  redis.call('ZADD', list, now, id)
  redis.call('PEXPIRE', list, math.max(life, redis.call('PTTL', list)))
  redis.call('PEXPIRE', P .. 'dead_letter:' .. id, life)
end

local function add_dead_letter(P, now, id, ticket, turn, evidence, life)
  local key = P .. 'dead_letter:' .. id
  replace_other_type(key, 'hash')
  redis.call('HSET', key, 'v', 1, 'at', now, 'ticket', ticket, 'turn', turn, 'evidence', evidence)
  keep_dead_letter(P, now, id, life)
end

-- How many lines the audit log keeps, and how long (ms).
local AUDIT_LINES, AUDIT_LIFE = 20000, 400 * 86400000

-- Write to the audit log that a person has done something; the function that does it calls this, so that nothing is
-- done without its line. `by` is who: `By` in audit.py (JSON). A repeated call that changed nothing writes nothing.
local function audit(P, now, by, what, object, before, after)
  if before == after and before ~= '' then return end
  local key, who = P .. 'audit', cjson.decode(by)
  redis.call('XADD', key, 'MAXLEN', '~', AUDIT_LINES, '*', 'v', 1, 'at', now, 'who', who.who, 'role', who.role,
    'from', who.from, 'what', what, 'object', object, 'before', before, 'after', after, 'why', who.why)
  redis.call('XTRIM', key, 'MINID', '~', string.format('%.0f', math.max(0, now - AUDIT_LIFE)))
  redis.call('PEXPIRE', key, AUDIT_LIFE)
end

-- List what `needs` says of keys: a flat list of names and types, and one of kinds and types.
local function list_keys(needs)
  local keys, named = {}, {}
  for _, listed in ipairs(needs.keys or {}) do
    for key, expected in pairs(listed) do
      keys[#keys + 1] = key
      keys[#keys + 1] = expected
    end
  end
  for kind, expected in pairs(needs.named or {}) do
    named[#named + 1] = kind
    named[#named + 1] = expected
  end
  return keys, named
end

-- Return the first key of another type and this type, or nil.
local function find_other_type(P, ARGV, keys, named)
  for n = 1, #keys + #named, 2 do
    local at = n - #keys
    local key = at < 1 and P .. keys[n] or P .. named[at] .. ':' .. ARGV[2]
    local actual = other_type(key, at < 1 and keys[n + 1] or named[at + 1])
    if actual then return key, actual end
  end
end

local function measure(P, ARGV, keys, named)
  for n = 1, #keys, 2 do redis.call(LENGTH[keys[n + 1]], P .. keys[n]) end
  for n = 1, #named, 2 do redis.call(LENGTH[named[n + 1]], P .. named[n] .. ':' .. ARGV[2]) end
end

-- Return why a function cannot run with these arguments, or nil.
local function refuse(P, ARGV, name, needs, keys, named)
  if needs.args and #ARGV ~= needs.args or #ARGV < (needs.least or 1) then
    return 'ERR ' .. name .. ' does not take ' .. #ARGV .. ' arguments'
  end
  for n = 1, needs.numbers and #needs.numbers or 0 do
    if not tonumber(ARGV[needs.numbers[n]]) then
      return 'ERR argument ' .. needs.numbers[n] .. ' of ' .. name .. ' is not a number'
    end
  end
  if needs.by and not pcall(cjson.decode, ARGV[needs.by]) then
    return 'ERR argument ' .. needs.by .. ' of ' .. name .. ' does not say who does it'
  end
  if pcall(measure, P, ARGV, keys, named) then return end
  local key, actual = find_other_type(P, ARGV, keys, named)
  return key and describe_type(key, actual)
end

-- Register `callback(KEYS, ARGV)` under its name and the digest of this library, so that two versions can run side by
-- side during a deployment. Functions that only read carry the flag `no-writes`, so that a full store still answers.
local function publish(name, callback, ...)
  redis.register_function({function_name = 'foxhooks_' .. name .. '_' .. DIGEST, callback = callback, flags = {...}})
end

-- Register `callback(P, now, ARGV)`. `needs` is what must be true before it runs:
--   args     how many arguments it takes, or least: how many at least
--   numbers  which of them are numbers
--   by       which of them says who does it, for the audit log
--   keys     list of tables: the account's keys that it may use -> their types
--   named    keys that end in ARGV[2], a lane or a task -> their types
local function register(name, needs, callback, ...)
  local keys, named -- listed by the first call, because `pairs` does not exist while the library is loaded
  publish(name, function(KEYS, ARGV)
    if not keys then keys, named = list_keys(needs) end
    local refusal = refuse(KEYS[1], ARGV, name, needs, keys, named)
    if refusal then return redis.error_reply(refusal) end
    return callback(KEYS[1], clock(ARGV[1]), ARGV)
  end, ...)
end
