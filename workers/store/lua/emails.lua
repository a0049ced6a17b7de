-- Emails: how many each address or contact gets within a day, over all tickets of the account, and those that were
-- held back.
--
--   P emails:<address>      ZSET  '<ticket> <turn>.<effect>' of each email that counts -> ms when it began. The address
--                                 is an HMAC: nobody can read it from the store.
--   P held:<dead letter>    LIST  the emails that a dead letter holds, oldest first: msgpack of {id, ticket, evidence}

local DAY = 86400000
-- How many emails a dead letter holds. Of more, the oldest are dropped: whoever replays them wants the latest.
local MOST_HELD = 100

-- Return each of the addresses with its emails: it has several if one call sends it several, as a list of new tickets.
local function each_email(addresses, email)
  local found, number = {}, {}
  for n, address in ipairs(addresses) do
    number[address] = (number[address] or 0) + 1
    found[n] = {address, number[address] > 1 and email .. '.' .. number[address] or email}
  end
  return found
end

-- Return the first of the addresses that would get more emails than its limit with these.
function emails.exceeded(P, now, addresses, limit, email)
  local new = {}
  for _, one in ipairs(each_email(addresses, email)) do
    local address, key = one[1], P .. 'emails:' .. one[1]
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - DAY)
    if not redis.call('ZSCORE', key, one[2]) then
      new[address] = (new[address] or 0) + 1
      if redis.call('ZCARD', key) + new[address] > limit then return address end
    end
  end
end

function emails.require_types(P, addresses)
  for _, address in ipairs(addresses) do require_type(P .. 'emails:' .. address, 'zset') end
end

function emails.add(P, now, addresses, email)
  for _, one in ipairs(each_email(addresses, email)) do
    redis.call('ZADD', P .. 'emails:' .. one[1], now, one[2])
    redis.call('PEXPIRE', P .. 'emails:' .. one[1], DAY)
  end
end

-- Forget an email that was certainly not sent.
function emails.remove(P, addresses, email)
  for _, one in ipairs(each_email(addresses, email)) do redis.call('ZREM', P .. 'emails:' .. one[1], one[2]) end
end

-- Add an email to a dead letter, which is written first if there is none; its evidence is that of the latest email. It
-- is kept for `life` ms from now.
function emails.hold(P, now, turn, ticket, one, life)
  local key, list = P .. 'dead_letter:' .. one.dead_letter, P .. 'held:' .. one.dead_letter
  replace_other_type(key, 'hash')
  replace_other_type(list, 'list')
  redis.call('HSETNX', key, 'at', now)
  redis.call('HSET', key, 'v', 1, 'ticket', ticket, 'turn', turn, 'evidence', one.evidence)
  redis.call('HINCRBY', key, 'held', 1)
  redis.call('RPUSH', list, cmsgpack.pack({one.id, ticket, one.email}))
  redis.call('LTRIM', list, -MOST_HELD, -1)
  redis.call('PEXPIRE', list, life)
  keep_dead_letter(P, now, one.dead_letter, life)
end

-- Return the emails that a dead letter holds, each as {id, ticket, evidence}.
function emails.held(P, dead_letter)
  local found = redis.call('LRANGE', P .. 'held:' .. dead_letter, 0, -1)
  for n, one in ipairs(found) do found[n] = cmsgpack.unpack(one) end
  return found
end

-- read_emails: return the emails that addresses got within a day and that count.
-- KEYS    1 account prefix
-- ARGV    1 now  2.. addresses (HMAC)
-- Return  for each address a list of '<ticket> <turn>.<effect>', oldest first
register('read_emails', {}, function(P, now, ARGV)
  local found = {}
  for n = 2, #ARGV do
    found[n - 1] = redis.call('ZRANGEBYSCORE', P .. 'emails:' .. ARGV[n], '(' .. (now - DAY), '+inf')
  end
  return found
end, 'no-writes')
