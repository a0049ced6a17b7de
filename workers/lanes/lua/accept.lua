-- Stores a batch of deliveries of one account: each joins an event that waits, or becomes one, or goes to quarantine.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 retention (s)  3 how many unreadable deliveries are kept  4 arrivals  5 refused since the last time
--         4 msgpack list of {id, ticket, digest, kind, update, update id, actor, label, rule, source, headers,
--           reason}, texts all but `update`; with a reason the delivery is unreadable and has no ticket
--         5 msgpack map, reason -> how many
--         6... the body of each arrival
-- Answer  for each arrival the id of its event: its own, or that of the event it joined; '' when its lane is spoilt;
--         the error SPOILT <key> is a <type> when a key is that all lanes need
-- include: lib/clock
-- include: lib/schedule
local P, now = KEYS[1], clock(ARGV[1])

-- The keys that storing needs whatever the ticket. Looked at when something fails, and when nothing arrived, which is how
-- it is asked whether deliveries can be stored.
local KINDS = {batches = 'string', birth = 'string', sched = 'zset', ['sched:interactive'] = 'zset',
  ['sched:normal'] = 'zset', own = 'hash', counts = 'hash', quarantine = 'list', ['joins:quarantine'] = 'hash'}
local function sound()
  for name, kind in pairs(KINDS) do
    local found = redis.call('TYPE', P .. name).ok
    if found ~= kind and found ~= 'none' then error('SPOILT ' .. P .. name .. ' is a ' .. found) end
  end
end

local function words(fault)
  return type(fault) == 'table' and fault.err or tostring(fault)
end

local function wrong_type(fault)
  return string.find(words(fault), 'WRONGTYPE', 1, true)
end

local counted = {}
local function count(what, n)
  counted[what] = (counted[what] or 0) + n
end

-- What a delivery does not tell is not stored: an event costs memory for as long as it is retained.
local TOLD = {[6] = 'update_id', [7] = 'actor', [8] = 'label', [9] = 'rule', [11] = 'headers', [12] = 'reason'}
local function store(id, a, body)
  local fields = {'v', 1, 'ticket', a[2], 'digest', a[3], 'kind', a[4], 'update', a[5] and 1 or 0,
    'source', a[10], 'at', now, 'body', body}
  for n, name in pairs(TOLD) do
    if a[n] ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = a[n]
    end
  end
  redis.call('HSET', P .. 'event:' .. id, unpack(fields))
  redis.call('EXPIRE', P .. 'event:' .. id, ARGV[2])
end

local function quarantine(id, a, body)
  local list, joins = P .. 'quarantine', P .. 'joins:quarantine'
  local known = redis.call('HGET', joins, a[3])
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return known end
  store(id, a, body)
  redis.call('HSET', joins, a[3], id)
  redis.call('EXPIRE', joins, ARGV[2])
  if redis.call('RPUSH', list, id) > tonumber(ARGV[3]) then
    local oldest = P .. 'event:' .. redis.call('LPOP', list)
    local digest = redis.call('HGET', oldest, 'digest')
    if digest then redis.call('HDEL', joins, digest) end
    redis.call('DEL', oldest)
  end
  redis.call('EXPIRE', list, ARGV[2])
  return id
end

local function accept(id, a, body)
  local lane, joins = P .. 'lane:' .. a[2], P .. 'joins:' .. a[2]
  local known = redis.call('HGET', joins, a[3])
  -- An event that waits for longer than it is kept leaves its digest behind: claiming cannot tell what to remove.
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then
    count('duplicate', 1)
    return known
  end
  redis.call('RPUSH', lane, id)
  store(id, a, body)
  schedule_event(P, now, a[2], class_of(a[4], a[7], a[8], a[10]))
  -- Last, so that nothing can join an event that a key of the wrong type kept from its lane.
  redis.call('HSET', joins, a[3], id)
  count('accepted', 1)
  return id
end

-- A key of the wrong type concerns its own ticket alone: that delivery is answered '' and the others are stored. All other
-- errors end the whole batch, before it wrote anything.
local function take(id, a, body)
  local taken, known = pcall(accept, id, a, body)
  if taken then return known end
  if not wrong_type(known) then error(known) end
  sound()
  count('spoilt', 1)
  return ''
end

local function take_all()
  -- Always a write, so that WAITAOF on this connection also covers what a duplicate joined on another one.
  redis.call('INCR', P .. 'batches')
  redis.call('SET', P .. 'birth', now, 'NX')
  local answer = {}
  for n, a in ipairs(cmsgpack.unpack(ARGV[4])) do
    local id = a[1]
    if redis.call('EXISTS', P .. 'event:' .. id) == 1 then
      answer[n] = id
    elseif a[12] ~= '' then
      count('quarantined', 1)
      answer[n] = quarantine(id, a, ARGV[5 + n])
    else
      answer[n] = take(id, a, ARGV[5 + n])
    end
  end
  for reason, n in pairs(cmsgpack.unpack(ARGV[5])) do
    count('refused:' .. reason, n)
  end
  for what, n in pairs(counted) do
    redis.call('HINCRBY', P .. 'counts', what, n)
    redis.call('HSET', P .. 'counts', what .. ':at', now)
  end
  return answer
end

if #ARGV[4] <= 1 then sound() end
local taken, answer = pcall(take_all)
if taken then return answer end
if wrong_type(answer) then sound() end
-- Its first word still tells what it is.
return redis.error_reply((string.gsub(words(answer), '^user_script:%d+: ', '')))
