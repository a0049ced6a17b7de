-- Figures: how often what happened, by minute, by hour, and since ever.
--
--   P stats:new           STRING  what was counted last and is in no hash yet: msgpack, minutes (numbers), each followed
--                                 by maps, field -> how often
--   P stats:minute:<n>    HASH    field -> how often, in that minute; n is its number since 1970
--   P stats:hour:<n>      HASH    the same in that hour
--   P stats:totals        HASH    the same since ever
--
-- `figures.py` documents the fields. A function counts within the same step that does what it counts: a crash loses
-- nothing, and a repeated call counts nothing again. That costs one APPEND; the hashes, which would cost one command per
-- field and hash, are written when enough has come together. Figures never fail the function that counts.

-- How many bytes are collected before they are added to the hashes.
local FULL = 32768
-- How long (ms) the figures of a minute and of an hour are kept after their end.
local MINUTE, HOUR = 60000, 3600000
local KEEP_MINUTE, KEEP_HOUR = 26 * HOUR, 35 * 24 * HOUR

-- How many values are read of a text at once; Lua limits how many a function may return.
local AT_ONCE = 100

local function add(sums, counted)
  for field, n in pairs(counted) do sums[field] = (sums[field] or 0) + n end
end

-- Return the sums of a text by minute: minute -> field -> how often.
local function sum_up(text)
  local minutes, sums, offset = {}, nil, 0
  while offset >= 0 do
    local values = {cmsgpack.unpack_limit(text, AT_ONCE, offset)}
    offset = values[1]
    for n = 2, #values do
      local value = values[n]
      if type(value) == 'number' then
        sums = minutes[value] or {}
        minutes[value] = sums
      else
        add(sums, value)
      end
    end
  end
  return minutes
end

-- Add sums to a hash that is kept for `life` ms, or forever.
local function add_to(key, sums, life)
  replace_other_type(key, 'hash')
  for field, n in pairs(sums) do redis.pcall('HINCRBY', key, field, n) end
  if life then redis.call('PEXPIRE', key, life) end
end

-- Add what was counted last to the hashes.
function figures.store(P, now)
  local text = redis.pcall('GET', P .. 'stats:new')
  redis.call('DEL', P .. 'stats:new')
  local readable, minutes = pcall(sum_up, text)
  if not readable then return end
  local hours, totals = {}, {}
  for minute, sums in pairs(minutes) do
    local hour = math.floor(minute / 60)
    hours[hour] = hours[hour] or {}
    add(hours[hour], sums)
    add(totals, sums)
    local name = string.format('%.0f', minute)
    add_to(P .. 'stats:minute:' .. name, sums, (minute + 1) * MINUTE + KEEP_MINUTE - now)
  end
  for hour, sums in pairs(hours) do
    add_to(P .. 'stats:hour:' .. string.format('%.0f', hour), sums, (hour + 1) * HOUR + KEEP_HOUR - now)
  end
  add_to(P .. 'stats:totals', totals)
end

-- The minute of the last call, as msgpack.
local last_minute, packed_minute

-- Count: `counted` is '' or msgpack, maps of fields.
function figures.add(P, now, counted)
  if counted == '' then return end
  local minute = math.floor(now / MINUTE)
  if minute ~= last_minute then last_minute, packed_minute = minute, cmsgpack.pack(minute) end
  local length = redis.pcall('APPEND', P .. 'stats:new', packed_minute .. counted)
  if type(length) == 'table' then
    replace_other_type(P .. 'stats:new', 'string')
  elseif length >= FULL then
    pcall(figures.store, P, now)
  end
end

-- read_figures: return the figures of minutes and hours and since ever; change nothing.
-- ARGV    1 now  2.. minute:<n>, hour:<n> or totals
-- Return  for each a flat list of fields and how often
register('read_figures', {least = 1}, function(P, _, ARGV)
  local text, wanted = redis.pcall('GET', P .. 'stats:new'), {}
  local readable, minutes = pcall(sum_up, text)
  for minute, sums in pairs(readable and minutes or {}) do
    for _, name in ipairs({'minute:' .. string.format('%.0f', minute),
      'hour:' .. string.format('%.0f', math.floor(minute / 60)), 'totals'}) do
      wanted[name] = wanted[name] or {}
      add(wanted[name], sums)
    end
  end
  local answer = {}
  for n = 2, #ARGV do
    local sums, flat = wanted[ARGV[n]] or {}, {}
    local stored = redis.pcall('HGETALL', P .. 'stats:' .. ARGV[n])
    for k = 1, #stored, 2 do sums[stored[k]] = (sums[stored[k]] or 0) + (tonumber(stored[k + 1]) or 0) end
    for field, sum in pairs(sums) do
      flat[#flat + 1] = field
      flat[#flat + 1] = string.format('%.0f', sum)
    end
    answer[n - 1] = flat
  end
  return answer
end, 'no-writes')
