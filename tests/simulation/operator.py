"""The operator of a seed, who pauses an account, a router or a ticket now and then; what comes meanwhile waits."""

from collections.abc import Iterator

from tests.simulation.agenda import Player
from tests.simulation.people import PLAY
from tests.simulation.stage import Stage
from workers.store.lanes import Pause, Scope, pause, resume
from workers.testing.desk import ACCOUNT, START

#: How long a pause lasts at the most (ms).
LONGEST = 40_000


class Operator:
    """Pauses one thing after another, each asked for once or twice, as a repeated call would."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._routers = sorted({bound.handler.router for bound in stage.world.config.handlers})

    def play(self) -> Player:
        """Pauses and resumes until the people's part is over."""
        stage, rng = self._stage, self._stage.rng
        if rng.random() < 0.5:
            return
        yield rng.uniform(0, PLAY / 2)
        while stage.world.now < START + PLAY:
            scope, name = rng.choice(list(self._targets()))
            entry = Pause(stage.world.now, "operator")
            for _ in range(rng.choice([1, 1, 2])):
                stage.world.store.run(pause(ACCOUNT, scope, name, entry))
            stage.faults.struck[f"pause of the {scope}"] += 1
            yield rng.uniform(0, LONGEST)
            for _ in range(rng.choice([1, 1, 2])):
                stage.world.store.run(resume(ACCOUNT, scope, name))
                stage.look("resume")
            stage.agenda.poke()
            yield rng.uniform(0, LONGEST)

    def _targets(self) -> Iterator[tuple[Scope, str]]:
        yield "account", ""
        yield from (("router", name) for name in self._routers)
        yield from (("ticket", str(number)) for number in self._stage.lanes)
