"""What a newer version has stored is left alone: an older worker neither reads it as new nor gives it up."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.stores import copy, untyped
from workers import Event, Router, Ticket
from workers.engine.turn import NEWER_DELAY
from workers.store.keys import Keys
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

KEYS = Keys(ACCOUNT)


def noting() -> Router:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note(f"Seen: {event.matched[-1].text}")

    return router


def notes(world: SimulatedDeployment) -> list[str]:
    updates = world.ticket(1)["updates"]
    return [text for each in updates if (text := each["message"]["text"].strip()).startswith("Seen")]


def change_format(client: Any, key: str, field: str, old: int, new: int) -> None:
    """Write another number into a stored value, as another version would."""
    stored = client.hget(key, field) if field else client.get(key)
    changed = stored.replace(b'"format":%d' % old, b'"format":%d' % new, 1)
    if not field:  # a snapshot is a list
        changed = b"[%d," % new + stored.removeprefix(b"[%d," % old)
    assert changed != stored
    if field:
        client.hset(key, field, changed)
    else:
        client.set(key, changed)


def settled(world: SimulatedDeployment) -> None:
    """Handle the creation, and get a reply."""
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(1, "again")
    world.deliver()


def crashed(world: SimulatedDeployment) -> None:
    """Crash before the first call of a stored plan."""
    world.deliver()

    def crash(step: object) -> None:
        if isinstance(step, Script) and step.name == "begin":
            raise Crash

    world.before = crash
    with pytest.raises(Crash):
        world.work()
    world.before = lambda _: None
    world.now += world.lease


@pytest.mark.parametrize(
    ("prepare", "key", "field", "texts"),
    [
        (settled, KEYS.snapshot(1), "", ["hello", "again"]),
        (crashed, KEYS.turn(1), "plan", ["hello"]),
    ],
    ids=["snapshot", "plan"],
)
def test_a_lane_with_something_of_a_newer_version_waits_for_its_worker(
    store: redis.Redis,
    prepare: Callable[[SimulatedDeployment], None],
    key: str,
    field: str,
    texts: list[str],
) -> None:
    world = SimulatedDeployment(store, noting())
    world.simulator.create_ticket(text="hello")
    prepare(world)
    before = notes(world)
    change_format(untyped(store), key, field, 1, 2)
    kept = copy(store)[key.encode()] if not field else untyped(store).hget(key, field)
    for _ in range(5):
        results = world.work()
        assert [(result.end, result.newer) for result in results] == [("parked", True)]
        assert "stored by a newer version of foxhooks: update this worker" in results[0].why
        world.now += NEWER_DELAY
    assert notes(world) == before
    assert (copy(store)[key.encode()] if not field else untyped(store).hget(key, field)) == kept
    assert not untyped(store).zcard(KEYS.dead_letters)
    change_format(untyped(store), key, field, 2, 1)  # the newer worker takes over, and can read it
    world.settle_down()
    assert notes(world) == [f"Seen: {text}" for text in texts]
