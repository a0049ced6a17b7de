-- Ends a turn: last seen, record, trail and dead letters are written, exactly the handled events leave the lane, the
-- lane becomes due again for what is left; then, if asked, the next lane is claimed in the same trip.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 settlement (JSON)  3 last seen or ''  4 record (compressed) or ''  5 owed (JSON) or ''
--         6.. nonce, lease, most events, read, life of the read and budget of a claim, as claims_take; the nonce is ''
--         when none is wanted
-- settlement: lane, token, turn; and where there is something to tell, else absent: handled [event ids], taken [those of
--         them that carried what is owed or wanted, which is kept elsewhere from here on], left [event ids],
--         look (ms until left events are looked at again), quiet (ms for which a lane that wrote stays quiet), retry (ms
--         at which what is owed is due), timer (ms at which the ticket's first timer is), timed (true when the lane had
--         waited for one, or for something owed), paused (for lanes with handlers that wait for the end of a pause: how
--         many had ended when it was claimed), letters {id: evidence}, trail [lines], saved (calls that folding saved),
--         permit with outcome and age (of the read), lives {seen, record, trail} (ms), created
--         [[effect: turn and key, ticket or 0]] of tickets that were created, handed [{id, ticket, debt}] for the lanes of
--         other tickets
-- Answer  {1 or 0 when the lease is lost, the claim's reply or false}
-- include: lib/clock
-- include: lib/lease
-- include: lib/claims
local P, now, S = KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2])
local lane, turn, nonce = S.lane, P .. 'turn:' .. S.lane, ARGV[6]

-- A timer is waited for as an owed handler is. The lanes that wait for nothing else are noted, for they are no backlog.
local function timer(due, waiting)
  if S.timer and (not due or S.timer < due) then
    due = S.timer
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  end
  if S.timer and waiting == 0 and ARGV[5] == '' then
    redis.call('ZADD', P .. 'sched:timer', due, lane)
  elseif S.timed then
    redis.call('ZREM', P .. 'sched:timer', lane)
  end
  return due
end

-- The lanes with handlers that wait for the end of a pause are noted, for it makes them due; one may have ended meanwhile.
local function pause(due)
  if not S.paused then
    if S.timed then redis.call('SREM', P .. 'waiting', lane) end
    return due
  end
  redis.call('SADD', P .. 'waiting', lane)
  if tonumber(redis.call('HGET', P .. 'paused', 'ended') or 0) == S.paused then return due end
  redis.call('HSET', turn, 'retry', now)
  return now
end

-- What is left decides when the lane is due: new events soon, events to look at again later, owed handlers at their time.
-- The turn's `retry` equals the schedule's score while the lane waits for nothing else: a new event then makes it due.
local function schedule()
  local waiting, left = redis.call('LLEN', P .. 'lane:' .. lane), S.left and #S.left or 0
  local due = nil
  -- Nothing handled, although more waits: the turn took as many as it may, and all of them wait for the ticket to show.
  local stuck = not S.handled and left > 0
  if waiting > left and not stuck then due = now + (S.quiet or 0)
  elseif waiting > 0 then
    due = now + (S.look or 0)
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  end
  if ARGV[5] ~= '' then
    redis.call('HSET', turn, 'v', 1, 'owed', ARGV[5], 'claims', 0)
    due = math.min(due or S.retry or 0, S.retry or 0)
    redis.call('HSET', turn, 'retry', due)
  end
  due = pause(timer(due, waiting))
  if due then redis.call('ZADD', P .. 'sched', due, lane) else redis.call('ZREM', P .. 'sched', lane) end
  if waiting > left then
    -- include: lib/classes
    class_set(P, lane, due, class_waiting(P, lane))
  else
    ranks_move(P, lane, due)
  end
  -- The webhooks of our own writes arrive now: accept lets them wait, so that they share one read. What counts is the
  -- value; the lifetime only clears it away.
  if S.quiet then redis.call('SET', P .. 'quiet:' .. lane, now + S.quiet, 'PX', S.quiet + 60000) end
end

local function keep()
  if ARGV[3] ~= '' then redis.call('SET', P .. 'ticket:' .. lane, ARGV[3], 'PX', S.lives.seen) end
  if ARGV[4] ~= '' then
    redis.call('SET', P .. 'record:' .. S.turn, ARGV[4], 'PX', S.lives.record)
    redis.call('ZADD', P .. 'turns', now, S.turn)
    redis.call('ZREMRANGEBYSCORE', P .. 'turns', '-inf', now - S.lives.record)
  end
  if S.created then
    -- include: lib/created
    created_known(P, S)
  end
  if S.handed then
    -- include: lib/handed
    handed_over(P, now, S)
  end
  if S.letters then
    for id, evidence in pairs(S.letters) do
      redis.call('ZADD', P .. 'dead', now, id)
      redis.call('HSET', P .. 'letter:' .. id, 'v', 1, 'at', now, 'ticket', lane, 'turn', S.turn, 'evidence', evidence)
    end
  end
  if S.trail then
    -- include: lib/trail
    trail_add(P, lane, S.trail, S.lives.trail)
  end
  if S.saved then redis.pcall('INCRBY', P .. 'saved', S.saved) end -- no figure is worth a turn
end

local own = redis.call('HMGET', P .. 'own', lane, '@' .. nonce)
local held, before = own[1] == S.token, own[2]
local kept = P .. 'settled:' .. S.turn
if S.permit then
  -- include: lib/answers
  local B, age = cjson.decode(ARGV[11]), S.age or 0
  if S.outcome == 'answered' and slots_open(P) then
    slots_answered(P, now, B, 'get', S.permit, age)
  else
    local _, _, release = claims_closely()
    release(P, now, B, 'get', S.permit, S.outcome, age, 0)
  end
end
local settled = held and S.token
if held then
  for _, id in ipairs(S.handled or {}) do redis.call('LREM', P .. 'lane:' .. lane, 1, id) end
  for _, id in ipairs(S.taken or {}) do redis.call('PEXPIRE', P .. 'event:' .. id, S.lives.record) end
  redis.call('DEL', turn)
  lease_end(P, lane, S.token)
  schedule()
  keep()
else
  -- A repeated call finds its token gone and one of these instead: what the claim got, or a key of its own.
  settled = before and string.match(before, '(%S*)$') or redis.call('GET', kept)
end
settled = settled == S.token and S.token or ''
local claimed = false
if nonce ~= '' then claimed = claims_take(P, now, {unpack(ARGV, 6)}, before, settled) end
if held and not (claimed and claimed[1] == 1) then redis.call('SET', kept, S.token, 'PX', 60000) end
return {settled ~= '' and 1 or 0, claimed}
