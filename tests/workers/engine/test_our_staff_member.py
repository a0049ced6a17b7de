"""A person who works as our own staff member: their changes are theirs, ours stay ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import redis

from tests.support.turns import finish
from workers import Event, Router, Ticket
from workers.engine.steps import Call
from workers.simulator import ApiFault
from workers.testing.desk import BOT, SimulatedDeployment
from workers.tickets.change import Kind

Wish = Callable[[Ticket, Event], None]


def world_of(
    store: redis.Redis, kinds: tuple[Kind, ...], asked: Wish
) -> tuple[SimulatedDeployment, int, list[list[str]]]:
    """Return a world with a known ticket, and what its handler is shown: kinds with their actors."""
    router, shown = Router("clerk"), list[list[str]]()

    @router.on(*kinds)
    def act(ticket: Ticket, event: Event) -> None:
        shown.append([f"{change.kind} by {change.actor.kind} {change.actor.id}" for change in event.matched])
        asked(ticket, event)

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    finish(world)
    return world, number, shown


def texts(world: SimulatedDeployment, number: int) -> list[str]:
    return [(update["message"] or {"text": ""})["text"] for update in world.ticket(number)["updates"]]


def test_their_reply_runs_handlers_like_any_colleagues_reply(store: redis.Redis) -> None:
    world, number, shown = world_of(store, ("staff-replied",), lambda ticket, event: ticket.add_tags("answered"))
    world.simulator.staff_updates(number, staff=BOT, text="I take this one myself.")
    finish(world)

    assert shown == [[f"staff-replied by staff {BOT}"]]
    assert world.ticket(number)["tags"] == "answered"


def test_their_reply_withholds_ours(store: redis.Redis) -> None:
    def answer(ticket: Ticket, event: Event) -> None:
        world.now += 60_000  # so that the plan is checked against a new read
        world.simulator.staff_updates(number, staff=BOT, text="I have answered you myself.")
        ticket.reply("The robot answers, too.")

    world, number, _ = world_of(store, ("contact-replied",), answer)
    world.simulator.contact_replies(number, "Hello?")
    finish(world)

    assert "robot" not in str(texts(world, number))
    [told] = [line for line in store.lrange("foxhooks:{demo}:history:1", 0, -1) if b"withheld" in line]
    assert b"answered meanwhile" in told


def test_their_changes_are_not_overwritten_and_run_handlers(store: redis.Redis) -> None:
    def file(ticket: Ticket, event: Event) -> None:
        if event.kind == "contact-replied":
            world.now += 60_000
            world.simulator.staff_updates(number, staff=BOT, status="Closed")
            ticket.set(status="In Progress", priority="High")

    world, number, shown = world_of(store, ("contact-replied", "status-changed"), file)
    world.simulator.contact_replies(number, "Hello?")
    finish(world)

    ticket = world.ticket(number)
    assert (ticket["status"]["name"], ticket["priority"]["name"]) == ("Closed", "High")
    assert shown[-1] == [f"status-changed by staff {BOT}"]


def test_our_updates_that_appear_late_or_twice_start_nothing(store: redis.Redis) -> None:
    world, number, shown = world_of(
        store,
        ("contact-replied", "staff-replied", "note-added", "status-changed", "ticket-updated"),
        lambda ticket, event: ticket.note("The contact has asked again.", alert=None),
    )
    world.simulator.faults.add(ApiFault("late-update", method="POST", seconds=30))
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.work()
    tickets = world.simulator.account.tickets
    ours = tickets[number].updates[-1]
    world.settle_down(most=120_000)
    again = world.simulator.staff_updates(number, staff=BOT, text="The contact has asked again.", private=True)
    finish(world)

    assert [update.update_id for update in again.updates[-2:]] == [ours.update_id, again.updates[-1].update_id]
    assert shown == [["contact-replied by contact 1"]]


def test_our_reply_is_recognized_when_happyfox_decorates_it(store: redis.Redis) -> None:
    world, number, shown = world_of(
        store, ("contact-replied", "staff-replied"), lambda ticket, event: ticket.note("VIP", alert=None)
    )

    def signs(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method == "POST":
            body = result.body.replace(b"VIP", b"Acme support: VIP. Yours, the robot")
            tickets = world.simulator.account.tickets
            last = tickets[number].updates[-1]
            said = {**last.shown["message"], "text": "Acme support: VIP. Yours, the robot", "html": ""}
            dressed = replace(last, shown={**last.shown, "message": said})
            tickets[number] = replace(tickets[number], updates=(*tickets[number].updates[:-1], dressed))
            return replace(result, body=body)
        return result

    world.after = signs
    world.simulator.contact_replies(number, "Hello?")
    finish(world)

    assert "Yours, the robot" in texts(world, number)[-1]
    assert len(shown) == 1
