"""Performing a stored plan: a person's newer work wins, and a dry run sends nothing, whenever it begins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import Event, Router, Ticket
from workers.engine.steps import Call
from workers.errors import InDoubt
from workers.simulator import ApiFault
from workers.store.scripts import Script
from workers.testing.desk import BOT, Crash, SimulatedDeployment


def dies_with_a_plan(store: redis.Redis, wants: Callable[[Ticket], object]) -> tuple[SimulatedDeployment, int]:
    """Return a world in which a worker died right after it stored its plan, five minutes ago."""
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event) -> None:
        wants(ticket)

    @router.on("field-changed")
    def tell(ticket: Ticket, event: Event) -> None:
        ticket.note("; ".join(f"{change.field} is {change.new and change.new.name}" for change in event.matched))

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash
        return result

    world = SimulatedDeployment(store, router, allow=frozenset({("clerk", "delete"), ("clerk", "subscribe")}))
    number = world.simulator.create_ticket().id
    world.deliver()
    world.after = after
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    world.now += 300_000
    return world, number


def fields(world: SimulatedDeployment, number: int) -> dict[str, Any]:
    return {field["name"]: field["value"] for field in world.ticket(number)["custom_fields"]}


def test_a_field_that_a_person_set_meanwhile_is_not_overwritten(store: redis.Redis) -> None:
    world, number = dies_with_a_plan(store, lambda ticket: ticket.set(fields={"Refund reason": "ours", "Amount": 5}))
    world.simulator.staff_updates(number, staff=1, fields={"Refund reason": "theirs"})
    world.settle_down()

    world.deliver()
    world.settle_down()

    assert fields(world, number)["Refund reason"] == "theirs"
    assert str(fields(world, number)["Amount"]) == "5"
    assert "Refund reason is theirs" in str(world.ticket(number)["updates"])


def test_a_ticket_that_a_person_updated_meanwhile_is_not_deleted(store: redis.Redis) -> None:
    world, number = dies_with_a_plan(store, lambda ticket: ticket.delete())
    world.simulator.contact_replies(number, "Please keep this one.")
    world.settle_down()

    assert number in world.simulator.account.tickets


def test_a_plan_stored_before_the_dry_run_began_is_not_sent(store: redis.Redis) -> None:
    world, _ = dies_with_a_plan(store, lambda ticket: ticket.note("Hello."))
    world.config = replace(world.config, dry_run=True)
    world.settle_down()

    assert [call for call in world.simulator.log if call.method == "POST"] == []
    assert world.client.zcard("foxhooks:{demo}:schedule") == 0


@pytest.mark.parametrize("by", [None, {"id": None, "name": "", "email": None, "type": "staff"}])
def test_an_anonymous_update_does_not_prove_tags_in_doubt(store: redis.Redis, by: object) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("vip")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.simulator.faults.add(ApiFault("cut", method="POST", before=True))

    def somebody_writes(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method == "POST":
            tickets = world.simulator.account.tickets
            ticket = world.simulator.staff_updates(number, staff=1, fields={"Amount": 5})
            last = ticket.updates[-1]
            nobody = replace(last, shown={**last.shown, "by": by})
            tickets[number] = replace(tickets[number], updates=(*ticket.updates[:-1], nobody))
            world.simulator.staff_updates(number, staff=1, fields={"Amount": 6})
        return result

    world.after = somebody_writes
    world.work()
    world.after = lambda step, result: result
    world.settle_down()

    assert world.ticket(number)["tags"] == "vip"


def test_an_update_from_before_an_effect_began_does_not_prove_it(store: redis.Redis) -> None:
    world, number = dies_with_a_plan(store, lambda ticket: ticket.add_tags("vip"))
    world.simulator.staff_updates(number, staff=7, fields={"Amount": 5})
    world.simulator.staff_updates(number, staff=1, fields={"Amount": 6})
    world.simulator.faults.add(ApiFault("cut", method="POST", before=True))
    world.settle_down()

    assert world.ticket(number)["tags"] == "vip"


def test_the_age_of_a_plan_counts_from_its_read_not_from_the_end_of_its_handlers(store: redis.Redis) -> None:
    router = Router("slow")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        world.now += 60_000
        world.simulator.staff_updates(ticket.id, staff=1, text="I have answered you.", status="Closed")
        ticket.reply("So do I.", status="In Progress")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.work()

    assert world.ticket(number)["status"]["name"] == "Closed"
    assert "So do I" not in str(world.ticket(number)["updates"])


def in_doubt(store: redis.Redis, wants: Callable[[Ticket], object], **config: Any) -> tuple[SimulatedDeployment, int]:
    """Return a world in which the answer to a write that HappyFox applied was cut off, before the look-up."""
    world, number = dies_with_a_plan(store, wants)
    world.config = replace(world.config, **config)
    world.simulator.faults.add(ApiFault("cut", method="POST", before=False))

    def dies(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method == "POST":
            raise Crash
        return result

    world.after = dies
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    world.now += 60_000
    return world, number


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("Refund reason", "ours", "theirs"),
        ("Amount", 5, 7),
        ("Product", "Scanner", 1),
        ("Delivery date", "2026-03-01", "2026-03-02"),
    ],
)
def test_a_field_set_by_a_person_before_the_look_up_is_a_change_and_ours_is_not(
    store: redis.Redis, name: str, ours: Any, theirs: Any
) -> None:
    world, number = in_doubt(store, lambda ticket: ticket.set(fields={name: ours}))
    world.settle_down()
    assert all(update["message"] is None for update in world.ticket(number)["updates"][1:])

    store.flushdb()
    world, number = in_doubt(store, lambda ticket: ticket.set(fields={name: ours}))
    world.simulator.staff_updates(number, staff=1, fields={name: theirs})
    world.settle_down()
    world.deliver()
    world.settle_down()

    assert f"{name} is {fields(world, number)[name]}" in str(world.ticket(number)["updates"])


def test_changing_our_staff_id_does_not_hide_updates_made_under_the_old_one(store: redis.Redis) -> None:
    world, _ = in_doubt(store, lambda ticket: ticket.note("Written once and for all."))
    world.config = replace(world.config, staff_id=1)
    world.settle_down()

    assert [call.path.rsplit("/", 2)[-2] for call in world.simulator.log if call.method == "POST"] == ["staff_pvtnote"]


def test_an_effect_that_happyfox_never_applied_is_a_dead_letter_that_says_so(store: redis.Redis) -> None:
    world, number = dies_with_a_plan(store, lambda ticket: ticket.note("Hello there, all of you."))
    world.simulator.faults.add(ApiFault("cut", method="POST", before=True, count=None))
    world.settle_down()

    assert dead_letter(world)["reason"] == (
        "HappyFox did not take it, sent 3 times; each time the ticket showed that it had not happened"
    )
    assert len(world.ticket(number)["updates"]) == 1


def dead_letter(world: SimulatedDeployment) -> dict[str, Any]:
    """Return the only dead letter."""
    [identity] = untyped(world.client).zrange("foxhooks:{demo}:dead_letters", 0, -1)
    told: dict[str, Any] = msgspec.json.decode(
        untyped(world.client).hget(f"foxhooks:{{demo}}:dead_letter:{identity.decode()}", "evidence")
    )
    return told


def test_a_subscription_in_doubt_is_found_among_the_subscribers(store: redis.Redis) -> None:
    world, number = in_doubt(store, lambda ticket: ticket.subscribe("Lin Wu"))
    world.settle_down()

    assert len([call for call in world.simulator.log if call.method == "POST"]) == 1
    assert [one["first_name"] for one in world.ticket(number)["subscribers"]] == ["Foxhooks", "Lin"]


def test_a_field_in_doubt_is_proven_by_its_value_if_another_effect_has_its_update(
    store: redis.Redis,
) -> None:
    """An update without a message fits any tags; the tags of the first turn never made theirs."""
    router = Router("clerk")

    @router.on("ticket-created")
    def tag(ticket: Ticket) -> None:
        ticket.add_tags("vip")

    @router.on("contact-replied", "field-changed")
    def file(ticket: Ticket, event: Event) -> None:
        if event.kind == "field-changed":
            ticket.note("Somebody set a field.")
        ticket.set(fields={"Refund reason": "ours"})

    world = SimulatedDeployment(store, router, options={"tag_updates": False})
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    world.simulator.contact_replies(number, "Hello?")
    world.simulator.faults.add(ApiFault("cut", path="*/staff_update", before=False))
    world.deliver()
    world.settle_down()

    world.deliver()
    world.settle_down()

    assert sum(call.path.endswith("staff_update/") for call in world.simulator.log) == 1
    assert "Somebody set a field" not in str(world.ticket(number)["updates"])


def test_a_status_set_by_a_person_as_our_staff_member_does_not_prove_our_field(
    store: redis.Redis,
) -> None:
    world, number = dies_with_a_plan(store, lambda ticket: ticket.set(status="Closed", fields={"Amount": 5}))
    world.simulator.faults.add(ApiFault("cut", path="*/staff_update", before=True))
    world.work()
    world.simulator.staff_updates(number, staff=BOT, status="Closed")
    world.settle_down()

    assert str(fields(world, number)["Amount"]) == "5"


def test_a_look_up_checks_only_what_was_sent(store: redis.Redis) -> None:
    """The person's field was left out of the write, so the ticket never shows ours."""
    world, number = dies_with_a_plan(store, lambda ticket: ticket.set(priority="Low", fields={"Refund reason": "ours"}))
    world.simulator.staff_updates(number, staff=1, fields={"Refund reason": "theirs"})
    world.simulator.faults.add(ApiFault("cut", path="*/staff_update", before=False))
    results = world.settle_down()

    (entry,) = next(result.journal for result in results if result.journal).values()
    assert (entry.state, entry.omitted) == ("done", ("#1",))
    assert sum(call.path.endswith("staff_update/") for call in world.simulator.log) == 1


def test_a_late_update_of_an_earlier_turn_is_not_replaced_by_ours(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def tell(ticket: Ticket, event: Event) -> None:
        ticket.note("The contact has written.")
        ticket.add_tags(f"seen-{event.matched[0].update_id}")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    for fault in (
        ApiFault("late-update", path="*/staff_pvtnote", seconds=20),
        ApiFault("cut", path="*/staff_pvtnote", before=False),
    ):
        world.simulator.contact_replies(number, "Hello?")
        world.simulator.faults.add(fault)
        world.deliver()
        world.work()
        world.now += 500
    world.settle_down()

    assert str(world.ticket(number)["updates"]).count("'html': 'The contact has written.'") == 2


def test_a_call_that_may_be_under_way_is_waited_for_if_the_ticket_was_as_wanted_before(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def follow(ticket: Ticket, event: Event) -> None:
        ticket.subscribe("Lin Wu")
        ticket.forward("archive@bigcorp.example", f"Copy {event.changes[-1].update_id}", "For your files.")

    world = SimulatedDeployment(store, router, allow=frozenset({("clerk", "subscribe"), ("clerk", "forward")}))
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()

    def lose(step: Any, result: Any) -> Any:
        lost = isinstance(step, Call) and step.request.path.endswith("/subscribe/")
        return InDoubt("no answer in time") if lost else result

    world.after = lose
    world.simulator.contact_replies(number, "One more thing.")
    world.deliver()
    world.now += 10_000
    world.work()
    world.now += 6_000
    world.work()
    forwards = [call for call in world.simulator.log if call.path.endswith("/forward/")]
    assert len(forwards) == 1

    world.settle_down()
    calls = [call.path.rsplit("/", 2)[1] for call in world.simulator.log if call.method == "POST"]
    assert calls == ["subscribe", "forward"] * 2
