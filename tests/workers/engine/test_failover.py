"""A failover in the middle of work: the replica that takes over is behind, and the workers go on."""

import contextlib
import dataclasses
from collections.abc import Iterator
from random import Random

import pytest
import redis

from tests.support import stores
from tests.support.turns import dead_letters, finish
from workers import Event, Router, Ticket
from workers.store.memory import Seen
from workers.testing.desk import BOT, Crash, SimulatedDeployment

#: How far (ms) the replica is behind, and how many tickets are busy.
LAG, TICKETS = 2_500, 3


def clerk(mistaken: list[str]) -> Router:
    """Return a router that notes and answers each message, and notices if it is shown our own updates."""
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied", "staff-replied", "note-added", "status-changed")
    def file(ticket: Ticket, event: Event) -> None:
        for change in event.matched:
            if change.actor.id == BOT:
                mistaken.append(change.kind)
            elif change.actor.kind == "contact":
                ticket.note(f"Note on {change.text.strip()}")
                ticket.reply(f"Answer to {change.text.strip()}", status="On Hold")

    return router


class Storm:
    """Contacts who write at any moment, workers that crash, and one failover."""

    def __init__(self, store: redis.Redis, seed: int) -> None:
        self.store, self.chance = store, Random(seed)
        self.mistaken: list[str] = []
        self.world = SimulatedDeployment(
            store, clerk(self.mistaken), loop_guard=10_000, unanswered_replies=10_000, replies_per_contact=10_000
        )
        self.messages: list[tuple[int, str]] = []

    def write(self) -> None:
        number, text = self.chance.randint(1, TICKETS), f"message {len(self.messages)}."
        self.messages.append((number, text))
        self.world.simulator.contact_replies(number, text)

    def step(self) -> None:
        """Let time pass, a contact write, and a worker take a turn, in which the same may happen at each step."""
        self.world.now += self.chance.choice([50, 100, 300, 700])
        if self.chance.random() < 0.3:
            self.write()
        self.world.deliver()
        self.world.before = lambda _: self._interfere()
        if (lane := self.world.claim()) is not None:
            with contextlib.suppress(Crash):
                self.world.drive(lane)
        self.world.before = lambda _: None

    def _interfere(self) -> None:
        self.world.now += self.chance.choice([0, 40, 200])
        if self.chance.random() < 0.1:
            self.write()
        if self.chance.random() < 0.03:
            raise Crash

    def fail_over(self) -> None:
        """Work on while the replica does not follow, and let it take over."""
        copied, behind = stores.copy(self.store), self.world.now
        while self.world.now < behind + LAG:
            self.step()
        stores.put_back(self.store, copied)
        died = self.world.now
        seen = dataclasses.replace(
            self.world.config.claim, seen=lambda: Seen("the server that was copied", self.world.now - died)
        )
        self.world.config = dataclasses.replace(self.world.config, claim=seen)
        self.world.now += self.chance.choice([1_000, 5_000, 20_000])

    def written(self) -> Iterator[tuple[int, str]]:
        for number in range(1, TICKETS + 1):
            for update in self.world.ticket(number)["updates"]:
                if update["by"]["type"] == "staff" and update["by"]["id"] == BOT and update["message"]:
                    yield number, update["message"]["text"].strip()


@pytest.mark.parametrize("seed", range(6))
def test_each_message_is_noted_and_answered_once(store: redis.Redis, seed: int) -> None:
    storm = Storm(store, seed)
    for number in range(TICKETS):
        storm.world.simulator.create_ticket(text=f"first message of {number}.")
    for _ in range(20):
        storm.step()
    storm.fail_over()
    for _ in range(5):
        storm.step()
    finish(storm.world)
    for number in range(1, TICKETS + 1):  # the deliveries of the lost time are lost
        storm.world.simulator.staff_updates(number, 1, add_tags=["seen"])
    finish(storm.world)
    expected = [*storm.messages, *((number + 1, f"first message of {number}.") for number in range(TICKETS))]
    due = [(number, f"{what} {text}") for number, text in expected for what in ("Note on", "Answer to")]
    assert sorted(storm.written()) == sorted(due)
    assert (storm.mistaken, dead_letters(store)) == ([], {})
