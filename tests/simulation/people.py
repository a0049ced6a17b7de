"""The people of a seed, who work on tickets while the engine does."""

from tests.simulation.agenda import Player
from tests.simulation.deeds import Deeds, hide
from tests.simulation.post import Post
from tests.simulation.stage import Stage
from workers.testing.desk import ACCOUNT, START

#: How long their part lasts (ms), and how many tickets there are at any time.
PLAY, TICKETS = 200_000, 4


class People:
    """Everybody but us."""

    def __init__(self, stage: Stage, post: Post) -> None:
        self._stage, self._post = stage, post
        self._planned_actions = Deeds(stage.world.simulator, stage.rng, stage.history)

    def play(self) -> Player:
        """Opens tickets, works on them, and has each delivered once more in the end."""
        stage, rng = self._stage, self._stage.rng
        simulator = stage.world.simulator
        while stage.world.now < START + PLAY:
            if len(simulator.account.tickets) < TICKETS:
                self._open()
                yield rng.uniform(0, 10_000)
                continue
            number = rng.choice(list(simulator.account.tickets))
            self._planned_actions.do(number)
            if number in simulator.account.tickets and stage.faults.draws("row"):
                hide(simulator, number, stage.world.now / 1000 + rng.uniform(1, 60))
            self._post.collect()
            yield rng.choice([rng.uniform(0, 300), rng.uniform(0, 5_000), rng.uniform(0, 60_000)])
        yield 200_000
        stage.faults.calm = True
        for number in stage.lanes:
            self._post.repeat(number)
        while not stage.history.rest:
            yield 30_000
            stage.history.rest = not stage.client.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule") and not stage.under_way

    def _open(self) -> None:
        address = self._stage.rng.choice(["sam@bigcorp.example", "mia@smallshop.example"])
        self._stage.lanes.append(self._stage.world.simulator.create_ticket(email=address).id)
        self._post.collect()
