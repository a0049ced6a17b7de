-- Calls of the gateway's clients: the lease of a ticket's lane while a client writes to it, the journal of such writes,
-- and the answers that a repeated call gets.
--
--   P client_writes:<ticket>  LIST  clients' writes to the ticket as JSON, see ClientWrite in tickets/clients.py; an entry
--                                   is added before its call, and replaced by what is known after it
--   P client_key:<digest>     HASH  of an Idempotency-Key: request (digest), state (reserved | begun | done), owner and
--                                   until (ms): which call has it now; call (JSON): what began; answer (msgpack)
--
-- A client's lease is one like a worker's, with a token whose nonce begins with 'client.': a lane that a dead gateway
-- leaves behind is due when its lease expires, and this counts as no crash of its turn.

-- How many writes are kept of a ticket; its next turn needs those since the last one.
local MOST_WRITES = 100
-- How soon to ask again for a lane that is leased or has a plan.
local SOON, LATER = 50, 250

local function no_ticket(lane)
  return lane == ''
end

-- Return what a client's call on this ticket must wait for: code, ms and why; or nil.
local function busy(P, now, lane, token)
  local due = tonumber(redis.call('ZSCORE', P .. 'schedule', lane) or 0)
  if token and due > now then return math.min(LATER, math.max(SOON, (due - now) / 20)), 'leased' end
  if redis.call('HEXISTS', P .. 'turn:' .. lane, 'plan') == 1 then return LATER, 'plan' end
end

-- client_lease: lease the lane of a ticket for a client's call, unless it is leased or its turn has an unfinished plan.
-- ARGV    1 now  2 ticket  3 nonce ('client.' and more, chosen by the caller)  4 lease (ms)
-- Return  {1, token, now, snapshot or false, writes}  {0, wait (ms), 'leased' or 'plan'}
--         {-4, scope, name, pause (JSON)} it is paused
register('client_lease', {args = 4, numbers = {2, 4}, keys = {LEASES, SCHEDULE, TIMERS, {paused = 'hash',
  lease_number = 'string'}}, named = {turn = 'hash', lane = 'list', client_writes = 'list'}}, function(P, now, ARGV)
  local lane, nonce, ends = ARGV[2], ARGV[3], now + ARGV[4]
  local scope, name, pause = claims.pause_of(P, lane, {})
  if scope then return {-4, scope, name, pause} end
  local token = redis.call('HGET', P .. 'leases', lane)
  local snapshot = redis.call('GET', P .. 'snapshot:' .. lane)
  local writes = redis.call('LRANGE', P .. 'client_writes:' .. lane, 0, -1)
  if not token or leases.nonce(token) ~= nonce then
    local wait, why = busy(P, now, lane, token)
    if wait then return {0, math.ceil(wait), why} end
    local due = redis.call('ZSCORE', P .. 'schedule', lane) or ''
    if token then
      local before = redis.call('HGET', P .. 'leases', '@' .. leases.nonce(token))
      leases.delete(P, lane, token)
      if leases.of_client(token) then
        due = string.match(before or '', '^%S+ client (%S*)') or ''
      else
        -- The turn of a dead worker keeps its id and that it was claimed.
        redis.call('HSETNX', P .. 'turn:' .. lane, 'id', leases.nonce(token))
        redis.call('HSETNX', P .. 'turn:' .. lane, 'claims', 1)
        redis.call('HSET', P .. 'turn:' .. lane, 'v', 1)
      end
    end
    token = redis.call('INCR', P .. 'lease_number') .. '-' .. nonce
    local waiting = redis.call('LLEN', P .. 'lane:' .. lane)
    redis.call('HSET', P .. 'leases', lane, token, '@' .. nonce, lane .. ' client ' .. due .. ' ' .. waiting)
  end
  redis.call('ZADD', P .. 'schedule', ends, lane)
  schedule.move(P, lane, ends)
  return {1, token, now, snapshot, writes}
end)

-- Release a client's lease: the lane is due when it was before, or now if events came meanwhile.
local function release(P, now, lane, token)
  if not leases.valid(P, lane, token) then return 0 end
  local memory = redis.call('HGET', P .. 'leases', '@' .. leases.nonce(token)) or ''
  local due, before = string.match(memory, '^%S+ client (%S*) (%d+)$')
  due = tonumber(due)
  leases.delete(P, lane, token)
  local waiting = redis.call('LLEN', P .. 'lane:' .. lane)
  if waiting > 0 and (not due or (waiting > tonumber(before or 0) and due > now)) then
    local retry = tonumber(redis.call('HGET', P .. 'turn:' .. lane, 'retry'))
    -- A lane that waits for permits keeps its time, as when an event is added to it.
    if not due or retry == due then
      due = now
      redis.call('ZREM', P .. 'schedule:timers', lane)
    end
  end
  if due then redis.call('ZADD', P .. 'schedule', due, lane) else redis.call('ZREM', P .. 'schedule', lane) end
  if waiting > 0 then
    schedule.set_class(P, lane, due, schedule.class_named(P, now, lane))
  else
    schedule.move(P, lane, due)
  end
  return waiting > 0 and 2 or 1
end

-- client_release: release the lease of a call that was not made.
-- ARGV    1 now  2 ticket  3 token
-- Return  0 lease lost, 1 released, 2 released and the lane has events
register('client_release', {args = 3, keys = {LEASES, SCHEDULE, TIMERS}, named = {turn = 'hash', lane = 'list'}},
  function(P, now, ARGV)
  return release(P, now, ARGV[2], ARGV[3])
end)

-- Replace the journal entry of a client's write by what is known now, or delete it.
local function replace_write(P, lane, number, write)
  local key = P .. 'client_writes:' .. lane
  for n = 1, math.min(MOST_WRITES, redis.call('LLEN', key)) do
    local entry = redis.call('LINDEX', key, -n)
    local sound, found = pcall(cjson.decode, entry)
    if sound and type(found) == 'table' and found.number == number then
      if write == '' then redis.call('LREM', key, -1, entry) else redis.call('LSET', key, -n, write) end
      return
    end
  end
end

-- client_begin: begin a client's write: check its lease, take a permit, count its emails, note it; all or nothing.
-- ARGV    1 now  2 ticket or ''  3 token or ''  4 permit  5 life of the call (ms)  6 budget (JSON)  7 class
--         8 emails (JSON: {addresses, limit}) or ''  9 the write (JSON) or ''  10 lifetime of the writes (ms)
--         11 digest of the Idempotency-Key or ''  12 owner of the key  13 what began (JSON)
--         14 number of an earlier write that has not happened after all, or 0
-- Return  {1, now}  {0, wait (ms), why}  {-1} the lease or the key is lost
--         {-3, address, its emails within a day}  {-4, scope, name, pause (JSON)} it is paused
register('client_begin', {args = 14, numbers = {5, 10, 14}, keys = {LEASES, PERMITS, SCHEDULE, {paused = 'hash'}},
  named = {client_writes = 'list'}}, function(P, now, ARGV)
  local lane, token, permit, life, key = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), P .. 'client_key:' .. ARGV[11]
  if not no_ticket(lane) and not leases.valid(P, lane, token) then return {-1} end
  if ARGV[11] ~= '' then
    require_type(key, 'hash')
    if redis.call('HGET', key, 'owner') ~= ARGV[12] then return {-1} end
  end
  local scope, name, pause = claims.pause_of(P, lane, {})
  if scope then return {-4, scope, name, pause} end
  local sent, email, budget = ARGV[8] ~= '' and cjson.decode(ARGV[8]), lane .. ' ' .. permit, decode_budget(ARGV[6])
  if sent then emails.require_types(P, sent.addresses) end
  local full = sent and sent.limit > 0 and emails.exceeded(P, now, sent.addresses, sent.limit, email)
  if full then return {-3, full, redis.call('ZRANGE', P .. 'emails:' .. full, 0, -1)} end
  local begun = redis.call('ZSCORE', P .. 'in_flight', permit)
  local wait, why = permits.grant(P, now, budget, 'post', permit, ARGV[7], life)
  if wait > 0 then return {0, wait, why} end
  if sent then emails.add(P, now, sent.addresses, email) end
  if not no_ticket(lane) then
    redis.call('ZADD', P .. 'schedule', now + life, lane)
    schedule.move(P, lane, now + life)
    if not begun then
      replace_write(P, lane, tonumber(ARGV[14]), '')
      redis.call('RPUSH', P .. 'client_writes:' .. lane, ARGV[9])
      redis.call('LTRIM', P .. 'client_writes:' .. lane, -MOST_WRITES, -1)
      redis.call('PEXPIRE', P .. 'client_writes:' .. lane, ARGV[10])
    end
  end
  if ARGV[11] ~= '' then
    redis.call('HSET', key, 'state', 'begun', 'until', now + life, 'call', ARGV[13], 'ticket', lane, 'at', now,
      'deadline', now + life)
  end
  return {1, now}
end)

-- client_finish: end a client's write: settle its permit, note what it did, keep its answer, release its lane.
-- ARGV    1 now  2 ticket or ''  3 token or ''  4 permit or ''  5 outcome  6 age of the answer (ms)  7 wait asked for (ms)
--         8 budget (JSON)  9 number of the write  10 the write (JSON), '' to forget it, '-' to keep what is stored
--         11 addresses of emails that were certainly not sent (JSON list)  12 digest of the Idempotency-Key or ''
--         13 answer, '' to forget that the call began, '-' if it is in doubt  14 lifetime of the answer (ms)
--         15 line of the ticket's history or ''  16 lifetime of the history (ms)
--         17 tickets that were created (JSON: [[ticket, write]])  18 lifetime of the writes (ms)
--         19 figures of the call or ''
-- Return  as client_release
register('client_finish', {args = 19, numbers = {6, 7, 9, 14, 16, 18}, keys = {LEASES, PERMITS, SCHEDULE, TIMERS},
  named = {turn = 'hash', lane = 'list', client_writes = 'list'}}, function(P, now, ARGV)
  local lane, token, permit, key = ARGV[2], ARGV[3], ARGV[4], P .. 'client_key:' .. ARGV[12]
  if permit ~= '' then
    local budget = decode_budget(ARGV[8])
    figures.add(P, now, permits.release(P, now, budget, 'post', permit, ARGV[5], ARGV[6], ARGV[7], ARGV[19]))
  end
  emails.remove(P, cjson.decode(ARGV[11]), lane .. ' ' .. permit)
  if not no_ticket(lane) then
    if ARGV[10] ~= '-' then replace_write(P, lane, tonumber(ARGV[9]), ARGV[10]) end
    if ARGV[15] ~= '' then history.add(P, lane, {ARGV[15]}, ARGV[16]) end
  end
  for _, one in ipairs(cjson.decode(ARGV[17])) do
    local writes = P .. 'client_writes:' .. string.format('%.0f', one[1])
    replace_other_type(writes, 'list')
    redis.call('RPUSH', writes, one[2])
    redis.call('PEXPIRE', writes, ARGV[18])
  end
  if ARGV[12] ~= '' then
    replace_other_type(key, 'hash')
    if ARGV[13] == '' then
      redis.call('DEL', key)
    elseif ARGV[13] ~= '-' then
      redis.call('HSET', key, 'state', 'done', 'answer', ARGV[13])
      redis.call('PEXPIRE', key, ARGV[14])
    end
    -- Whatever follows, this call is over.
    if ARGV[13] ~= '' then redis.call('HSET', key, 'until', now) end
  end
  return no_ticket(lane) and 1 or release(P, now, lane, token)
end)

-- client_reserve: reserve an Idempotency-Key for a call, or return what is known of it.
-- ARGV    1 now  2 digest of the key  3 digest of the request  4 owner (chosen by the caller)
--         5 how long the reservation lasts (ms)  6 lifetime of the key (ms)
-- Return  {state, call or false, answer or false, at, deadline, now}; state:
--         new     this call has it now          begun  this call has it now, and an earlier one began and did not end
--         done    the answer is known           busy   another call has it         other  it was used for another request
register('client_reserve', {args = 6, numbers = {5, 6}, named = {client_key = 'hash'}}, function(P, now, ARGV)
  local key = P .. 'client_key:' .. ARGV[2]
  local request, state, owner, till, call, answer, at, deadline = unpack(redis.call('HMGET', key, 'request', 'state',
    'owner', 'until', 'call', 'answer', 'at', 'deadline'))
  if request and request ~= ARGV[3] then return {'other', false, false, 0, 0, now} end
  if state == 'done' then return {'done', false, answer, 0, 0, now} end
  if owner and owner ~= ARGV[4] and tonumber(till) > now then return {'busy', false, false, 0, 0, now} end
  redis.call('HSET', key, 'request', ARGV[3], 'owner', ARGV[4], 'until', now + ARGV[5], 'state', state or 'reserved')
  if not state then redis.call('PEXPIRE', key, ARGV[6]) end
  if state == 'begun' then return {'begun', call, false, tonumber(at), tonumber(deadline), now} end
  return {'new', false, false, 0, 0, now}
end)

-- client_forget: give up a reserved key whose call was not made.
-- ARGV    1 now  2 digest of the key  3 owner
-- Return  1, or 0 if another call has it
register('client_forget', {args = 3, named = {client_key = 'hash'}}, function(P, now, ARGV)
  local key = P .. 'client_key:' .. ARGV[2]
  local owner, state = unpack(redis.call('HMGET', key, 'owner', 'state'))
  if owner ~= ARGV[3] then return 0 end
  if state == 'reserved' then redis.call('DEL', key) else redis.call('HSET', key, 'until', now) end
  return 1
end)

-- How many calls of clients are listed, and how long (ms); what people do has a list of its own, which these would fill.
local CALL_LINES, CALL_LIFE = 20000, 30 * 86400000
-- The minutes for which calls are counted one by one.
local MINUTES = 10

-- client_note: list a client's call in plain words, and count it.
--   P client_calls   STREAM  like `P audit`
--   P client_counts  HASH    <client>:<result> -> how many;  <client>:last, :denied_at, :limited_at -> ms;
--                            :last_call, :last_denial -> text;  :m<0 to 9> -> '<minute> <calls> <denied>'
-- ARGV    1 now  2 client  3 result  4 what  5 object or ''  6 why or ''  7 what was denied, with the grant, or ''
-- Return  1
register('client_note', {args = 7, keys = {{client_calls = 'stream', client_counts = 'hash'}}}, function(P, now, ARGV)
  local client, result, calls, counts = ARGV[2], ARGV[3], P .. 'client_calls', P .. 'client_counts'
  local minute = math.floor(now / 60000)
  local slot = client .. ':m' .. minute % MINUTES
  local at, count, denied = string.match(redis.call('HGET', counts, slot) or '', '^(%d+) (%d+) (%d+)$')
  if tonumber(at) ~= minute then count, denied = 0, 0 end
  redis.call('XADD', calls, 'MAXLEN', '~', CALL_LINES, '*', 'v', 1, 'at', now, 'who', client, 'role', 'client', 'from',
    'gateway', 'what', ARGV[4], 'object', ARGV[5], 'before', '', 'after', ARGV[6], 'why', '')
  redis.call('PEXPIRE', calls, CALL_LIFE)
  redis.call('HINCRBY', counts, client .. ':' .. result, 1)
  redis.call('HSET', counts, client .. ':last', now, client .. ':last_call', ARGV[4] .. ' ' .. ARGV[5], slot,
    minute .. ' ' .. count + 1 .. ' ' .. denied + (result == 'denied' and 1 or 0))
  if result == 'denied' then
    redis.call('HSET', counts, client .. ':denied_at', now, client .. ':last_denial', ARGV[7])
  end
  return 1
end)
