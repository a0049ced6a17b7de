-- Settling: end a turn and claim the next lane in the same call.

-- Consider the lane's timer, and return when the lane is due. Lanes that only wait for a timer are listed, so that they
-- do not count as backlog.
local function add_timer(P, lane, turn, settlement, pending, due, waiting)
  if settlement.timer and (not due or settlement.timer < due) then
    due = settlement.timer
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  end
  if settlement.timer and waiting == 0 and pending == '' then
    redis.call('ZADD', P .. 'schedule:timers', due, lane)
  elseif settlement.timed then
    redis.call('ZREM', P .. 'schedule:timers', lane)
  end
  return due
end

-- List a lane whose handlers wait for the end of a pause. Return when the lane is due: now, if a pause has ended since
-- the lane was claimed.
local function wait_for_resume(P, now, lane, turn, settlement, due)
  if not settlement.paused then
    if settlement.timed then redis.call('SREM', P .. 'waiting_for_resume', lane) end
    return due
  end
  redis.call('SADD', P .. 'waiting_for_resume', lane)
  if (tonumber(redis.call('HGET', P .. 'paused', 'ended')) or 0) == settlement.paused then return due end
  redis.call('HSET', turn, 'retry', now)
  return now
end

-- Return when to read again after a read that brought nothing new: as for any other, but later for deliveries whose body
-- was seen before.
local function after_quiet_read(P, now, lane, settlement, stuck)
  local due, left, quiet = math.huge, {}, schedule.quiet_until(P, lane)
  for _, id in ipairs(settlement.left or {}) do left[id] = true end
  for _, id in ipairs(redis.call('LRANGE', P .. 'lane:' .. lane, 0, -1)) do
    local at = now + ((left[id] or stuck) and settlement.recheck or settlement.settling or 0)
    if quiet > at and type(redis.pcall('HGET', P .. 'event:' .. id, 'first')) == 'string' then at = quiet end
    due = math.min(due, at)
  end
  return due
end

-- Schedule the lane: new events soon, events to check again later, pending handler work at its time. While it waits for
-- nothing else, the turn's `retry` equals its score in the schedule, and a new event makes it due.
local function reschedule(P, now, lane, turn, settlement, pending)
  local waiting, left = redis.call('LLEN', P .. 'lane:' .. lane), settlement.left and #settlement.left or 0
  local due
  -- The turn took the most events it may, and the ticket shows none of them: handle the others later.
  local stuck = not settlement.handled and left > 0
  if waiting > 0 and settlement.quiet then
    due = after_quiet_read(P, now, lane, settlement, stuck)
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  elseif waiting > left and not stuck then
    due = now + (settlement.settling or 0)
  elseif waiting > 0 then
    due = now + (settlement.recheck or 0)
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  end
  if pending ~= '' then
    redis.call('HSET', turn, 'v', 1, 'pending', pending, 'claims', 0)
    due = math.min(due or math.huge, settlement.retry or 0)
    redis.call('HSET', turn, 'retry', due)
  end
  due = add_timer(P, lane, turn, settlement, pending, due, waiting)
  due = wait_for_resume(P, now, lane, turn, settlement, due)
  if due then redis.call('ZADD', P .. 'schedule', due, lane) else redis.call('ZREM', P .. 'schedule', lane) end
  if waiting > left then
    schedule.set_class(P, lane, due, schedule.class_named(P, now, lane))
  else
    schedule.move(P, lane, due)
  end
  -- The webhooks of our own writes arrive now: delay them, so that they share one read.
  if settlement.settling then
    redis.call('SET', P .. 'settling:' .. lane, now + settlement.settling, 'PX', settlement.settling + 60000)
  end
end

-- Record the tickets that we created, each with the number of tickets that were created one from another.
local function add_created(P, settlement)
  local depth = (tonumber(redis.call('GET', P .. 'created:' .. settlement.lane)) or 0) + 1
  for _, one in ipairs(settlement.created) do
    local effect, ticket = one[1], one[2]
    redis.call('HDEL', P .. 'drafts', effect)
    redis.call('ZREM', P .. 'creations', effect)
    if ticket > 0 then
      redis.call('SET', P .. 'created:' .. string.format('%.0f', ticket), depth, 'PX', settlement.lives.record)
    end
  end
end

-- Add an event to the lane of each other ticket that handlers have actions for; it is kept until a turn has taken it. A
-- key of the wrong type there affects only that ticket: the actions become a dead letter.
local function add_events(P, now, settlement)
  for _, one in ipairs(settlement.for_others) do
    local ticket = string.format('%.0f', one.ticket)
    local sound, settling = pcall(schedule.settling_until, P, ticket)
    if sound then
      schedule.add_event(P, now, settling, one.id, ticket, 'normal', 'kind', 'action', 'source', 'handler', 'pending',
        one.evidence)
    else
      add_dead_letter(P, now, one.id, ticket, settlement.turn, one.evidence, settlement.lives.dead_letter)
    end
  end
end

-- Delete dead letters that are older than `life` ms, which may be shorter than when they were written.
local function drop_old_dead_letters(P, now, life)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'dead_letters', '-inf', now - life, 'LIMIT', 0, 100)) do
    redis.call('DEL', P .. 'dead_letter:' .. id, P .. 'held:' .. id)
    redis.call('ZREM', P .. 'dead_letters', id)
  end
end

-- List a turn whose record is kept for `life` ms. Old ones are removed, and the list's own life is extended, only when
-- a thousandth of it has passed.
local function add_turn(P, now, turn, life)
  local turns = P .. 'turns'
  redis.call('ZADD', turns, now, turn)
  local left = redis.call('PTTL', turns)
  if left >= 0 and left <= life and left > life - life / 1000 then return end
  redis.call('ZREMRANGEBYSCORE', turns, '-inf', now - life)
  redis.call('PEXPIRE', turns, life)
end

-- How many days the way in which changes were learned is counted, and how many turns are listed whose changes no
-- delivery announced.
local LEARNED_DAYS, MOST_MISSED = 35, 200
local DAY = 86400000

-- Count changes by how foxhooks learned of them, per day, and list those that a sweep found. The first ones of a day add
-- the oldest days to the sum of all before. Keys of the wrong type must not fail the turn.
local function add_learned(P, now, settlement)
  local key, day, count = P .. 'learned', math.floor(now / DAY), settlement.news
  if redis.pcall('HINCRBY', key, settlement.learned .. '@' .. day, count) == count then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      local by, of = string.match(field, '^(.+)@(%d+)$')
      if of and tonumber(of) <= day - LEARNED_DAYS then
        redis.pcall('HINCRBY', key, by, redis.call('HGET', key, field))
        redis.call('HDEL', key, field)
      end
    end
  end
  if settlement.missed then
    replace_other_type(P .. 'missed', 'list')
    redis.call('LPUSH', P .. 'missed', settlement.missed)
    redis.call('LTRIM', P .. 'missed', 0, MOST_MISSED - 1)
    redis.call('PEXPIRE', P .. 'missed', LEARNED_DAYS * DAY)
  end
end

-- Store the results of the turn.
local function store(P, now, lane, settlement, snapshot, record)
  if snapshot ~= '' then redis.call('SET', P .. 'snapshot:' .. lane, snapshot, 'PX', settlement.lives.snapshot) end
  if record ~= '' then
    redis.call('SET', P .. 'record:' .. settlement.turn, record, 'PX', settlement.lives.record)
    add_turn(P, now, settlement.turn, settlement.lives.record)
  end
  if settlement.created then add_created(P, settlement) end
  if settlement.for_others then add_events(P, now, settlement) end
  for id, evidence in pairs(settlement.dead_letters or {}) do
    add_dead_letter(P, now, id, lane, settlement.turn, evidence, settlement.lives.dead_letter)
  end
  for _, one in ipairs(settlement.held or {}) do
    emails.hold(P, now, settlement.turn, lane, one, settlement.lives.dead_letter)
  end
  if settlement.dead_letters or settlement.held then drop_old_dead_letters(P, now, settlement.lives.dead_letter) end
  if settlement.learned then add_learned(P, now, settlement) end
  if settlement.reset then pcall(audit, P, now, settlement.reset, 'reset loop guard', 'ticket ' .. lane, '', '') end
  if settlement.history then history.add(P, lane, settlement.history, settlement.lives.record) end
  -- A key of the wrong type must not fail the turn.
  if settlement.saved then redis.pcall('INCRBY', P .. 'calls_saved', settlement.saved) end
end

-- Return the settlement, and raise an error if it cannot be stored completely.
local function read_settlement(P, ARGV)
  local settlement = cjson.decode(ARGV[2])
  for life, ms in pairs(settlement.lives or {}) do
    if type(ms) ~= 'number' then error('the lifetime `' .. life .. '` is not a number', 0) end
  end
  if settlement.timer or settlement.timed or settlement.for_others then require_types(P, TIMERS) end
  if settlement.paused or settlement.timed then require_type(P .. 'waiting_for_resume', 'set') end
  if ARGV[4] ~= '' then require_type(P .. 'turns', 'zset') end
  if settlement.dead_letters or settlement.held or settlement.for_others then require_types(P, DEAD_LETTERS) end
  if settlement.created then
    require_types(P, {drafts = 'hash', creations = 'zset', ['created:' .. settlement.lane] = 'string'})
    for _, one in ipairs(settlement.created) do string.format('%.0f', one[2]) end
  end
  for _, one in ipairs(settlement.for_others or {}) do string.format('%.0f', one.ticket) end
  return settlement
end

-- How long (ms) a handled event is kept, without which a delivery whose answer was lost would be stored a second time.
-- The event of a schedule is kept for its retention: a search may find its ticket twice.
local HANDLED_LIFE, OF_SCHEDULE = 60000, 'schedule-'

-- Remove the handled events from the lane, and mark those that stay: no delivery joins an event that a turn has taken.
-- The first write is to the lane, because it may have the wrong type.
local function remove_events(P, settlement)
  if not (settlement.handled or {})[1] then require_type(P .. 'lane:' .. settlement.lane, 'list') end
  for _, id in ipairs(settlement.handled or {}) do
    redis.call('LREM', P .. 'lane:' .. settlement.lane, 1, id)
    if string.sub(id, 1, #OF_SCHEDULE) ~= OF_SCHEDULE then redis.call('PEXPIRE', P .. 'event:' .. id, HANDLED_LIFE) end
  end
  for _, id in ipairs(settlement.left or {}) do
    -- Only if it has not expired: it would get no lifetime.
    if redis.pcall('EXISTS', P .. 'event:' .. id) == 1 then redis.pcall('HSET', P .. 'event:' .. id, 'taken', 1) end
  end
end

-- settle: end a turn: store its snapshot, record, history and dead letters, remove exactly the handled events from the
-- lane and schedule the lane for what is left; then, if asked, claim the next lane.
-- ARGV    1 now  2 settlement (JSON)  3 snapshot or ''  4 record (compressed) or ''
--         5 pending handler work (JSON) or ''  6 nonce or '' if no claim is wanted  7 lease (ms)  8 most events
--         9 read (0|1)  10 life of the read (ms)  11 budget (JSON)  12 durable (0|1)
--         13 server seen last or ''  14 how many ms ago  15 newest first (0|1)
--         16 figures of the read or ''  17 figures of the turn
-- settlement, without the fields that have nothing to report:
--         lane, token, turn
--         handled       [event ids]
--         left          [event ids];  recheck: ms until these are checked again
--         settling      ms for which a lane that wrote stays quiet
--         quiet         true if the read brought nothing new
--         retry         ms at which pending work is due;  timer: ms at which the ticket's first timer is due
--         timed         true if the lane had waited for a timer or for pending work
--         paused        if handlers wait for the end of a pause: how many had ended when the lane was claimed
--         dead_letters  {id: evidence};  history: [lines];  saved: calls saved by folding
--         held          [{dead_letter, evidence, id, email}] emails that a brake holds, each with its dead letter
--         permit, outcome, age          of the turn's read
--         lives         {snapshot, record, dead_letter} (ms): how long each is kept; a history as long as a record
--         created       [[effect: turn and key, ticket or 0]] of tickets that were created
--         learned       'delivery' or 'sweep': how foxhooks learned of the turn's changes;  news: how many they are
--         missed        what a sweep has found (JSON of MissedChanges), if it was one
--         reset         who reset the ticket's loop guard, if somebody did (JSON of By)
--         for_others    [{id, ticket, evidence}] events for the lanes of other tickets
-- Return  {1, or 0 if the lease is lost; the claim's reply or false}
register('settle', {args = 17, numbers = {7, 8, 10, 14}, keys = {SCHEDULE, claims.KEYS}},
  function(P, now, ARGV)
  local settlement, nonce = read_settlement(P, ARGV), ARGV[6]
  local wanted = claims.wanted(P, ARGV, 6, settlement.permit)
  local lane, token, turn = settlement.lane, settlement.token, P .. 'turn:' .. settlement.lane
  local stored = redis.call('HMGET', P .. 'leases', lane, '@' .. nonce)
  local valid, before = stored[1] == token, stored[2]
  local settled_key = P .. 'settled:' .. settlement.turn
  if valid then remove_events(P, settlement) end
  local counted = valid and ARGV[17] or ''
  if settlement.permit then
    counted = counted .. permits.release(P, now, wanted.budget, 'get', settlement.permit, settlement.outcome,
      settlement.age, 0, ARGV[16])
  end
  figures.add(P, now, counted)
  local settled = valid and token
  if valid then
    redis.call('DEL', turn, settlement.quiet and turn or P .. 'quiet:' .. lane)
    leases.delete(P, lane, token)
    if settlement.quiet then schedule.read_in_vain(P, now, lane) end
    reschedule(P, now, lane, turn, settlement, ARGV[5])
    store(P, now, lane, settlement, ARGV[3], ARGV[4])
  else
    -- The lease of a repeated call is gone, but it finds the result of its claim, or the key below.
    settled = before and string.match(before, '(%S*)$') or redis.call('GET', settled_key)
  end
  settled = settled == token and token or ''
  local claimed = false
  if nonce ~= '' then claimed = claims.claim(P, now, wanted, before, settled) end
  if valid and not (claimed and claimed[1] == 1) then redis.call('SET', settled_key, token, 'PX', 60000) end
  return {settled ~= '' and 1 or 0, claimed}
end)
