-- Periodic tasks: each is run by one worker of the fleet. `P periodic_tasks` maps a task's name to its state (JSON);
-- `TaskState` in periodic.py documents the fields.
-- The matches, tickets that wait for their event, are in the list `P matches:<task>`, so that any worker can continue.

-- How long (ms) the state of an unused task is kept, and for how many periods at least.
local FORGET, PERIODS = 30 * 86400000, 3
-- How long (ms) matches are kept.
local MATCHES_LIFE = 7 * 86400000

local TASKS, MATCHES = {periodic_tasks = 'hash'}, {matches = 'list'}

local function read_state(P, name)
  local stored = redis.call('HGET', P .. 'periodic_tasks', name)
  return stored and cjson.decode(stored)
end

local function write_state(P, name, state)
  redis.call('HSET', P .. 'periodic_tasks', name, cjson.encode(state))
end

-- Return the state of a task if the token proves that its caller runs it, else nil.
local function running(P, name, token)
  local state = read_state(P, name)
  return state and state.token == token and state or nil
end

-- Begin a run. After missed runs, only the last one is made up for.
local function begin(P, now, name, period, state)
  local scheduled_at = now
  if state then scheduled_at = state.scheduled_at + math.floor((now - state.scheduled_at) / period) * period end
  redis.call('DEL', P .. 'matches:' .. name)
  return {scheduled_at = scheduled_at, period = period, phase = 'search', page = 1, found = 0, enqueued = 0,
    truncated = false, why = '', ended = state and state.ended or 0, findings = state and state.findings or nil}
end

local function forget_unused(P, now)
  local all = redis.call('HGETALL', P .. 'periodic_tasks')
  for n = 1, #all, 2 do
    local readable, state = pcall(cjson.decode, all[n + 1])
    local kept = readable and math.max(FORGET, PERIODS * state.period)
    if kept and now - state.scheduled_at > kept then redis.call('HDEL', P .. 'periodic_tasks', all[n]) end
  end
end

-- claim_task: claim the periodic task that has been due longest, or return how long to wait. A new task is due at once.
-- ARGV    1 now  2 token of the worker  3 lease (ms)  4 tasks [[name, period (ms)]] (JSON)
-- Return  {1, name, state (JSON)} or {0, ms until it is worth asking again, -1 if there are no tasks}
register('claim_task', {args = 4, numbers = {3}, keys = {TASKS}}, function(P, now, ARGV)
  local token, lease = ARGV[2], tonumber(ARGV[3])
  local chosen, first
  for _, task in ipairs(cjson.decode(ARGV[4])) do
    local name, period = task[1], task[2]
    local state = read_state(P, name)
    -- A repeated call returns the same task.
    if state and state.token == token and state.locked_until > now then return {1, name, cjson.encode(state)} end
    local due = not state and now or state.phase == 'done' and state.scheduled_at + period or state.locked_until
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
