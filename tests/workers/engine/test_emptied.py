"""An emptied store: earlier changes are history, and nothing is done a second time."""

import pytest
import redis

from workers import Event, Router, Ticket
from workers.testing.desk import SimulatedDeployment


def clerk(runs: list[list[str]]) -> Router:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied", "status-changed", "tags-changed")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append([change.kind for change in event.matched])
        ticket.note(f"Read, {len(event.matched)} of it.")
        ticket.add_tags("read")
        if event.kind == "contact-replied":
            ticket.reply("We have read what you wrote.", status="In Progress")

    return router


def emptied(store: redis.Redis, runs: list[list[str]], since: int) -> tuple[SimulatedDeployment, list[bytes]]:
    """Return a world whose store was emptied some seconds after its last turn, and all bodies delivered so far."""
    bodies: list[bytes] = []
    world = SimulatedDeployment(store, clerk(runs))
    receive = world.receive
    world.receive = lambda body: bodies.append(body) or receive(body)  # type: ignore[method-assign,func-returns-value]
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.settle_down()
    world.now += since * 1000
    store.flushdb()
    runs.clear()
    return world, bodies


@pytest.mark.parametrize("since", [1, 30, 600, 100_000])
def test_repeated_deliveries_do_nothing_again(store: redis.Redis, since: int) -> None:
    runs: list[list[str]] = []
    world, bodies = emptied(store, runs, since)
    before = world.ticket(1)["updates"]
    for body in tuple(bodies):
        world.receive(body)
        world.settle_down()

    assert world.ticket(1)["updates"] == before


@pytest.mark.parametrize("since", [1, 30, 600])
def test_later_changes_are_shown_once(store: redis.Redis, since: int) -> None:
    runs: list[list[str]] = []
    world, _ = emptied(store, runs, since)
    world.now += 5_000
    world.simulator.contact_replies(1, "Are you there?")
    world.deliver()
    world.settle_down()

    assert runs == [["contact-replied"]]


def test_waiting_events_are_lost_and_the_next_one_brings_only_new_changes(store: redis.Redis) -> None:
    runs: list[list[str]] = []
    world, _ = emptied(store, runs, 60)
    world.simulator.contact_replies(1, "This one was accepted and is lost.")
    world.deliver()
    world.now += 60_000
    store.flushdb()
    world.simulator.contact_replies(1, "This one is new.")
    world.deliver()
    world.settle_down()

    assert runs == [["contact-replied"]]
    assert "of it" in str(world.ticket(1)["updates"][-2:])


def test_a_message_answered_just_before_is_not_answered_again(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, clerk([]))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    world.now += 600_000
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.work()
    before = world.ticket(1)["updates"]
    assert before[-1]["status_change"] is not None
    store.flushdb()
    world.receive(b'{"ticket_id": 1, "update": {"update_id": %d}}' % before[-1]["update_id"])
    world.settle_down()

    assert world.ticket(1)["updates"] == before
