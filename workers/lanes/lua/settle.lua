-- Ends a turn: last seen, record, trail and dead letters are written, exactly the handled events leave the lane, the
-- lane becomes due again for what is left; then, if asked, the next lane is claimed in the same trip.
-- KEYS[1] prefix of the account
-- ARGV    1 now  2 settlement (JSON)  3 last seen or ''  4 record (compressed) or ''  5 owed (JSON) or ''
--         6 budget  7.. nonce, lease, most events, read and life of a claim, or none
-- settlement: lane, token, turn, handled [event ids], left [event ids], look (ms until left events are looked at again),
--         quiet (ms for which a lane that wrote stays quiet), retry (ms at which what is owed is due), letters
--         {id: evidence}, trail [lines], permit, outcome, age (of the read), lives {seen, record, trail} (ms)
-- Answer  {1 or 0 when the lease is lost, the claim's reply or false}
-- include: lib/clock
-- include: lib/lease
-- include: lib/claims
-- include: lib/trail
local P, now, S = KEYS[1], clock(ARGV[1]), cjson.decode(ARGV[2])
local lane, turn = S.lane, P .. 'turn:' .. S.lane

local function remove_handled()
  for _, id in ipairs(S.handled) do redis.call('LREM', P .. 'lane:' .. lane, 1, id) end
end

-- What is left decides when the lane is due: new events soon, events to look at again later, owed handlers at their time.
-- The turn's `retry` equals the schedule's score while the lane waits for nothing else: a new event then makes it due.
local function schedule()
  local waiting = redis.call('LLEN', P .. 'lane:' .. lane)
  local due = nil
  -- Nothing handled, although more waits: the turn took as many as it may, and all of them wait for the ticket to show.
  local stuck = #S.handled == 0 and #S.left > 0
  if waiting > #S.left and not stuck then due = now + S.quiet
  elseif waiting > 0 then
    due = now + S.look
    redis.call('HSET', turn, 'v', 1, 'retry', due)
  end
  if ARGV[5] ~= '' then
    redis.call('HSET', turn, 'v', 1, 'owed', ARGV[5], 'claims', 0)
    if not due or S.retry < due then due = S.retry end
    redis.call('HSET', turn, 'retry', due)
  end
  if due then redis.call('ZADD', P .. 'sched', due, lane) else redis.call('ZREM', P .. 'sched', lane) end
  if waiting > #S.left then ranks_set(P, lane, due, claims_class(P, lane)) else ranks_move(P, lane, due) end
  -- The webhooks of our own writes arrive now: accept lets them wait, so that they share one read. What counts is the
  -- value; the lifetime only clears it away.
  if S.quiet > 0 then redis.call('SET', P .. 'quiet:' .. lane, now + S.quiet, 'PX', S.quiet + 60000) end
end

local function keep()
  if ARGV[3] ~= '' then redis.call('SET', P .. 'ticket:' .. lane, ARGV[3], 'PX', S.lives.seen) end
  if ARGV[4] ~= '' then
    redis.call('SET', P .. 'record:' .. S.turn, ARGV[4], 'PX', S.lives.record)
    redis.call('ZADD', P .. 'turns', now, S.turn)
    redis.call('ZREMRANGEBYSCORE', P .. 'turns', '-inf', now - S.lives.record)
  end
  -- A repeated call finds its token gone and this instead.
  redis.call('SET', P .. 'settled:' .. S.turn, S.token, 'PX', 60000)
  for id, evidence in pairs(S.letters) do
    redis.call('ZADD', P .. 'dead', now, id)
    redis.call('HSET', P .. 'letter:' .. id, 'v', 1, 'at', now, 'ticket', lane, 'turn', S.turn, 'evidence', evidence)
  end
  trail_add(P, lane, S.trail, S.lives.trail)
end

local function settle()
  if S.permit ~= '' then permits_release(P, now, permits_budget(ARGV[6]), 'get', S.permit, S.outcome, S.age, 0) end
  if not lease_held(P, lane, S.token) then
    return redis.call('GET', P .. 'settled:' .. S.turn) == S.token and 1 or 0
  end
  remove_handled()
  redis.call('DEL', turn)
  redis.call('HDEL', P .. 'own', lane)
  schedule()
  keep()
  return 1
end

local settled = settle()
local claimed = false
if ARGV[7] then
  claimed = claims_take(P, now, ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[6], ARGV[11])
end
return {settled, claimed}
