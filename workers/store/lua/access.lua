-- Access: what the user who runs these functions may do. Nothing is run and nothing is written, not even TIME, which may
-- be forbidden, too.

-- access: find out which commands the user may not run on which keys. Usually nothing is missing, so the first look takes
-- each command on one key, and each key with one command that reads and one that writes.
-- ARGV    1 now  2 commands, each a list of words (JSON)  3 keys (JSON)
-- Return  pairs {position of the command, position of the key}, from 0; empty if nothing is missing
publish('access', function(_, ARGV)
  local commands, keys = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
  local function may(words, key)
    local line = {unpack(words)}
    for n = #words + 1, #words + 4 do line[n] = key end
    -- An error: the server does not have the command.
    local known, allowed = pcall(redis.acl_check_cmd, unpack(line))
    return known and allowed
  end
  local sound = true
  for n, words in ipairs(commands) do sound = sound and may(words, keys[n % #keys + 1]) end
  for _, key in ipairs(keys) do sound = sound and may({'GET'}, key) and may({'SET'}, key) end
  local denied = {}
  if sound then return denied end
  for c, words in ipairs(commands) do
    for k, key in ipairs(keys) do
      if not may(words, key) then denied[#denied + 1] = {c - 1, k - 1} end
    end
  end
  return denied
end, 'no-writes')
