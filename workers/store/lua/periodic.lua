-- Periodic tasks: each is run by one worker of the fleet. `P periodic_tasks` maps a task's name to its state (JSON);
-- `TaskState` in periodic.py documents the fields.
-- The matches, tickets that wait for their event, are in the list `P matches:<task>`, so that any worker can continue.

-- How long (ms) the state of an unused task is kept, and for how many periods at least.
local FORGET, PERIODS = 30 * 86400000, 3
-- How long (ms) matches are kept.
local MATCHES_LIFE = 7 * 86400000

local EPOCH = {store_epoch = 'string'}
local TASKS, MATCHES = {periodic_tasks = 'hash'}, {matches = 'list'}

-- The types of a state's members; it always has those that are in NEEDED.
local MEMBERS = {scheduled_at = 'number', period = 'number', phase = 'string', token = 'string', locked_until = 'number',
  page = 'number', found = 'number', enqueued = 'number', truncated = 'boolean', why = 'string', ended = 'number',
  findings = 'table', memo = 'string', hurried = 'boolean', epoch = 'number'}
local NEEDED = {'scheduled_at', 'period', 'phase'}

-- Return a stored state. One that cannot be read counts as none: its task starts anew, and no other one stops.
local function decode_state(stored)
  local readable, state = pcall(cjson.decode, stored or '')
  if not readable or type(state) ~= 'table' then return nil end
  for _, name in ipairs(NEEDED) do
    if state[name] == nil then return nil end
  end
  for name, expected in pairs(MEMBERS) do
    if state[name] ~= nil and type(state[name]) ~= expected then return nil end
  end
  return state
end

local function read_state(P, name)
  return decode_state(redis.call('HGET', P .. 'periodic_tasks', name))
end

local function write_state(P, name, state)
  redis.call('HSET', P .. 'periodic_tasks', name, cjson.encode(state))
end

-- Return the state of a task if the token proves that its caller runs it, else nil.
local function running(P, name, token)
  local state = read_state(P, name)
  return state and state.token == token and state or nil
end

-- Begin a run. After missed runs, only the last one is made up for. A run knows when the store was first used.
local function begin(P, now, name, period, state)
  local scheduled_at = now
  if state and not state.hurried then scheduled_at = state.scheduled_at + math.floor((now - state.scheduled_at) / period) * period end
  redis.call('DEL', P .. 'matches:' .. name)
  return {scheduled_at = scheduled_at, period = period, phase = 'search', page = 1, found = 0, enqueued = 0,
    truncated = false, why = '', ended = state and state.ended or 0, findings = state and state.findings or nil,
    memo = state and state.memo or nil, epoch = tonumber(redis.call('GET', P .. 'store_epoch'))}
end

-- Return when a task is due. A new one is due at once, or if it is `patient`, one period after the store's first use.
local function due_at(P, now, state, period, patient)
  if not state then return patient and redis.call('GET', P .. 'store_epoch') + period or now end
  if state.phase ~= 'done' then return state.locked_until end
  return state.hurried and 0 or state.scheduled_at + period
end

local function forget_unused(P, now)
  local all = redis.call('HGETALL', P .. 'periodic_tasks')
  for n = 1, #all, 2 do
    local state = decode_state(all[n + 1])
    if state and now - state.scheduled_at > math.max(FORGET, PERIODS * state.period) then
      redis.call('HDEL', P .. 'periodic_tasks', all[n])
    end
  end
end

-- claim_task: claim the periodic task that has been due longest, or return how long to wait.
-- ARGV    1 now  2 token of the worker  3 lease (ms)  4 tasks [[name, period (ms), patient]] (JSON)
-- Return  {1, name, state (JSON)} or {0, ms until it is worth asking again, -1 if there are no tasks}
register('claim_task', {args = 4, numbers = {3}, keys = {TASKS, EPOCH}}, function(P, now, ARGV)
  local token, lease = ARGV[2], tonumber(ARGV[3])
  local chosen, first
  redis.call('SET', P .. 'store_epoch', now, 'NX')
  for _, task in ipairs(cjson.decode(ARGV[4])) do
    local name, period = task[1], task[2]
    local state = read_state(P, name)
    -- A repeated call returns the same task.
    if state and state.token == token and state.locked_until > now then return {1, name, cjson.encode(state)} end
    local due = due_at(P, now, state, period, task[3])
    if not first or due < first then chosen, first = {name, period, state}, due end
  end
  if not chosen then return {0, -1} end
  if first > now then return {0, math.ceil(first - now)} end
  local name, period, state = chosen[1], chosen[2], chosen[3]
  if not state or state.phase == 'done' then
    state = begin(P, now, name, period, state)
    forget_unused(P, now)
  end
  state.token, state.locked_until = token, now + lease
  write_state(P, name, state)
  return {1, name, cjson.encode(state)}
end)

-- add_matches: store the matches of one page of a task's search.
-- ARGV    1 now  2 name of the task  3 token  4 lease (ms)  5 page  6 its tickets (JSON)  7 last page (0|1)
--         8 how many matches a run takes at most
-- Return  1, or 0 if another worker has claimed the task
register('add_matches', {args = 8, numbers = {4, 5, 8}, keys = {TASKS}, named = MATCHES}, function(P, now, ARGV)
  local name, page, most = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[8])
  local state = running(P, name, ARGV[3])
  if not state then return 0 end
  if state.phase ~= 'search' or state.page ~= page then return 1 end
  local matches, tickets = P .. 'matches:' .. name, cjson.decode(ARGV[6])
  for n, ticket in ipairs(tickets) do tickets[n] = string.format('%.0f', ticket) end
  for _, ticket in ipairs(tickets) do
    if state.found < most then
      redis.call('RPUSH', matches, ticket)
      state.found = state.found + 1
    else
      state.truncated = true
    end
  end
  redis.call('PEXPIRE', matches, MATCHES_LIFE)
  state.page = page + 1
  if ARGV[7] == '0' and state.found >= most then state.truncated = true end
  if ARGV[7] == '1' or state.truncated then state.phase = 'enqueue' end
  state.locked_until, state.why = now + ARGV[4], ''
  write_state(P, name, state)
  return 1
end)

-- Add an event for the task's handler to a ticket's lane, unless one for the same handler already waits there.
local function add_event(P, now, name, state, ticket, retention)
  local digest = 'schedule:' .. name
  local id = string.format('schedule-%s-%.0f-%s', name, state.scheduled_at, ticket)
  local joins = P .. 'joins:' .. ticket
  local settling = schedule.settling_until(P, ticket)
  local known = redis.call('HGET', joins, digest)
  if redis.call('EXISTS', P .. 'event:' .. id) == 1 then return end
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return end
  schedule.add_event(P, now, settling, id, ticket, 'bulk', 'kind', 'scheduled', 'source', 'schedule', 'handler', name,
    'digest', digest)
  redis.call('EXPIRE', P .. 'event:' .. id, retention)
  redis.call('HSET', joins, digest, id)
  redis.call('EXPIRE', joins, retention)
  state.enqueued = state.enqueued + 1
end

-- enqueue_matches: make events of a task's matches, in the lane of each ticket.
-- ARGV    1 now  2 name of the task: its handler  3 token  4 lease (ms)  5 how many at most  6 retention (s)
-- Return  how many matches are left, or -1 if another worker has claimed the task
register('enqueue_matches', {args = 6, numbers = {4, 5, 6}, keys = {TASKS, LEASES, SCHEDULE, TIMERS}, named = MATCHES},
  function(P, now, ARGV)
  local name, most = ARGV[2], tonumber(ARGV[5])
  local state, matches = running(P, name, ARGV[3]), P .. 'matches:' .. name
  if not state then return -1 end
  for _, ticket in ipairs(redis.call('LRANGE', matches, 0, most - 1)) do
    -- A key of the wrong type affects only its ticket.
    pcall(add_event, P, now, name, state, ticket, ARGV[6])
  end
  redis.call('LTRIM', matches, most, -1)
  local left = redis.call('LLEN', matches)
  state.locked_until = now + ARGV[4]
  if left == 0 then state.phase, state.token, state.ended = 'done', '', now end
  write_state(P, name, state)
  return left
end)

-- release_task: release a task before its run is over, or end a run that has no matches.
-- ARGV    1 now  2 name of the task  3 token  4 ms until it may be claimed again, -1 if the run is over  5 why, or ''
--         6 findings (JSON) or ''
-- Return  1, or 0 if another worker has claimed the task
register('release_task', {args = 6, numbers = {4}, keys = {TASKS}}, function(P, now, ARGV)
  local name, wait = ARGV[2], tonumber(ARGV[4])
  local state = running(P, name, ARGV[3])
  if not state then return 0 end
  local findings = ARGV[6] ~= '' and cjson.decode(ARGV[6])
  state.token, state.why = '', ARGV[5]
  if wait < 0 then
    state.phase, state.ended = 'done', now
    redis.call('DEL', P .. 'matches:' .. name)
  else
    state.locked_until = now + wait
  end
  -- cjson would encode an empty list as an object.
  if findings then state.findings = findings[1] and findings or nil end
  write_state(P, name, state)
  return 1
end)

-- Add an event to the lane of a ticket that has changed, unless one already waits there. It may wait for `wait` ms, so
-- that a delivery that is on its way comes first.
local function add_change(P, now, state, ticket, wait, since, retention)
  local id, joins = string.format('sweep-%.0f-%s', state.scheduled_at, ticket), P .. 'joins:' .. ticket
  local settling = schedule.settling_until(P, ticket)
  local known = redis.call('HGET', joins, 'sweep')
  if redis.call('EXISTS', P .. 'event:' .. id) == 1 then return end
  if known and redis.call('EXISTS', P .. 'event:' .. known) == 1 then return end
  redis.call('RPUSH', P .. 'lane:' .. ticket, id)
  redis.call('HSET', P .. 'event:' .. id, 'v', 1, 'ticket', ticket, 'kind', 'updated', 'update', 0, 'source', 'sweep',
    'at', now, 'since', since, 'digest', 'sweep')
  redis.call('EXPIRE', P .. 'event:' .. id, retention)
  schedule.event_added(P, now, ticket, 'bulk', settling, wait > 0 and now + wait)
  redis.call('HSET', joins, 'sweep', id)
  redis.call('EXPIRE', joins, retention)
  state.enqueued = state.enqueued + 1
end

-- end_page: end a page of the sweep: add the events of the tickets that have changed, and release the task.
-- ARGV    1 now  2 task  3 token  4 ms until the next page, -1 if the run is over
--         5 what the page has shown (JSON of PageResult)  6 since: ms from which its changes are new  7 retention (s)
-- Return  1, or 0 if another worker has claimed the task
register('end_page', {args = 7, numbers = {4, 6, 7}, keys = {TASKS, LEASES, SCHEDULE, TIMERS, {open = 'zset'}}},
  function(P, now, ARGV)
  local name, wait, state = ARGV[2], tonumber(ARGV[4]), running(P, ARGV[2], ARGV[3])
  local result = cjson.decode(ARGV[5])
  if not state then return 0 end
  for _, one in ipairs(result.changed) do
    -- A key of the wrong type affects only its ticket.
    pcall(add_change, P, now, state, string.format('%.0f', one[1]), one[2], ARGV[6], ARGV[7])
  end
  for _, ticket in ipairs(result.opened) do redis.call('ZADD', P .. 'open', ticket, string.format('%.0f', ticket)) end
  for _, ticket in ipairs(result.closed) do redis.call('ZREM', P .. 'open', string.format('%.0f', ticket)) end
  state.token, state.why, state.memo = '', result.why or '', result.memo
  state.page, state.found = result.page, state.found + result.tickets
  if wait < 0 then state.phase, state.ended = 'done', now else state.locked_until = now + wait end
  write_state(P, name, state)
  return 1
end)

-- read_open: return the open tickets that sweeps have seen.
-- ARGV    1 now  2 after which ticket  3 how many at most
-- Return  their numbers, in order
register('read_open', {args = 3, numbers = {2, 3}, keys = {{open = 'zset'}}}, function(P, _, ARGV)
  return redis.call('ZRANGEBYSCORE', P .. 'open', '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[3])
end, 'no-writes')

-- hurry_task: make a task due now.
-- ARGV    1 now  2 name of the task
-- Return  1
register('hurry_task', {args = 2, keys = {TASKS}}, function(P, now, ARGV)
  local name, state = ARGV[2], read_state(P, ARGV[2])
  if not state then
    state = {phase = 'done', scheduled_at = now, period = 0, page = 1, found = 0, enqueued = 0, truncated = false,
      locked_until = 0, token = '', why = '', ended = 0}
  end
  if state.phase == 'done' then state.hurried = true elseif state.token == '' then state.locked_until = now end
  write_state(P, name, state)
  return 1
end)
