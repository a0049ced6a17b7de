"""A deployment whose store can be put back to an earlier state."""

from typing import Any

import msgspec
import redis

from tests.support import stores
from tests.support.turns import P
from workers import Router
from workers.testing.desk import BOT, SimulatedDeployment


class World:
    """A deployment whose store can be put back to an earlier state."""

    def __init__(self, store: redis.Redis, router: Router, **config: Any) -> None:
        self.store = store
        self.world = SimulatedDeployment(store, router, **config)
        self.copied: dict[bytes, bytes] = {}

    def work(self, seconds: float = 0) -> None:
        self.world.now += int(seconds * 1000)
        self.world.deliver()
        self.world.settle_down()

    def take_turns(self) -> None:
        """Take the turns that are due now; retries wait."""
        self.world.deliver()
        self.world.work()

    def keep_working(self) -> None:
        """Work for some minutes, so that all retries run."""
        for _ in range(4):
            self.work(60)

    def change_priority(self, number: int = 1) -> None:
        """Have a colleague change a ticket, so that it is read without a new message to answer."""
        self.world.simulator.staff_updates(number, 1, priority="High")
        self.work(5)

    def back_up(self) -> None:
        self.copied = stores.copy(self.store)

    def restore(self) -> None:
        stores.put_back(self.store, self.copied)

    def receive(self, update: int) -> None:
        """Receive the webhook of an update of the first ticket once more."""
        self.world.receive(msgspec.json.encode({"ticket_id": 1, "update": {"update_id": update}}))

    def texts(self, number: int = 1) -> list[str]:
        """Return the texts that we wrote on a ticket, oldest first."""
        updates = self.world.ticket(number)["updates"]
        own = [each for each in updates if each["by"]["type"] == "staff" and each["by"]["id"] == BOT]
        return [each["message"]["text"].strip() for each in own if each["message"]]

    def history(self, number: int = 1) -> str:
        return str(stores.untyped(self.store).lrange(f"{P}history:{number}", 0, -1))
