-- include: lib/schedule
-- What is wanted of other tickets becomes an event in each one's lane, which is kept until a turn has taken it. A key of
-- the wrong type there concerns that ticket alone: what was wanted is a dead letter then.
local function handed_over(P, now, S)
  local function give(one, ticket)
    local event = P .. 'event:' .. one.id
    redis.call('RPUSH', P .. 'lane:' .. ticket, one.id)
    redis.call('HSET', event, 'v', 1, 'ticket', ticket, 'kind', 'wish', 'update', 0, 'source', 'handler', 'at', now,
      'debt', one.debt)
    schedule_event(P, now, ticket, 'normal')
  end
  for _, one in ipairs(S.handed) do
    local ticket = string.format('%.0f', one.ticket)
    if not pcall(give, one, ticket) then
      redis.call('ZADD', P .. 'dead', now, one.id)
      redis.call('HSET', P .. 'letter:' .. one.id, 'v', 1, 'at', now, 'ticket', ticket, 'turn', S.turn,
        'evidence', one.debt)
    end
  end
end
