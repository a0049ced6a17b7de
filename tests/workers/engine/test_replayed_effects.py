"""Replayed effects: only the refused effect is performed, and its handler does not run."""

from dataclasses import replace
from typing import Any

import pytest
import redis

from tests.support.turns import P, dead_letters, put_back
from workers import Event, Router, Ticket
from workers.engine.steps import Call
from workers.simulator import ApiFault
from workers.store.records import replay
from workers.testing.desk import ACCOUNT, SimulatedDeployment


def said(world: SimulatedDeployment) -> list[str]:
    return [update["message"]["text"].strip() for update in world.ticket(1)["updates"][1:] if update["message"]]


def test_a_replay_of_a_refused_effect_performs_only_that_effect(store: redis.Redis) -> None:
    router = Router("clerk")
    runs: list[int] = []

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        runs.append(len(event.matched))
        ticket.note("Written at once.")
        ticket.add_tags("vip")

    world = SimulatedDeployment(store, router)
    world.simulator.faults.add(ApiFault("status", method="POST", path="ticket/*/update_tags", status=400, count=None))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    assert (world.ticket(1)["tags"], said(world)) == ("", ["Written at once."])
    put_back(world)
    assert len(dead_letters(store)) == 1, "it is refused again, and is one dead letter again"
    world.simulator.faults.clear()
    put_back(world)

    assert (world.ticket(1)["tags"], said(world), runs) == ("vip", ["Written at once."], [1])
    assert dead_letters(store) == {}


def test_each_dead_letter_of_a_shared_effect_performs_its_own_part(store: redis.Redis) -> None:
    one, two = Router("one"), Router("two")

    @one.on("ticket-created")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note("What the first one says.")

    @two.on("ticket-created")
    def set_(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High", fields={"Amount": 5})

    world = SimulatedDeployment(store, one, two)
    world.simulator.faults.add(ApiFault("cut", method="POST", before=True, count=None))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    assert {dead_letter["handler"] for dead_letter in dead_letters(store).values()} == {"one.note", "two.set_"}
    world.simulator.faults.clear()
    for id in dead_letters(store):
        world.store.run(replay(ACCOUNT, id))
        world.settle_down()

    assert said(world) == ["What the first one says."]
    assert world.ticket(1)["priority"]["name"] == "High"
    assert dead_letters(store) == {}


def test_a_replayed_effect_uses_current_permissions_and_names(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.reply("We are on it.", status="On Hold")

    world = SimulatedDeployment(store, router)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=None))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    world.simulator.faults.clear()
    world.config, allowed = replace(world.config, allow=frozenset()), world.config.allow
    put_back(world)
    [refused] = dead_letters(store).values()
    assert "FOXHOOKS_ALLOW=clerk:reply" in refused["reason"]
    assert said(world) == []

    [old] = [id for id, status in world.simulator.account.statuses.items() if status["name"] == "On Hold"]
    statuses = {id: status for id, status in world.simulator.account.statuses.items() if id != old}
    statuses[old + 100] = {**world.simulator.account.statuses[old], "id": old + 100}
    world.simulator.account.statuses = statuses
    store.delete(f"{P}directory")
    world.config = replace(world.config, allow=allowed)
    put_back(world)

    assert (said(world), world.ticket(1)["status"]["id"]) == (["We are on it."], old + 100)
    assert dead_letters(store) == {}


def test_a_replayed_effect_and_its_handlers_new_actions_are_independent(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        if event.kind == "contact-replied":
            ticket.set(status="Nowhere")
        ticket.note("Read.")
        ticket.add_tags("vip")

    world = SimulatedDeployment(store, router)
    world.simulator.faults.add(ApiFault("status", method="POST", path="ticket/*/update_tags", status=400))
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    [id] = dead_letters(store)
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.store.run(replay(ACCOUNT, id))
    world.settle_down()

    assert world.ticket(1)["tags"] == "vip"
    [mine] = dead_letters(store).values()
    assert "Nowhere" in mine["reason"]
    assert [change["kind"] for change in mine["changes"]] == ["contact-replied"]


@pytest.mark.parametrize("landed", [True, False])
def test_a_replay_of_an_effect_in_doubt_checks_first(store: redis.Redis, landed: bool) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.forward("partner@example.com", "A case for you", "Please have a look at this case.")

    def hide(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method == "POST" and landed:
            ticket = world.simulator.account.tickets[1]
            late = replace(ticket.updates[-1], visible_at=ticket.updates[-1].visible_at + 120)
            world.simulator.account.tickets[1] = replace(ticket, updates=(*ticket.updates[:-1], late))
        return result

    world = SimulatedDeployment(
        store, router, allow=frozenset({("clerk", "forward")}), options={"forward_updates": True}
    )
    world.simulator.faults.add(ApiFault("cut", method="POST", before=not landed))
    world.after = hide
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    [undecided] = dead_letters(store).values()
    assert undecided["reason"].startswith("it may or may not have happened")
    world.now += 200_000
    put_back(world)

    applied = [call.applied for call in world.simulator.log if call.method == "POST"]
    assert applied == ([True] if landed else [False, True])
    assert dead_letters(store) == {}
