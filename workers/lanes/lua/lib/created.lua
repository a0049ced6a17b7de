-- Tickets that we created are known by their numbers from now on, and by how many were created one from another.
local function created_known(P, S)
  local depth = tonumber(redis.call('GET', P .. 'created:' .. S.lane) or 0) + 1
  for _, one in ipairs(S.created) do
    redis.call('HDEL', P .. 'drafts', one[1])
    redis.call('ZREM', P .. 'creating', one[1])
    if one[2] > 0 then
      redis.call('SET', P .. 'created:' .. string.format('%.0f', one[2]), depth, 'PX', S.lives.record)
    end
  end
end
