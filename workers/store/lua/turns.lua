-- What a worker writes with the token of its lease before the turn is settled: the plan, the journal of its effects,
-- and the lane itself when it is released. If the lease is lost, no function writes anything for the lane.
--
--   P turn:<ticket>      HASH  id           nonce of the first claim
--                              claims       claims since the lane was last released normally
--                              plan         the turn's plan (JSON);  calls: how many calls it has
--                              events       ids of the turn's events (JSON), once a plan or a reading has frozen it
--                              reading      what the handlers were shown (JSON), once one had an external effect
--                              pending      pending handler work (JSON)
--                              retry        ms at which the lane is due again, while it waits for nothing else
--                              poison_mark  handler that was about to run in a turn that crashed before
--                              effect:<key>                journal entry of an effect (JSON)
--                              external:<handler> <name>   journal entry of an effect in another system (JSON)
--   P history:<ticket>   LIST  the ticket's history: short lines, newest last

local HISTORY_LINES = 200

-- Add lines to a ticket's history, which is kept for `life` ms.
function history.add(P, ticket, lines, life)
  if #lines == 0 then return end
  local key = P .. 'history:' .. ticket
  replace_other_type(key, 'list')
  local length = redis.call('RPUSH', key, unpack(lines, math.max(1, #lines - HISTORY_LINES + 1)))
  if length > HISTORY_LINES then redis.call('LTRIM', key, -HISTORY_LINES, -1) end
  redis.call('PEXPIRE', key, life)
end

-- plan: store a turn's plan and freeze the turn: every later claim of the lane resumes the plan. What its handlers change
-- in the state of their routers is written with it, unless what they have read there has changed since.
-- ARGV    1 now  2 lane  3 token  4 plan (JSON)  5 budget (JSON)  6 permit of the read or ''  7 outcome of the read
--         8 age of the answer (ms)  9 how many calls the plan has  10 the ids of its events (JSON)
--         11 state (JSON) or '': {turn, reads: [[entry, field, value or '']],
--            changes: [{entry, keep: ms, then one of value: text, by: integer, delete: true, add and remove: [members]}]}
--         12 figures of the read or ''
-- Return  1, or 0 if the lease is lost, or -1 if a handler must decide again; then nothing is stored
register('plan', {args = 12, numbers = {8, 9}, keys = {LEASES, PERMITS}, named = {turn = 'hash'}}, function(P, now, ARGV)
  local turn, decided = P .. 'turn:' .. ARGV[2], ARGV[11] ~= '' and cjson.decode(ARGV[11])
  if ARGV[6] ~= '' then
    local budget = decode_budget(ARGV[5])
    figures.add(P, now, permits.release(P, now, budget, 'get', ARGV[6], ARGV[7], ARGV[8], 0, ARGV[12]))
  end
  if not leases.valid(P, ARGV[2], ARGV[3]) then return 0 end
  if decided and redis.call('HEXISTS', turn, 'plan') == 0 then
    if state.changed_since(P, decided.reads) then return -1 end
    state.apply(P, now, decided.turn, ARGV[2], decided.changes)
  end
  redis.call('HSETNX', turn, 'plan', ARGV[4])
  redis.call('HSETNX', turn, 'calls', ARGV[9])
  redis.call('HSETNX', turn, 'events', ARGV[10])
  redis.call('HDEL', turn, 'poison_mark')
  return 1
end)

-- mark: record which handler is about to run in a turn that crashed before: if it crashes again, this handler is why.
-- ARGV    1 now  2 lane  3 token  4 handler, or '' when it has returned
-- Return  1, or 0 if the lease is lost
register('mark', {args = 4, keys = {LEASES}, named = {turn = 'hash'}}, function(P, _, ARGV)
  if not leases.valid(P, ARGV[2], ARGV[3]) then return 0 end
  set_or_delete(P .. 'turn:' .. ARGV[2], 'poison_mark', ARGV[4])
  return 1
end)

-- Return the pause that holds an effect of these routers on a ticket, if any: its scope, the name in it, and the pause.
function claims.pause_of(P, ticket, routers)
  local account, all, tickets = unpack(redis.call('HMGET', P .. 'paused', 'account', 'routers', 'tickets'))
  if account then return 'account', '', account end
  local own = tickets and redis.call('HGET', P .. 'paused', 'ticket:' .. ticket)
  if own then return 'ticket', ticket, own end
  local paused = all and cjson.decode(all) or {}
  for _, router in ipairs(routers) do
    if paused[router] then return 'router', router, cjson.encode(paused[router]) end
  end
end

-- begin: begin an effect: check the lease, take a permit and write the journal entry, all or nothing.
-- ARGV    1 now  2 lane  3 token  4 effect  5 permit (chosen by the caller)  6 life of the call (ms)  7 budget (JSON)
--         8 class  9 attempts so far  10 parts of the effect that are not sent (JSON list) or ''
--         11 newest update of the ticket before the call
--         12 emails that it sends (JSON: {addresses, limit}, addresses as HMACs, limit 0 for none) or ''  13 turn
--         14 routers of the handlers that asked for it (JSON list)
-- Return  {1, now} begun   {0, wait (ms), why} no permit   {-1} lease lost
--         {-2} begun before under another permit: the effect is in doubt
--         {-3, address, its emails within a day} the address has got its limit of emails
--         {-4, scope (account | router | ticket), name, pause (JSON)} it is paused
register('begin', {args = 14, numbers = {6, 9, 11}, keys = {LEASES, PERMITS, {paused = 'hash'}},
  named = {turn = 'hash'}}, function(P, now, ARGV)
  local turn, field, permit, life = P .. 'turn:' .. ARGV[2], 'effect:' .. ARGV[4], ARGV[5], tonumber(ARGV[6])
  if not leases.valid(P, ARGV[2], ARGV[3]) then return {-1} end
  local before = redis.call('HGET', turn, field)
  if before then
    local entry = cjson.decode(before)
    if entry.state == 'begun' and entry.permit == permit then return {1, entry.at} end
    return {-2}
  end
  local scope, name, pause = claims.pause_of(P, ARGV[2], cjson.decode(ARGV[14]))
  if scope then return {-4, scope, name, pause} end
  local sent, email = ARGV[12] ~= '' and cjson.decode(ARGV[12]), ARGV[2] .. ' ' .. ARGV[13] .. '.' .. ARGV[4]
  local omitted, budget = ARGV[10] ~= '' and cjson.decode(ARGV[10]) or nil, decode_budget(ARGV[7])
  if sent then emails.require_types(P, sent.addresses) end
  local full = sent and sent.limit > 0 and emails.exceeded(P, now, sent.addresses, sent.limit, email)
  if full then return {-3, full, redis.call('ZRANGE', P .. 'emails:' .. full, 0, -1)} end
  local wait, why = permits.grant(P, now, budget, 'post', permit, ARGV[8], life)
  if wait > 0 then return {0, wait, why} end
  if sent then emails.add(P, now, sent.addresses, email) end
  redis.call('HSET', turn, field, cjson.encode({
    format = 1, state = 'begun', permit = permit, at = now, deadline = now + life, attempts = tonumber(ARGV[9]) + 1,
    omitted = omitted, newest_update = tonumber(ARGV[11]),
    email = sent and {id = email, addresses = sent.addresses} or nil,
  }))
  return {1, now}
end)

-- The journal entry after a call that certainly did nothing; '' is a deleted one.
local NOT_DONE = {refused = true, split = true, missing = true}

-- Return the email of a call that HappyFox has clearly refused, or that was not sent, or nil.
local function refused_email(P, stored, entry)
  local before = stored and cjson.decode(stored)
  if before and before.email and (entry == '' or NOT_DONE[cjson.decode(entry).state]) then
    emails.require_types(P, before.email.addresses)
    return before.email
  end
end

-- finish: finish an effect: write its journal entry and settle its permit in one step.
-- ARGV    1 now  2 lane  3 token  4 effect  5 journal entry (JSON), '' to delete it, '-' to keep what is stored
--         6 permit or ''  7 outcome of the call  8 age of the answer (ms)  9 wait HappyFox asked for (ms)
--         10 budget (JSON)  11 figures of the call or ''
-- Return  1, or 0 if the lease is lost (the permit is settled anyway)
register('finish', {args = 11, numbers = {8, 9}, keys = {LEASES, PERMITS}, named = {turn = 'hash'}},
  function(P, now, ARGV)
  local turn, field = P .. 'turn:' .. ARGV[2], 'effect:' .. ARGV[4]
  local writes = ARGV[5] ~= '-' and leases.valid(P, ARGV[2], ARGV[3])
  -- Without a permit no call has just ended: what was in doubt may have been sent.
  local refused = writes and ARGV[6] ~= '' and refused_email(P, redis.call('HGET', turn, field), ARGV[5])
  if ARGV[6] ~= '' then
    local budget = decode_budget(ARGV[10])
    figures.add(P, now, permits.release(P, now, budget, 'post', ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[11]))
  end
  if not writes then return leases.valid(P, ARGV[2], ARGV[3]) and 1 or 0 end
  if refused then emails.remove(P, refused.addresses, refused.id) end
  set_or_delete(turn, field, ARGV[5])
  return 1
end)

-- external: write the state of an effect in another system; a turn's first one freezes what its handlers were shown.
-- ARGV    1 now  2 lane  3 token  4 effect: handler, a space, name  5 journal entry (JSON), '' to delete it
--         6 the reading (JSON), or '' if it is stored already  7 the ids of the turn's events (JSON)
-- Return  1, or 0 if the lease is lost
register('external', {args = 7, keys = {LEASES}, named = {turn = 'hash'}}, function(P, _, ARGV)
  local turn = P .. 'turn:' .. ARGV[2]
  if not leases.valid(P, ARGV[2], ARGV[3]) then return 0 end
  if ARGV[6] ~= '' then
    redis.call('HSETNX', turn, 'reading', ARGV[6])
    redis.call('HSETNX', turn, 'events', ARGV[7])
  end
  set_or_delete(turn, 'external:' .. ARGV[4], ARGV[5])
  return 1
end)

-- park: release a lane before its turn is over; it is due again after a delay.
-- ARGV    1 now  2 lane  3 token  4 delay (ms)  5 budget (JSON)  6 permit of the read or ''  7 outcome of the read
--         8 age of the answer (ms)  9 wait HappyFox asked for (ms)  10 history line or ''
--         11 lifetime of the history (ms)  12 figures of the read or ''  13 figures of the turn
-- Return  1, or 0 if the lease is lost
register('park', {args = 13, numbers = {4, 8, 9, 11}, keys = {LEASES, PERMITS, SCHEDULE}, named = {turn = 'hash'}},
  function(P, now, ARGV)
  local lane, turn, due = ARGV[2], P .. 'turn:' .. ARGV[2], now + ARGV[4]
  local budget, counted = ARGV[6] ~= '' and decode_budget(ARGV[5]), ''
  if budget then
    counted = permits.release(P, now, budget, 'get', ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[12])
  end
  local valid = leases.valid(P, lane, ARGV[3])
  figures.add(P, now, counted .. (valid and ARGV[13] or ''))
  if not valid then return 0 end
  leases.delete(P, lane, ARGV[3])
  redis.call('ZADD', P .. 'schedule', due, lane)
  schedule.move(P, lane, due)
  redis.call('HSETNX', turn, 'id', leases.nonce(ARGV[3]))
  -- The claims so far did not crash.
  redis.call('HSET', turn, 'v', 1, 'claims', 0)
  redis.call('HDEL', turn, 'poison_mark')
  if ARGV[10] ~= '' then history.add(P, lane, {ARGV[10]}, ARGV[11]) end
  return 1
end)
