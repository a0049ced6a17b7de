"""The post: brings what HappyFox tells to the inbox, not always once and not always in order."""

import msgspec

from tests.simulation.agenda import Player
from tests.simulation.stage import Stage
from workers.store.inbox import accept, receive
from workers.testing.desk import ACCOUNT
from workers.webhook import parse


class Post:
    """The deliveries of one seed."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._last: dict[int, bytes] = {}
        self._events = 0

    def collect(self) -> None:
        """Sends off what HappyFox has to tell by now."""
        stage, rng = self._stage, self._stage.rng
        for delivery in stage.world.simulator.take_deliveries():
            fault, delay = stage.faults.draws("delivery"), rng.uniform(0, 300)
            self._last[delivery.ticket] = delivery.body
            if fault == "dropped" and delivery.label != "ticket-created":
                continue
            if fault == "shuffled":
                delay = rng.uniform(0, 60_000)
            stage.agenda.spawn(self._arrive(delivery.body, fault == "accepted twice"), delay)
            if fault == "duplicated":
                stage.agenda.spawn(self._arrive(delivery.body), rng.uniform(0, 10_000))

    def repeat(self, ticket: int) -> None:
        """Sends the last delivery of a ticket once more."""
        self._stage.agenda.spawn(self._arrive(self._last[ticket]))

    def _arrive(self, body: bytes, twice: bool = False) -> Player:
        """Takes one delivery into the inbox."""
        self._events += 1
        arrival = msgspec.structs.replace(receive(parse(body), body), id=f"e{self._events}")
        for _ in range(2 if twice else 1):
            taken = self._stage.world.store.run(accept(ACCOUNT, [arrival], keep=604_800))
            self._stage.look(f"accept {arrival.id}")
        self._stage.history.accepted.append(taken[0].event)
        if self._stage.history.emptied:
            self._stage.history.heard.setdefault(int(arrival.ticket), self._stage.world.now)
        self._stage.agenda.poke()
        return
        yield
