-- Rounds: what is done once in the fleet, time and again. `P rounds` maps the name of a round to its state (JSON):
--   slot     ms at which this round was due: the time its next one is counted from, and a part of its events' ids
--   period   ms
--   phase    search, spread or done
--   token    whoever is at it; empty when nobody is
--   till     ms until it is left to that one, or, with nobody at it, until it may be taken up again
--   page     of the search, the next one;  found, put  tickets found, and events made of them;  cut  there were more
--   why      what keeps it from going on, or empty;  ended  ms of the last end;  told  findings of the last end
-- The tickets found wait in `P found:<name>`, so that a round goes on wherever a worker left it.
local function rounds_of(P, name)
  local stored = redis.call('HGET', P .. 'rounds', name)
  return stored and cjson.decode(stored)
end

local function rounds_keep(P, name, state)
  redis.call('HSET', P .. 'rounds', name, cjson.encode(state))
end
