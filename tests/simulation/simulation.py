"""One seed: workers, people and deliveries on a virtual clock, and faults wherever a step is taken.

What anybody does, how long a step takes and which fault strikes is drawn from the seed, and nothing else decides.
"""

import random
from typing import NamedTuple

import redis

from tests.simulation.correspondents import Correspondents
from tests.simulation.faults import Faults
from tests.simulation.history import History
from tests.simulation.outages import Denial, HappyFoxOutage
from tests.simulation.people import Maintainer, Operator, People, StoreLoss
from tests.simulation.plugins import ALLOW, routers
from tests.simulation.state import Agenda, SimulationState
from tests.simulation.sweeps import Sweeper
from tests.simulation.transport import DOUBT, TIMEOUT, DeliveryService, Transport
from tests.simulation.workers import Worker
from tests.support.witness import Witness
from workers.engine.context import SEND_BY
from workers.settings import Budget
from workers.testing.desk import START, SimulatedDeployment

#: When a seed that does not end is given up (ms, steps).
LIMIT, MOST = 4 * 3_600_000, 5_000


class Limits(NamedTuple):
    """The limits of one seed; none is ever reached if it is not ``braked``."""

    braked: bool
    loop_guard: int = 1_000
    unanswered_replies: int = 1_000
    replies_per_contact: int = 100_000


def draw_limits(seed: int) -> Limits:
    """Draw the limits of a seed: in every other one they are at or near their defaults."""
    if seed % 2 == 0:
        return Limits(braked=False)
    rng = random.Random(f"limits {seed}")
    return Limits(True, rng.choice([20, 40, 1_000]), 3, rng.choice([5, 10]))


class Simulation:
    """One seed on an empty store."""

    def __init__(self, client: "redis.Redis", seed: int) -> None:
        rng = random.Random(seed)
        client.flushdb()
        limits = draw_limits(seed)
        budgets = [(12, 5), (40, 15), (200, 100)]
        gets, posts = rng.choice(budgets[limits.braked :])  # with the smallest one, few emails are sent in time
        budget = Budget(gets, posts, 10.0, 40.0, 1.0, 4)
        world = SimulatedDeployment(
            client,
            *routers(limits.loop_guard + 5 if limits.braked else 0),
            shape=rng.choice(["flat", "rest", "wrapped"]),
            budget=budget,
            options={"gets": budget.gets, "posts": budget.posts, "window": 10.0, "lockout": 40.0},
            loop_guard=limits.loop_guard,
            unanswered_replies=limits.unanswered_replies,
            replies_per_contact=limits.replies_per_contact,
            allow=ALLOW,
            call_ms=TIMEOUT + SEND_BY,
            doubt_ms=DOUBT,
        )
        faults = Faults(rng)
        handlers = [bound.handler for bound in world.config.handlers]
        once = frozenset(handler.name for handler in handlers if handler.once)
        witness = Witness({handler.name: handler.kinds for handler in handlers}, once)
        history = History(world, witness, faults=faults.counts)
        self._state = SimulationState(client, rng, world, Agenda(world, rng), faults, history)
        self._limits = limits
        self._seed = seed

    def run(self) -> History:
        """Run the seed to its end."""
        state = self._state
        deliveries = DeliveryService(state)
        transport = Transport(state, deliveries)
        for number in range(state.rng.choice([3, 3, 4])):
            state.agenda.spawn(Worker(state, transport, f"w{number}").run())
        state.agenda.spawn(People(state, deliveries).run())
        state.agenda.spawn(Operator(state).run())
        state.agenda.spawn(Maintainer(state).run())
        if self._limits.braked:
            for activity in Correspondents(state, deliveries).activities():
                state.agenda.spawn(activity)
        loss, outage = StoreLoss(state, self._seed), HappyFoxOutage(state, self._seed)
        denial, sweeper = Denial(state, deliveries, self._seed), Sweeper(state, self._seed)
        happening = [rare for rare in (loss, outage, denial) if rare.happens()]
        # Both end with deliveries that are sent again.
        if sweeper.happens() and loss not in happening and denial not in happening:
            sweeper.start()
        for rare in happening:
            state.agenda.spawn(rare.run())
        while not state.history.at_rest and state.world.now < START + LIMIT and state.history.steps < MOST:
            state.agenda.next()
        return state.history
