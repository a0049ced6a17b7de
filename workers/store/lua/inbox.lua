-- The inbox: deliveries become events in the lanes of their tickets, and so do dead letters that are replayed.

-- The keys that all deliveries need, with their types.
local INBOX = {batches = 'string', store_epoch = 'string', counts = 'hash', quarantine = 'list',
  ['joins:quarantine'] = 'hash', hosts = 'hash'}

-- The fields of an arrival, by position, that are only stored if they are not empty, to save memory.
local OPTIONAL = {[6] = 'update_id', [7] = 'actor', [8] = 'label', [9] = 'rule', [11] = 'headers', [12] = 'reason',
  [14] = 'since', [15] = 'handler'}

-- How many hosts are learned for an account; others are accepted, but not remembered.
local HOSTS = 20

local function count(counts, what, n)
  counts[what] = (counts[what] or 0) + n
end

-- Store an event; with the id of the first one with the same body, without the body.
local function store(P, now, id, arrival, body, retention, first)
  local fields = {'v', 1, 'ticket', arrival[2], 'kind', arrival[4], 'update', arrival[5] and 1 or 0,
    'source', arrival[10], 'at', now, first and 'first' or 'body', first or body}
  for n, name in pairs(OPTIONAL) do
    if arrival[n] ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = arrival[n]
    end
  end
  redis.call('HSET', P .. 'event:' .. id, unpack(fields))
  redis.call('EXPIRE', P .. 'event:' .. id, retention)
end

-- Return the name of a help desk in HappyFox's domains, or nil.
local function help_desk(host)
  host = string.gsub(host, ':%d+$', '')
  return string.match(host, '^(.+)%.happyfox%.com$') or string.match(host, '^(.+)%.happyfox%.net$')
end

-- Return whether a link's host names another help desk than those learned for the account, and learn it if it does not.
-- `accepted` are the hosts of this batch that do not.
local function is_other_help_desk(P, now, host, accepted)
  local hosts = P .. 'hosts'
  if host == '' or accepted[host] then return false end
  accepted[host] = redis.call('HEXISTS', hosts, host) == 1
  if accepted[host] then return false end
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
  redis.call('HSET', P .. 'event:' .. id, 'digest', arrival[3])
  redis.call('HSET', joins, arrival[3], id)
  redis.call('EXPIRE', joins, retention)
  if redis.call('RPUSH', list, id) > most then
    local oldest = P .. 'event:' .. redis.call('LPOP', list)
    local digest = redis.pcall('HGET', oldest, 'digest')
    if type(digest) == 'string' then redis.call('HDEL', joins, digest) end
    redis.call('DEL', oldest)
  end
  redis.call('EXPIRE', list, retention)
  return id
end

-- Return whether an event waits: it is in the lane, and no turn has taken it. Of an event or a turn of the wrong type,
-- which the next claim reports, this is not known: no delivery joins it.
local function is_waiting(P, ticket, id)
  local position = redis.call('LPOS', P .. 'lane:' .. ticket, id, 'RANK', -1)
  if not position then return false end
  -- One that expires before it is claimed stays in the lane.
  local event = redis.pcall('HMGET', P .. 'event:' .. id, 'v', 'taken')
  if not event[1] or event[2] or position < leases.taken(P, ticket) then return false end
  local frozen = redis.pcall('HGET', P .. 'turn:' .. ticket, 'events')
  return not frozen or type(frozen) == 'string' and not string.find(frozen, '"' .. id .. '"', 1, true)
end

-- Find what is stored of a body, by what `body:<digest>` says. Return the event that the delivery joins, if there is one,
-- and the first event with this body.
local function find_same(P, ticket, stored)
  local first, last = string.match(stored, '^(%S+) ?(%S*)$')
  last = last == '' and first or last
  return first and is_waiting(P, ticket, last) and last, first
end

-- Add a delivery to the lane of its ticket and return the id of its event: its own, or that of the one it joins, and
-- what to count: nothing if this is a repeated call. Raise an error, and change nothing, if a key of the lane has the
-- wrong type: all that can fail comes before the first write.
-- A hook keeps its body, because its turn reads it, and never waits: it brings something new. Its digest is its id if the
-- sender has given the message an id: then it is stored only once.
local function add_event(P, now, id, arrival, body, retention, stormy)
  local ticket, digest, hook = arrival[2], arrival[3], arrival[10] == 'hook'
  local key, first, quiet = P .. 'body:' .. digest, nil, nil
  local values = redis.call('MGET', key, P .. 'settling:' .. ticket)
  local stored, settling = values[1], values[2]
  if stored then
    if redis.call('EXISTS', P .. 'event:' .. id) == 1 then return id end
    local same
    same, first = find_same(P, ticket, stored)
    if same then return same, 'duplicate' end
    if first and hook and digest == id then return first, 'duplicate' end
    if hook then first = nil else quiet = schedule.quiet_until(P, ticket) end
  end
  redis.call('RPUSH', P .. 'lane:' .. ticket, id)
  redis.call('SET', key, first and first .. ' ' .. id or id, 'EX', retention)
  store(P, now, id, arrival, body, retention, first)
  local class = schedule.class_of(arrival[4], arrival[7], arrival[8], arrival[10])
  if stormy and not hook then class, quiet = schedule.calm(now, class, quiet) end
  schedule.event_added(P, now, ticket, class, tonumber(settling) or 0, quiet)
  return id, 'accepted'
end

-- Store one arrival and return the id of its event, after a '?' if it is in quarantine. A key of the wrong type affects
-- only its ticket: return '' for that delivery and store the others.
local function accept(P, now, arrival, body, retention, most, counts, hosts, stormy)
  local id = arrival[1]
  if arrival[12] == '' and is_other_help_desk(P, now, arrival[13], hosts) then arrival[12] = 'other-help-desk' end
  if arrival[12] ~= '' then
    if redis.call('EXISTS', P .. 'event:' .. id) == 1 then return '?' .. id end
    count(counts, 'quarantined', 1)
    return '?' .. quarantine(P, now, id, arrival, body, retention, most)
  end
  local sound, event, counted = pcall(add_event, P, now, id, arrival, body, retention, stormy)
  if not sound then
    count(counts, 'corrupt', 1)
    return ''
  end
  if counted then count(counts, counted, 1) end
  return event
end

-- accept: store a batch of deliveries of one account: each joins a waiting event, becomes one, or is quarantined.
-- ARGV    1 now  2 retention (s)  3 how many unreadable deliveries are kept
--         4 arrivals: msgpack list of {id, ticket, digest, kind, update, update id, actor, label, rule, source,
--           headers, reason, host, since, handler}, texts all but `update`; with a reason the delivery is unreadable
--           and has no ticket; the source is webhook, or hook with its router and its name as handler
--         5 deliveries refused since the last call: msgpack map, reason -> how many
--         6 further figures: msgpack map, field -> how often, or ''
--         7.. the body of each arrival
-- Return  for each arrival the id of its event: its own, or that of the event it joined; '?' and the id if it is in
--         quarantine; '' if a key of its lane has the wrong type
register('accept', {least = 6, numbers = {2, 3}, keys = {INBOX, MEMORY, SCHEDULE, TIMERS, LEASES}},
  function(P, now, ARGV)
  local arrivals, refused = cmsgpack.unpack(ARGV[4]), cmsgpack.unpack(ARGV[5])
  if #ARGV ~= 6 + #arrivals then return redis.error_reply('ERR each arrival needs one body') end
  -- Always a write, so that WAITAOF on this connection also covers what a duplicate joined on another one.
  redis.call('INCR', P .. 'batches')
  redis.call('SET', P .. 'store_epoch', now, 'NX')
  memory.notice(P, now, '', 0)
  local answer, counts, hosts, stormy = {}, {}, {}, schedule.is_stormy(P, now)
  for n, arrival in ipairs(arrivals) do
    answer[n] = accept(P, now, arrival, ARGV[6 + n], ARGV[2], tonumber(ARGV[3]), counts, hosts, stormy)
  end
  for reason, n in pairs(refused) do count(counts, 'refused:' .. reason, n) end
  local counted = {}
  for what, n in pairs(counts) do
    redis.pcall('HINCRBY', P .. 'counts', what, n) -- a value that is no number must not fail a delivery
    redis.call('HSET', P .. 'counts', what .. ':at', now)
    counted['in ' .. string.gsub(what, ':', ' ', 1)] = n
  end
  figures.add(P, now, (next(counted) and cmsgpack.pack(counted) or '') .. ARGV[6])
  return answer
end)

-- replay: put a dead letter back into its ticket's lane, as an event with its changes for its handler; one that holds
-- emails, as an event for each of them. The events are kept until a turn has taken them: nothing else records the
-- pending work.
-- ARGV    1 now  2 dead letter  3 who does it (JSON)
-- Return  the ticket, or 0 if there is no such dead letter (any more)
register('replay', {args = 3, by = 3, keys = {DEAD_LETTERS, SCHEDULE, TIMERS, LEASES, AUDIT},
  named = {dead_letter = 'hash', held = 'list'}}, function(P, now, ARGV)
  local dead_letter, event = P .. 'dead_letter:' .. ARGV[2], P .. 'event:replay-' .. ARGV[2]
  local ticket, evidence = unpack(redis.call('HMGET', dead_letter, 'ticket', 'evidence'))
  if not ticket then
    -- A repeated call finds the dead letter gone and its event, or the last one of its emails, waiting.
    local known, last = unpack(redis.call('HMGET', event, 'ticket', 'last'))
    return known and redis.call('LPOS', P .. 'lane:' .. known, last or 'replay-' .. ARGV[2]) and tonumber(known) or 0
  end
  local held = emails.held(P, ARGV[2])
  local last = #held > 0 and held[#held][1]
  if not last then held = {{ARGV[2], ticket, evidence or ''}} end
  for _, one in ipairs(held) do one[4] = schedule.settling_until(P, one[2]) end
  if last then
    -- The same dead letter may hold other emails while these wait, so each event has the id of its email.
    replace_other_type(event, 'hash')
    redis.call('HSET', event, 'ticket', ticket, 'last', 'replay-' .. last)
    redis.call('PEXPIRE', event, 60000)
  end
  for _, one in ipairs(held) do
    schedule.add_event(P, now, one[4], 'replay-' .. one[1], one[2], 'bulk', 'kind', 'updated', 'source', 'replay',
      'pending', one[3])
  end
  redis.call('ZREM', P .. 'dead_letters', ARGV[2])
  redis.call('DEL', dead_letter, P .. 'held:' .. ARGV[2])
  audit(P, now, ARGV[3], 'replay', 'dead letter ' .. ARGV[2], '', 'ticket ' .. ticket)
  return tonumber(ticket)
end)

-- discard: delete a dead letter.
-- ARGV    1 now  2 dead letter  3 who does it (JSON)
-- Return  1, or 0 if there is no such dead letter (any more)
register('discard', {args = 3, by = 3, keys = {DEAD_LETTERS, AUDIT}, named = {dead_letter = 'hash'}}, function(P, now, ARGV)
  local ticket = redis.call('HGET', P .. 'dead_letter:' .. ARGV[2], 'ticket')
  redis.call('ZREM', P .. 'dead_letters', ARGV[2])
  redis.call('DEL', P .. 'held:' .. ARGV[2])
  local known = redis.call('DEL', P .. 'dead_letter:' .. ARGV[2])
  if known == 1 then
    audit(P, now, ARGV[3], 'discard', 'dead letter ' .. ARGV[2], ticket and 'ticket ' .. ticket or '', '')
  end
  return known
end, 'allow-oom')

-- discard_quarantined: delete a delivery in quarantine, or note that it was read again.
-- ARGV    1 now  2 event  3 who does it (JSON)  4 what: discard, or replay once it has been accepted
-- Return  1, or 0 if it is not there (any more)
register('discard_quarantined', {args = 4, by = 3,
  keys = {AUDIT, {quarantine = 'list', ['joins:quarantine'] = 'hash'}}, named = {event = 'hash'}}, function(P, now, ARGV)
  local event = P .. 'event:' .. ARGV[2]
  local digest = redis.call('HGET', event, 'digest')
  if digest then redis.call('HDEL', P .. 'joins:quarantine', digest) end
  redis.call('DEL', event)
  local known = redis.call('LREM', P .. 'quarantine', 1, ARGV[2])
  if known > 0 then audit(P, now, ARGV[3], ARGV[4], 'quarantined delivery ' .. ARGV[2], '', '') end
  return known
end, 'allow-oom')
