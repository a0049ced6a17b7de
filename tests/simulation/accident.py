"""The accident of a few seeds: the store loses everything in the middle of the run, and workers and web go on."""

import random

from tests.simulation.agenda import Player
from tests.simulation.people import PLAY
from tests.simulation.stage import Stage

#: One seed in so many has one.
SEEDS = 8


class Accident:
    """Empties the store once. The histories before and after it are checked apart, but for what happens twice."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._rng = stage, random.Random(f"accident {seed}")

    def happens(self) -> bool:
        """Tells whether this seed has one."""
        return self._rng.randrange(SEEDS) == 0

    def play(self) -> Player:
        """Empties the store and closes the gate, as a worker does that finds it so (governor/clock.py)."""
        stage = self._stage
        yield self._rng.uniform(PLAY / 4, PLAY)
        stage.client.flushdb()
        stage.world.store.run(stage.world.governor.close_gates())
        stage.history.begin_anew()
        stage.look("the store was emptied")
        stage.faults.struck["the store is emptied"] += 1
        stage.agenda.poke()
