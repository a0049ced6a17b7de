-- Leases: who holds a lane, and what a claimer got.
--
--   P own   HASH  lane     -> token of its lease, '<number>-<nonce>'
--                 @<nonce> -> what the claim with this nonce got, while the lease runs: '<lane> <class>' and, when it was
--                             made in one script with a settling, the token that was settled. A repeated call, whose
--                             answer was lost, is answered by it as the first one.

local function lease_nonce(token)
  return string.match(token, '%-(.*)')
end

-- Whether a token still proves the lease of a lane.
local function lease_held(P, lane, token)
  return redis.call('HGET', P .. 'own', lane) == token
end

local function lease_end(P, lane, token)
  redis.call('HDEL', P .. 'own', lane, '@' .. lease_nonce(token))
end
