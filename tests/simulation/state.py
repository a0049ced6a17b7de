"""What all activities of a seed share: account, clock, agenda, random numbers, faults and history."""

import heapq
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.simulation.faults import Faults
from tests.simulation.history import History, Outage
from workers.engine.context import AccountConfig
from workers.testing.desk import ACCOUNT, SimulatedDeployment

#: Find lanes with work that are not scheduled, and the state of the gate.
CHECK = """
local P, lost = KEYS[1], {}
for _, lane in ipairs(ARGV) do
  local turn = redis.call('HMGET', P .. 'turn:' .. lane, 'plan', 'pending')
  local work = turn[1] or turn[2] or redis.call('LLEN', P .. 'lane:' .. lane) > 0
  local held = redis.call('HEXISTS', P .. 'leases', lane) == 1
  if (work or held) and not redis.call('ZSCORE', P .. 'schedule', lane) then lost[#lost + 1] = lane end
end
return {lost, redis.call('HMGET', P .. 'gate', 'epoch', 'until', 'why')}
"""


#: It yields how many ms it sleeps; a negative number if it has no work, so that `wake` may end the sleep early.
Activity = Generator[float, None, Any]


class Agenda:
    """Decides which activity continues when; ``next`` moves the clock."""

    def __init__(self, world: SimulatedDeployment, rng: random.Random) -> None:
        self._world, self._rng = world, rng
        self._due: list[tuple[float, float, int, Activity]] = []
        self._sleeping: dict[int, Activity] = {}
        self._void: set[int] = set()
        self._count = 0

    def spawn(self, activity: Activity, delay: float = 0) -> None:
        """Start an activity after a delay."""
        self._push(activity, delay)

    def wake(self) -> None:
        """Wake the activities that sleep because they have no work."""
        sleeping, self._sleeping = self._sleeping, {}
        self._void |= set(sleeping)
        for activity in sleeping.values():
            self._push(activity, self._rng.uniform(1, 50))

    def next(self) -> None:
        """Move the clock to the next activity and continue it."""
        at, _, entry, activity = heapq.heappop(self._due)
        if entry in self._void:
            return
        self._sleeping.pop(entry, None)
        self._world.now = max(self._world.now, int(at))
        try:
            delay = next(activity)
        except StopIteration:
            return
        self._push(activity, abs(delay), sleeping=delay < 0)

    def _push(self, activity: Activity, delay: float, sleeping: bool = False) -> None:
        self._count += 1
        if sleeping:
            self._sleeping[self._count] = activity
        heapq.heappush(self._due, (self._world.now + delay, self._rng.random(), self._count, activity))


@dataclass
class SimulationState:
    """What the activities of one seed share."""

    client: "redis.Redis"
    rng: random.Random
    world: SimulatedDeployment
    agenda: Agenda
    faults: Faults
    history: History
    lanes: list[int] = field(default_factory=list)
    """The tickets opened so far."""
    in_progress: int = 0
    """Calls that may still land."""
    outage: Outage | None = None
    """Why HappyFox is unreachable now."""
    denied: set[int] = field(default_factory=set)
    """The tickets that the key may not read now."""
    config: AccountConfig = field(init=False)
    """That of the version rolled out last."""
    swept: bool = False
    """Whether sweeps find what deliveries do not announce; then nothing is delivered again at the end."""
    covered: int = 0
    """Until when (ms) sweeps have looked for changes."""
    web_down_until: int = 0
    """Until when (ms) every delivery is lost."""
    granted: dict[str, int] = field(default_factory=dict)
    """When (ms) each permit was granted."""
    effects: dict[str, str] = field(default_factory=dict)
    """The effect that each permit is for."""

    def __post_init__(self) -> None:
        self.config = self.world.config
        self._check = self.client.register_script(CHECK)
        self._epoch = b"0"

    def check_schedule(self, where: str) -> None:
        """Check that every lane with work is scheduled; record when the gate was closed."""
        lost, (epoch, until, why) = self._check(keys=[f"foxhooks:{{{ACCOUNT}}}:"], args=self.lanes)
        self.history.unscheduled += [f"lane {lane.decode()} after {where}" for lane in lost]
        if epoch and epoch != self._epoch:
            self._epoch = epoch
            self.history.closings.append((self.world.now, int(float(until or 0))))
            if why == b"denied":
                self.history.rejected.append(self.world.now)
