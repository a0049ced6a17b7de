"""The outlook: how much waits, and when it is processed."""

from typing import Any

import redis

from workers import Context, Event, Router, Ticket
from workers.engine.steps import Call
from workers.happyfox.messages import Answer
from workers.settings import Budget
from workers.store.permits import outlook
from workers.testing.desk import SimulatedDeployment

router = Router("notes")


@router.on("ticket-created")
def note(ticket: Ticket, event: Event) -> None:
    ticket.note("Seen.")
    ticket.add_tags("seen")


def test_an_idle_account_has_no_backlog(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, router)
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.due, found.planned, found.drained) == (0, 0, 0, 0.0)


def test_every_lane_costs_a_read_another_one_for_its_echoes_and_a_write(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, router, budget=Budget(20, 300, 60.0, 600.0, 1.0, 8))
    for _ in range(50):
        world.simulator.create_ticket()
    world.deliver()
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.due, found.planned, found.undecided) == (50, 50, 0, 50)
    assert found.drained == 5 * 60.0
    began = world.now
    world.settle_down()
    assert found.drained <= (world.now - began) / 1000 <= found.drained + 60


def test_calls_that_a_parked_turn_has_planned_count(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    world.deliver()

    def locked_out(step: Any, result: object) -> object:
        return Answer(429, {}, b"") if isinstance(step, Call) and step.request.method == "POST" else result

    world.after = locked_out
    lane = world.claim()
    assert lane is not None
    assert world.drive(lane).end == "parked"
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.planned, found.forecast.gate) == (1, 2, "locked")
    assert found.drained == found.forecast.reopens == 605.0


def test_lanes_that_only_wait_for_a_timer_are_not_part_of_the_backlog(store: redis.Redis) -> None:
    waits = Router("waits")

    @waits.on("ticket-created")
    def begin(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("1h", "remind")

    @waits.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note("Nobody has answered.")

    world = SimulatedDeployment(store, waits)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.due, found.drained) == (0, 0, 0.0)

    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.due) == (1, 1)
    world.work()
    assert outlook(world.store, world.governor).lanes == 0

    world.now += 3_600_000
    found = outlook(world.store, world.governor)
    assert (found.lanes, found.due) == (1, 1)
