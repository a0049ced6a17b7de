"""Our own changes: they start the handlers of routers that ask for them, once, and no others."""

from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import finish
from workers import Event, Retry, Router, Ticket
from workers.simulator import ApiFault
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment
from workers.tickets.change import Change, Kind

EVERY: tuple[Kind, ...] = ("ticket-created", "ticket-updated")


def clerk() -> Router:
    """Return a router that does one of everything when a contact writes."""
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("filed")
        ticket.note("Filed under B.")
        ticket.set(status="In Progress", fields={"Amount": 5})
        ticket.move("Billing")

    return router


def hearing(name: str, shown: list[Change], echoes: bool, fails: int = 0) -> Router:
    router = Router(name, echoes=echoes)
    left = [fails]

    @router.on(*EVERY)
    def hear(ticket: Ticket, event: Event) -> None:
        left[0] -= 1
        if left[0] >= 0 and any(change.actor.kind == "us" for change in event.changes):
            raise Retry("not yet", after="5s")
        shown.extend(event.changes)

    return router


def play(world: SimulatedDeployment) -> int:
    number = world.simulator.create_ticket().id
    finish(world)
    world.simulator.contact_replies(number, "Hello?")
    finish(world)
    return number


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.actor.kind) for change in changes]


OURS = [(kind, "us") for kind in ("tags-changed", "note-added", "status-changed", "field-changed", "moved")]


def test_a_router_with_echoes_gets_each_of_our_changes_once_and_others_get_none(store: redis.Redis) -> None:
    hears, deaf = list[Change](), list[Change]()
    world = SimulatedDeployment(
        store, clerk(), hearing("keen", hears, True), hearing("deaf", deaf, False), allow=frozenset({("clerk", "move")})
    )
    number = play(world)

    people = [("ticket-created", "contact"), ("contact-replied", "contact")]
    assert told(deaf) == people
    assert told(hears) == people + OURS
    tags, note, status, field, moved = hears[2:]
    assert {tags.update_id, note.update_id} <= {update["update_id"] for update in world.ticket(number)["updates"]}
    assert (tags.added, note.text, field.field) == ({"filed"}, "Filed under B.", "Amount")
    sides = [side.name for change in (status, field, moved) for side in (change.old, change.new) if side]
    assert sides == ["New", "In Progress", "5", "Default Category", "Billing"]


def test_echoes_need_no_webhook(store: redis.Redis) -> None:
    hears = list[Change]()
    world = SimulatedDeployment(store, clerk(), hearing("keen", hears, True))
    world.simulator.create_ticket()
    finish(world)
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.work()
    world.simulator.take_deliveries()  # lost on their way
    world.now += 60_000
    world.work()

    assert ("note-added", "us") in told(hears)
    trail = b"".join(untyped(store).lrange(f"foxhooks:{{{ACCOUNT}}}:history:1", 0, -1))
    assert b"every handler of keen gets our own changes: tags-changed, note-added" in trail


@pytest.mark.parametrize("name", ["settle", "plan", "claim"])
def test_echoes_are_shown_once_although_workers_die(store: redis.Redis, name: str) -> None:
    hears = list[Change]()
    world = SimulatedDeployment(store, clerk(), hearing("keen", hears, True), allow=frozenset({("clerk", "move")}))
    struck: list[str] = []

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == name and len(struck) < 3:
            struck.append(step.name)
            raise Crash
        return result

    world.after = after
    play(world)

    ours = [each for each in told(hears) if each[1] == "us"]
    assert ours == OURS


def test_a_handler_that_fails_gets_the_echoes_again(store: redis.Redis) -> None:
    hears = list[Change]()
    play(
        SimulatedDeployment(store, clerk(), hearing("keen", hears, True, fails=3), allow=frozenset({("clerk", "move")}))
    )

    assert [each for each in told(hears) if each[1] == "us"] == OURS


def test_effects_that_did_not_happen_make_no_echo(store: redis.Redis) -> None:
    hears = list[Change]()
    world = SimulatedDeployment(store, clerk(), hearing("keen", hears, True))
    world.simulator.create_ticket()
    finish(world)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=None))
    world.simulator.contact_replies(1, "Hello?")
    finish(world)

    assert all(kind == "contact" for _, kind in told(hears))
    assert not world.client.exists(f"foxhooks:{{{ACCOUNT}}}:turn:1")


def test_a_dry_run_makes_no_echo(store: redis.Redis) -> None:
    hears = list[Change]()
    play(SimulatedDeployment(store, clerk(), hearing("keen", hears, True), dry_run=True))

    assert all(kind == "contact" for _, kind in told(hears))
