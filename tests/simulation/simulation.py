"""One seed: workers, people and deliveries on a virtual clock, and faults wherever a step is taken.

What anybody does, how long a step takes and which fault strikes is drawn from the seed, and nothing else decides.
"""

import random

import redis

from tests.simulation.accident import Accident
from tests.simulation.agenda import Agenda
from tests.simulation.faults import Faults
from tests.simulation.history import History
from tests.simulation.maintainer import Maintainer
from tests.simulation.operator import Operator
from tests.simulation.people import People
from tests.simulation.plugins import ALLOW, routers
from tests.simulation.post import Post
from tests.simulation.stage import Stage
from tests.simulation.wire import DOUBT, TIMEOUT, Wire
from tests.simulation.workers import Worker
from tests.support.witness import Witness
from workers.engine.context import SEND_BY
from workers.settings import Budget
from workers.testing.desk import START, World

#: When a seed that does not come to rest is given up (ms, steps).
LIMIT, MOST = 4 * 3_600_000, 5_000


class Simulation:
    """One seed on an empty store."""

    def __init__(self, client: "redis.Redis", seed: int) -> None:
        rng = random.Random(seed)
        client.flushdb()
        gets, posts = rng.choice([(12, 5), (40, 15), (200, 100)])
        budget = Budget(gets, posts, 10.0, 40.0, 1.0, 4)
        world = World(
            client,
            *routers(),
            shape=rng.choice(["flat", "rest", "wrapped"]),
            budget=budget,
            options={"gets": budget.gets, "posts": budget.posts, "window": 10.0, "lockout": 40.0},
            loop_guard=1_000,
            allow=ALLOW,
            call_ms=TIMEOUT + SEND_BY,
            doubt_ms=DOUBT,
        )
        faults = Faults(rng)
        handlers = [bound.handler for bound in world.config.handlers]
        once = frozenset(handler.name for handler in handlers if handler.once)
        witness = Witness({handler.name: handler.kinds for handler in handlers}, once)
        history = History(world, witness, faults=faults.struck)
        self._stage = Stage(client, rng, world, Agenda(world, rng), faults, history)
        self._accident = Accident(self._stage, seed)

    def run(self) -> History:
        """Plays the seed to its end."""
        stage = self._stage
        post = Post(stage)
        wire = Wire(stage, post)
        for number in range(stage.rng.choice([3, 3, 4])):
            stage.agenda.spawn(Worker(stage, wire, f"w{number}").play())
        stage.agenda.spawn(People(stage, post).play())
        stage.agenda.spawn(Operator(stage).play())
        stage.agenda.spawn(Maintainer(stage).play())
        if self._accident.happens():
            stage.agenda.spawn(self._accident.play())
        while not stage.history.rest and stage.world.now < START + LIMIT and stage.history.steps < MOST:
            stage.agenda.next()
        return stage.history
