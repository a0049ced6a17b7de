"""What HappyFox refuses or does not answer for a while: calls to it at all, and reads of one ticket."""

import random
from typing import Any

import msgspec

from tests.simulation.history import Outage
from tests.simulation.people import DURATION
from tests.simulation.state import Activity, SimulationState
from tests.simulation.transport import DeliveryService
from workers.engine.plan import DeadLetter
from workers.store.records import replay
from workers.testing.desk import ACCOUNT

#: One seed in this many has an outage, and one in this many a ticket that the key may not read.
SEEDS = 4
#: What happens to calls.
KINDS = ("HappyFox refuses connections", "HappyFox never answers")
#: For how long (ms) at least and at most. A third of the denials lasts until the ticket is given up.
OUTAGE, DENIAL = (5_000, 120_000), (20_000, 1_200_000)
GIVEN_UP = "HappyFox does not let this API key read"


class HappyFoxOutage:
    """HappyFox is unreachable once."""

    def __init__(self, state: SimulationState, seed: int) -> None:
        self._state, self._rng = state, random.Random(f"outage {seed}")

    def happens(self) -> bool:
        """Return whether this seed has one."""
        return self._rng.randrange(SEEDS) == 0

    def run(self) -> Activity:
        """Make HappyFox unreachable for a while."""
        state, rng = self._state, self._rng
        yield rng.uniform(0, DURATION)
        kind = rng.choice(KINDS)
        state.history.faults[kind] += 1
        state.outage = Outage(kind == KINDS[0], state.world.now)
        yield rng.uniform(*OUTAGE)
        state.outage.until = state.world.now
        state.history.outages.append(state.outage)
        state.outage = None


class Denial:
    """The key may not read one ticket, until somebody gives access to it and replays what was given up."""

    def __init__(self, state: SimulationState, deliveries: DeliveryService, seed: int) -> None:
        self._state, self._deliveries, self._rng = state, deliveries, random.Random(f"denial {seed}")

    def happens(self) -> bool:
        """Return whether this seed has one."""
        return self._rng.randrange(SEEDS) == 0

    def run(self) -> Activity:
        """Deny a ticket for a while, or until it is given up."""
        state, rng = self._state, self._rng
        yield rng.uniform(0, DURATION)
        number = rng.choice(state.lanes)
        state.history.faults["a ticket is denied"] += 1
        state.history.denied.add(number)
        state.denied.add(number)
        self._deliveries.repeat(number)
        if rng.random() < 2 / 3:
            yield rng.uniform(*DENIAL)
        else:
            while not self._given_up(number):
                yield 60_000
            state.history.faults["a denied ticket is given up"] += 1
        state.denied.remove(number)
        for name, dead_letter in self._given_up(number).items():
            state.world.store.run(replay(ACCOUNT, name))
            state.check_schedule(f"replay {name}")
            state.history.replayed.append((number, dead_letter))
            state.history.accepted.append(f"replay-{name}")
        state.agenda.wake()

    def _given_up(self, number: int) -> dict[str, DeadLetter]:
        """Return the dead letters of a ticket that was given up."""
        client: Any = self._state.client
        prefix, found = f"foxhooks:{{{ACCOUNT}}}:", {}
        for name in client.zrange(f"{prefix}dead_letters", 0, -1):
            ticket, evidence = client.hmget(f"{prefix}dead_letter:{name.decode()}", "ticket", "evidence")
            dead_letter = msgspec.json.decode(evidence, type=DeadLetter)
            if int(ticket) == number and dead_letter.reason.startswith(GIVEN_UP):
                found[name.decode()] = dead_letter
        return found
