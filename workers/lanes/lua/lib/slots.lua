-- include: lib/answers
-- Taking and settling a slot while nothing is the matter: no gate was ever closed, and there is room at first sight. It
-- stands apart from lib/permits so that the common call makes nothing it does not need.

-- The part of the slots that a class may use. `first` are the first reads of interactive turns: they leave a rest to
-- the further reads of turns under way, else new turns could use up every slot and none would come to its end.
local PARTS = {interactive = 1, first = 0.95, normal = 0.9, bulk = 0.7}

-- The class under which a turn of this class reads first.
local function slots_first(class)
  return class == 'interactive' and 'first' or class
end

local function slots_part(limit, class)
  return math.max(1, math.floor(limit * PARTS[class] + 0.000001))
end

-- Takes a slot until past the call's deadline, when nobody can tell any more that it was answered.
local function slots_take(P, now, B, method, id, life)
  redis.call('ZADD', P .. 'permits:' .. method, now + life + B.grace + B.window + B.guard, id)
  redis.call('ZADD', P .. 'flight', now + life, id)
end

-- Whether a class has a slot left at first sight: slots that are free again by now still count.
local function slots_room(P, B, method, class)
  return B[method] >= 1 and redis.call('ZCARD', P .. 'permits:' .. method) < slots_part(B[method], class)
end

-- Takes a slot if there is one at first sight. A permit asked for twice, as redis-py does after a lost answer, is the
-- same member.
local function slots_quick(P, now, B, method, id, class, life)
  if not slots_open(P) or redis.call('ZCARD', P .. 'flight') >= B.in_flight or not slots_room(P, B, method, class) then
    return false
  end
  slots_take(P, now, B, method, id, life)
  return true
end
