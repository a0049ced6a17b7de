"""The stage: what everybody who plays in a seed shares."""

import random
from dataclasses import dataclass, field

import redis

from tests.simulation.agenda import Agenda
from tests.simulation.faults import Faults
from tests.simulation.history import History
from workers.engine.context import AccountConfig
from workers.testing.desk import ACCOUNT, World

LOOK = """
local P, lost = KEYS[1], {}
for _, lane in ipairs(ARGV) do
  local turn = redis.call('HMGET', P .. 'turn:' .. lane, 'plan', 'pending')
  local work = turn[1] or turn[2] or redis.call('LLEN', P .. 'lane:' .. lane) > 0
  local held = redis.call('HEXISTS', P .. 'leases', lane) == 1
  if (work or held) and not redis.call('ZSCORE', P .. 'schedule', lane) then lost[#lost + 1] = lane end
end
return {lost, redis.call('HMGET', P .. 'gate', 'epoch', 'until')}
"""


@dataclass
class Stage:
    """The world with its clock, the agenda, the dice, the faults and the history.

    ``lanes`` are the tickets opened so far, ``under_way`` counts the calls that may still land, ``terms`` are those
    of the version rolled out last, ``granted`` tells when
    (ms) each permit was taken, ``effects`` for which effect.
    """

    client: "redis.Redis"
    rng: random.Random
    world: World
    agenda: Agenda
    faults: Faults
    history: History
    lanes: list[int] = field(default_factory=list)
    under_way: int = 0
    config: AccountConfig = field(init=False)
    granted: dict[str, int] = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = self.world.config
        self._look = self.client.register_script(LOOK)
        self._epoch = b"0"

    def look(self, where: str) -> None:
        """Looks whether every lane with work is in the schedule, and when the gate was closed."""
        lost, (epoch, until) = self._look(keys=[f"foxhooks:{{{ACCOUNT}}}:"], args=self.lanes)
        self.history.unattributed += [f"lane {lane.decode()} after {where}" for lane in lost]
        if epoch and epoch != self._epoch:
            self._epoch = epoch
            self.history.closings.append((self.world.now, int(float(until or 0))))
