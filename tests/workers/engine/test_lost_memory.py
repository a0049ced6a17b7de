"""An older copy of the store: what we did since is ours, is not done twice, and nothing of others is lost."""

from collections.abc import Callable

import pytest
import redis

from tests.support import stores
from tests.support.turns import P, finish
from workers import Event, Router, Ticket
from workers.store.memory import doubt
from workers.testing.desk import ACCOUNT, BOT, Crash, SimulatedDeployment

Restore = Callable[[], None]


def clerk(runs: list[list[str]]) -> Router:
    """Return a router whose texts differ each time, so that nothing is recognized by its words alone."""
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied", "staff-replied", "note-added", "status-changed", "tags-changed")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append([f"{change.kind} by {change.actor.kind}" for change in event.matched])
        ticket.note(f"Run {len(runs)} read it.")
        if any(change.kind in ("ticket-created", "contact-replied") for change in event.matched):
            ticket.reply(f"Answer {len(runs)}.", status="In Progress")
            ticket.add_tags(f"run-{len(runs)}")

    return router


class World:
    """A deployment whose store can be put back to an earlier state."""

    def __init__(self, store: redis.Redis, router: Router, **config: object) -> None:
        self.store = store
        self.world = SimulatedDeployment(store, router, **config)
        self.copied: dict[bytes, bytes] = {}

    def work(self, seconds: float = 0) -> None:
        self.world.now += int(seconds * 1000)
        self.world.deliver()
        self.world.settle_down()

    def back_up(self) -> None:
        self.copied = stores.copy(self.store)

    def restore(self) -> None:
        stores.put_back(self.store, self.copied)

    def texts(self, number: int = 1) -> list[str]:
        """Return the texts that we wrote on a ticket, oldest first."""
        updates = self.world.ticket(number)["updates"]
        own = [each for each in updates if each["by"]["type"] == "staff" and each["by"]["id"] == BOT]
        return [each["message"]["text"].strip() for each in own if each["message"]]

    def history(self, number: int = 1) -> str:
        return str(stores.untyped(self.store).lrange(f"{P}history:{number}", 0, -1))


@pytest.fixture
def runs() -> list[list[str]]:
    return []


@pytest.fixture
def world(store: redis.Redis, runs: list[list[str]]) -> World:
    world = World(store, clerk(runs))
    world.world.simulator.create_ticket()
    world.work()
    return world


@pytest.fixture(params=[1, 600, 100_000])
def restored(request: pytest.FixtureRequest, world: World, runs: list[list[str]]) -> World:
    """Return a world that answered a message, and lost all memory of it."""
    world.work(600)
    world.back_up()
    world.world.simulator.contact_replies(1, "Hello?")
    world.work()
    world.world.now += request.param * 1000
    world.restore()
    runs.clear()
    return world


def test_nothing_is_done_again_without_a_change(restored: World, runs: list[list[str]]) -> None:
    before = restored.texts()
    restored.world.simulator.set_ticket(1, tags="touched") if False else None
    restored.world.receive(b'{"ticket_id": 1, "update_id": 3}') if False else None
    restored.work(5)
    assert (runs, restored.texts()) == ([], before)


def test_a_new_message_is_answered_and_the_old_one_is_not_answered_again(
    restored: World, runs: list[list[str]]
) -> None:
    before = restored.texts()
    restored.world.simulator.contact_replies(1, "Are you there?")
    restored.work()
    assert runs == [["contact-replied by contact"]]
    assert restored.texts() == [*before, "Run 1 read it.", "Answer 1."]
    assert "memory is in doubt" in restored.history()
