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
local schedule, permits, memory, emails, leases, claims, history = {}, {}, {}, {}, {}, {}, {}

local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Set a field of a hash, or delete it if its value is empty.
local function set_or_delete(key, field, value)
  if value == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, value) end
end

-- List a dead letter, whose hash exists, and keep it for `life` ms.
local function keep_dead_letter(P, now, id, life)
  local list = P .. 'dead_letters'
  redis.call('ZADD', list, now, id)
  redis.call('PEXPIRE', list, math.max(life, redis.call('PTTL', list)))
  redis.call('PEXPIRE', P .. 'dead_letter:' .. id, life)
end

local function add_dead_letter(P, now, id, ticket, turn, evidence, life)
  redis.call('HSET', P .. 'dead_letter:' .. id, 'v', 1, 'at', now, 'ticket', ticket, 'turn', turn, 'evidence', evidence)
  keep_dead_letter(P, now, id, life)
end

-- Register `callback(KEYS, ARGV)` under its name and the digest of this library, so that two versions can run side by
-- side during a deployment. Functions that only read carry the flag `no-writes`, so that a full store still answers.
local function publish(name, callback, ...)
  redis.register_function({function_name = 'foxhooks_' .. name .. '_' .. DIGEST, callback = callback, flags = {...}})
end

-- Register `callback(P, now, ARGV)`.
local function register(name, callback, ...)
  publish(name, function(KEYS, ARGV) return callback(KEYS[1], clock(ARGV[1]), ARGV) end, ...)
end
