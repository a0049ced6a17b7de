"""Replayed dead letters: no change is lost, however often the handler fails."""

from typing import Any

import msgspec
import redis

from tests.support.turns import dead_letters, put_back
from workers import Event, GiveUp, Retry, Router, Ticket
from workers.engine.plan import Pending, merge_pending
from workers.simulator import ApiFault
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.tickets.snapshot import decode, encode

P = f"foxhooks:{{{ACCOUNT}}}:"


def opened(store: redis.Redis, router: Router, **config: Any) -> SimulatedDeployment:
    """Return a world in which a ticket was opened and had its first turn."""
    world = SimulatedDeployment(store, router, **config)
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    return world


def test_a_failed_replay_is_still_a_replay_when_it_is_retried(store: redis.Redis) -> None:
    router = Router("clerk")
    runs: list[bool] = []

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append(event.replay)
        if len(runs) == 1:
            raise GiveUp("no")
        if len(runs) == 2:
            raise Retry("later", after="5s")

    put_back(opened(store, router))

    assert runs == [False, True, True]


def test_a_replay_with_an_unknown_name_keeps_its_changes(store: redis.Redis) -> None:
    router = Router("clerk")
    runs: list[int] = []

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append(len(event.matched))
        ticket.set(status="Nowhere")

    world = opened(store, router)
    put_back(world)
    put_back(world)

    assert runs == [1, 1, 1]
    assert [len(dead_letter["changes"]) for dead_letter in dead_letters(store).values()] == [1]


def test_an_effect_refused_after_a_retry_keeps_its_changes(store: redis.Redis) -> None:
    router = Router("clerk")
    runs: list[int] = []

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append(len(event.matched))
        if len(runs) == 1:
            raise Retry("later", after="5s")
        ticket.note("Hello.")

    world = opened(store, router)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=None))
    world.settle_down()
    world.simulator.faults.clear()

    assert [len(dead_letter["changes"]) for dead_letter in dead_letters(store).values()] == [1]
    put_back(world)
    assert runs == [1, 1]
    assert "Hello." in str(world.ticket(1)["updates"])
    assert dead_letters(store) == {}


def test_pending_work_is_dead_lettered_while_the_loop_guard_is_tripped(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        raise Retry("later", after="1m")

    world = opened(store, router, loop_guard=3)
    stored: Any = store.get(f"{P}snapshot:1")
    snapshot = decode(stored)
    assert snapshot is not None
    store.set(f"{P}snapshot:1", encode(msgspec.structs.replace(snapshot, writes=(world.now,) * 5)))
    world.settle_down()

    assert [dead_letter["handler"] for dead_letter in dead_letters(store).values()] == ["clerk.file"]
    put_back(world)
    assert [len(dead_letter["changes"]) for dead_letter in dead_letters(store).values()] == [1]


def test_an_update_of_ours_without_content_does_not_prove_tags(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("vip")

    world = opened(store, router)
    world.now += 1_000
    world.simulator.staff_updates(1, staff=7, fields={"Amount": 5})
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.settle_down()

    assert world.ticket(1)["tags"] == "vip"


def test_a_replay_that_joins_a_retry_is_still_a_replay() -> None:
    retry, replayed = Pending(handler="clerk.file", attempt=1), Pending(handler="clerk.file", replay=True)
    assert [work.replay for work in merge_pending([retry, replayed])] == [True]
    assert [work.replay for work in merge_pending([retry, retry])] == [False]
