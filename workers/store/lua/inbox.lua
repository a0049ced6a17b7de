-- The inbox: deliveries become events in the lanes of their tickets, and so do dead letters that are replayed.

-- The keys that all deliveries need, with their types. They are checked after an error, and when a call has no
-- deliveries, because it asks whether deliveries can be stored.
local TYPES = {batches = 'string', store_epoch = 'string', schedule = 'zset', ['schedule:interactive'] = 'zset',
  ['schedule:normal'] = 'zset', leases = 'hash', counts = 'hash', quarantine = 'list', ['joins:quarantine'] = 'hash',
  hosts = 'hash', memory = 'hash'}

-- The fields of an arrival, by position, that are only stored if they are not empty, to save memory.
local OPTIONAL = {[6] = 'update_id', [7] = 'actor', [8] = 'label', [9] = 'rule', [11] = 'headers', [12] = 'reason',
  [14] = 'since'}

-- How many hosts are learned for an account; others are accepted, but not remembered.
local HOSTS = 20

-- Return which of these keys has the wrong type, or nil.
local function find_corrupt(P)
  for name, expected in pairs(TYPES) do
    local actual = redis.call('TYPE', P .. name).ok
    if actual ~= expected and actual ~= 'none' then return 'CORRUPT ' .. P .. name .. ' is a ' .. actual end
  end
end

-- Return what an error means for the whole batch, nil if a key of a single ticket has the wrong type; and its text.
local function batch_error(P, failure)
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  if string.find(text, 'WRONGTYPE', 1, true) then return find_corrupt(P), text end
  return text, text
end

local function count(counts, what, n)
  counts[what] = (counts[what] or 0) + n
end

-- Store an event; with the id of the first one with the same body, that one keeps the body for both.
local function store(P, now, id, arrival, body, retention, first)
  local fields = {'v', 1, 'ticket', arrival[2], 'digest', arrival[3], 'kind', arrival[4],
    'update', arrival[5] and 1 or 0, 'source', arrival[10], 'at', now, first and 'first' or 'body', first or body}
  for n, name in pairs(OPTIONAL) do
    if arrival[n] ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = arrival[n]
    end
  end
  redis.call('HSET', P .. 'event:' .. id, unpack(fields))
  redis.call('EXPIRE', P .. 'event:' .. id, retention)
end

-- Return the first event with this body, kept for as long as a new one, or nil. Remember a new one as the first.
local function first_event(P, id, digest, retention)
  local key = P .. 'body:' .. digest
  local first = redis.call('SET', key, id, 'EX', retention, 'NX', 'GET')
  if not first then return end
  if redis.call('EXPIRE', P .. 'event:' .. first, retention) == 1 then
    redis.call('EXPIRE', key, retention)
    return first
  end
  redis.call('SET', key, id, 'EX', retention)
end

-- Return the name of a help desk in HappyFox's domains, or nil.
local function help_desk(host)
  host = string.gsub(host, ':%d+$', '')
  return string.match(host, '^(.+)%.happyfox%.com$') or string.match(host, '^(.+)%.happyfox%.net$')
end

-- Return whether a link's host names another help desk than those learned for the account, and learn it if it does not.
local function is_other_help_desk(P, now, host)
  local hosts = P .. 'hosts'
  if host == '' or redis.call('HEXISTS', hosts, host) == 1 then return false end
  local known, desk = redis.call('HKEYS', hosts), help_desk(host)
  for _, each in ipairs(known) do
    local other = help_desk(each)
    if desk and other and other ~= desk then return true end
  end
  if #known < HOSTS then redis.call('HSET', hosts, host, now) end
  return false
end

local function quarantine(P, now, id, arrival, body, retention, most)
  local list, joins = P .. 'quarantine', P .. 'joins:quarantine'
  local known = redis.call('HGET', joins, arrival[3])
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return known end
  store(P, now, id, arrival, body, retention)
  redis.call('HSET', joins, arrival[3], id)
  redis.call('EXPIRE', joins, retention)
  if redis.call('RPUSH', list, id) > most then
    local oldest = P .. 'event:' .. redis.call('LPOP', list)
    local digest = redis.call('HGET', oldest, 'digest')
    if digest then redis.call('HDEL', joins, digest) end
    redis.call('DEL', oldest)
  end
  redis.call('EXPIRE', list, retention)
  return id
end

local function add_event(P, now, id, arrival, body, retention)
  local lane, joins = P .. 'lane:' .. arrival[2], P .. 'joins:' .. arrival[2]
  local known = redis.call('HGET', joins, arrival[3])
  -- An event that expires before it is claimed leaves its digest behind.
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return known end
  redis.call('RPUSH', lane, id)
  local first = first_event(P, id, arrival[3], retention)
  store(P, now, id, arrival, body, retention, first)
  local class = schedule.class_of(arrival[4], arrival[7], arrival[8], arrival[10])
  schedule.event_added(P, now, arrival[2], class, first and schedule.quiet_until(P, arrival[2]))
  -- Last, so that no delivery joins an event that is not in its lane because of a key of the wrong type.
  redis.call('HSET', joins, arrival[3], id)
  redis.call('EXPIRE', joins, retention)
  return id
end

-- Store one arrival and return the id of its event, after a '?' if it is in quarantine. A key of the wrong type affects
-- only its ticket: return '' for that delivery and store the others. Any other error ends the whole batch before it wrote
-- anything.
local function accept(P, now, arrival, body, retention, most, counts)
  local id = arrival[1]
  if redis.call('EXISTS', P .. 'event:' .. id) == 1 then
    local quarantined = arrival[12] ~= ''
      or arrival[13] ~= '' and redis.call('HEXISTS', P .. 'event:' .. id, 'reason') == 1
    return (quarantined and '?' or '') .. id
  end
  if arrival[12] == '' and is_other_help_desk(P, now, arrival[13]) then arrival[12] = 'other-help-desk' end
  if arrival[12] ~= '' then
    count(counts, 'quarantined', 1)
    return '?' .. quarantine(P, now, id, arrival, body, retention, most)
  end
  local stored, event = pcall(add_event, P, now, id, arrival, body, retention)
  if stored then
    count(counts, event == id and 'accepted' or 'duplicate', 1)
    return event
  end
  local failure = batch_error(P, event)
  if failure then error(failure, 0) end
  count(counts, 'corrupt', 1)
  return ''
end

local function accept_all(P, now, ARGV)
  -- Always a write, so that WAITAOF on this connection also covers what a duplicate joined on another one.
  redis.call('INCR', P .. 'batches')
  redis.call('SET', P .. 'store_epoch', now, 'NX')
  memory.notice(P, now, '', 0)
  local answer, counts = {}, {}
  for n, arrival in ipairs(cmsgpack.unpack(ARGV[4])) do
    answer[n] = accept(P, now, arrival, ARGV[5 + n], ARGV[2], tonumber(ARGV[3]), counts)
  end
  for reason, n in pairs(cmsgpack.unpack(ARGV[5])) do count(counts, 'refused:' .. reason, n) end
  for what, n in pairs(counts) do
    redis.call('HINCRBY', P .. 'counts', what, n)
    redis.call('HSET', P .. 'counts', what .. ':at', now)
  end
  return answer
end

-- accept: store a batch of deliveries of one account: each joins a waiting event, becomes one, or is quarantined.
-- ARGV    1 now  2 retention (s)  3 how many unreadable deliveries are kept
--         4 arrivals: msgpack list of {id, ticket, digest, kind, update, update id, actor, label, rule, source,
--           headers, reason, host, since}, texts all but `update`; with a reason the delivery is unreadable and has no
--           ticket
--         5 deliveries refused since the last call: msgpack map, reason -> how many
--         6.. the body of each arrival
-- Return  for each arrival the id of its event: its own, or that of the event it joined; '?' and the id if it is in
--         quarantine; '' if a key of its lane has the wrong type; the error CORRUPT <key> is a <type> if a key that all lanes need has the wrong type
register('accept', function(P, now, ARGV)
  local corrupt = #ARGV[4] <= 1 and find_corrupt(P)
  if corrupt then return redis.error_reply(corrupt) end
  local accepted, answer = pcall(accept_all, P, now, ARGV)
  if accepted then return answer end
  local failure, text = batch_error(P, answer)
  return redis.error_reply(failure or text)
end)

-- replay: put a dead letter back into its ticket's lane, as an event with its changes for its handler; one that holds
-- emails, as an event for each of them. The events are kept until a turn has taken them: nothing else records the
-- pending work.
-- ARGV    1 now  2 dead letter
-- Return  the ticket, or 0 if there is no such dead letter (any more)
register('replay', function(P, now, ARGV)
  local dead_letter, event = P .. 'dead_letter:' .. ARGV[2], P .. 'event:replay-' .. ARGV[2]
  local ticket, evidence = unpack(redis.call('HMGET', dead_letter, 'ticket', 'evidence'))
  if not ticket then
    -- A repeated call finds the dead letter gone and its event, or the last one of its emails, waiting.
    local known, last = unpack(redis.call('HMGET', event, 'ticket', 'last'))
    return known and redis.call('LPOS', P .. 'lane:' .. known, last or 'replay-' .. ARGV[2]) and tonumber(known) or 0
  end
  local held = emails.held(P, ARGV[2])
  if #held > 0 then
    -- The same dead letter may hold other emails while these wait, so each event has the id of its email.
    redis.call('HSET', event, 'ticket', ticket, 'last', 'replay-' .. held[#held][1])
    redis.call('PEXPIRE', event, 60000)
  else
    held = {{ARGV[2], ticket, evidence}}
  end
  for _, one in ipairs(held) do
    schedule.add_event(P, now, 'replay-' .. one[1], one[2], 'bulk', 'kind', 'updated', 'source', 'replay',
      'pending', one[3])
  end
  redis.call('ZREM', P .. 'dead_letters', ARGV[2])
  redis.call('DEL', dead_letter, P .. 'held:' .. ARGV[2])
  return tonumber(ticket)
end)

-- discard: delete a dead letter.
-- ARGV    1 now  2 dead letter
-- Return  1, or 0 if there is no such dead letter (any more)
register('discard', function(P, _, ARGV)
  redis.call('ZREM', P .. 'dead_letters', ARGV[2])
  redis.call('DEL', P .. 'held:' .. ARGV[2])
  return redis.call('DEL', P .. 'dead_letter:' .. ARGV[2])
end, 'allow-oom')
