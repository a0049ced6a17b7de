-- Forgetting: delete what is stored under a ticket's number.

-- Delete what a turn has announced of tickets that it was about to create.
local function drop_drafts(P, id)
  for _, effect in ipairs(redis.call('HKEYS', P .. 'drafts')) do
    if string.sub(effect, 1, #id + 1) == id .. '.' then
      redis.call('HDEL', P .. 'drafts', effect)
      redis.call('ZREM', P .. 'creations', effect)
    end
  end
end

-- forget: delete the waiting events, the pending work, the snapshot and the history of a ticket, and end its lane. A
-- turn that runs keeps everything, and so does one that has begun and is not finished, unless `unfinished` is 1.
-- ARGV    1 now  2 ticket  3 unfinished (0|1)  4 who does it (JSON)
-- Return  '' if it is forgotten, else why not: running, unfinished
register('forget', {args = 4, by = 4,
  keys = {LEASES, SCHEDULE, TIMERS, AUDIT, {drafts = 'hash', creations = 'zset', waiting_for_resume = 'set'}},
  named = {lane = 'list', turn = 'hash'}}, function(P, now, ARGV)
  local lane, turn = ARGV[2], P .. 'turn:' .. ARGV[2]
  local token = redis.call('HGET', P .. 'leases', lane)
  if token and (tonumber(redis.call('ZSCORE', P .. 'schedule', lane)) or 0) > now then return 'running' end
  local begun = redis.call('HEXISTS', turn, 'plan') + redis.call('HEXISTS', turn, 'reading')
  if begun > 0 and ARGV[3] == '0' then return 'unfinished' end
  -- Until its second claim, the nonce of the lease is the turn's id.
  local id = redis.call('HGET', turn, 'id') or token and leases.nonce(token)
  if id then drop_drafts(P, id) end
  if token then leases.delete(P, lane, token) end
  for _, id in ipairs(redis.call('LRANGE', P .. 'lane:' .. lane, 0, -1)) do redis.call('DEL', P .. 'event:' .. id) end
  for _, kind in ipairs({'lane', 'joins', 'snapshot', 'history', 'settling', 'created', 'client_writes'}) do
    redis.call('DEL', P .. kind .. ':' .. lane)
  end
  redis.call('DEL', turn)
  redis.call('ZREM', P .. 'schedule', lane)
  redis.call('ZREM', P .. 'schedule:timers', lane)
  schedule.move(P, lane, nil)
  redis.call('SREM', P .. 'waiting_for_resume', lane)
  audit(P, now, ARGV[4], 'forget', 'ticket ' .. lane, '', '')
  return ''
end, 'allow-oom')
