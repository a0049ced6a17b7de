"""Storms: when one begins and ends, and that a new ticket in the middle of it does not wait."""

from typing import Any

import redis

from workers import Event, Router, Ticket
from workers.settings import Budget
from workers.store.keys import Keys
from workers.store.storms import StormWatch, note_storm, read_storm, storm_limit, usual_arrivals
from workers.testing.desk import ACCOUNT, SimulatedDeployment

BUDGET = Budget(500, 300, 60.0, 600.0, 0.9, 8)
MINUTE = 60_000
KEYS = Keys(ACCOUNT)


def quiet() -> Router:
    router = Router("quiet")

    @router.on("ticket-created", "ticket-updated")
    def read(ticket: Ticket, event: Event) -> None:
        pass

    return router


def edits(world: SimulatedDeployment, numbers: list[int]) -> None:
    """Let a person edit tickets, and deliver the webhooks."""
    for number in numbers:
        ticket = world.simulator.account.tickets[number]
        world.simulator.staff_updates(number, staff=1, priority=2 if ticket.priority == 1 else 1)
    world.deliver()


def opened(world: SimulatedDeployment, count: int) -> list[int]:
    """Open tickets and handle them; then their lanes are at rest."""
    numbers = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(count)]
    world.deliver()
    world.settle_down()
    world.now += MINUTE
    return numbers


def test_half_of_the_write_budget_is_the_limit() -> None:
    assert storm_limit(BUDGET) == 135
    assert storm_limit(Budget(30, 30, 6.0, 60.0, 1.0, 8)) == 150


def test_a_storm_begins_above_both_limits_and_ends_by_itself(store: redis.Redis) -> None:
    world, usual = SimulatedDeployment(store), [10]
    watch = StormWatch(ACCOUNT, 135, lambda now: usual[0])

    def arrive(count: int) -> int:
        store.hincrby(KEYS.counts, "accepted", count)
        world.now += 5_000
        return watch.check(world.store.run)

    assert arrive(100_000) == 0  # what came before this process watched
    assert (arrive(135), arrive(1)) == (0, 136)
    assert arrive(50) == 0  # the same storm
    storm = read_storm(store, ACCOUNT)
    assert storm
    assert (storm.since, storm.last, storm.arrivals, storm.peak) == (world.now - 5_000, world.now, 186, 186)
    assert storm.is_on(world.now + MINUTE - 1)
    assert not storm.is_on(world.now + MINUTE)
    usual[0] = 100
    world.now += 2 * MINUTE
    assert (arrive(0), arrive(400)) == (0, 0)  # as usual at this hour
    usual[0] = 10
    assert arrive(1) == 401
    assert read_storm(store, ACCOUNT) != storm


def test_what_is_usual_is_the_mean_of_the_same_hour_of_other_weeks(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, quiet())
    assert usual_arrivals(world.store, ACCOUNT, world.now) == 0
    for _ in range(2):
        for _ in range(120):
            world.simulator.create_ticket("sam@bigcorp.example")
        world.deliver()
        world.now += 7 * 24 * 3_600_000
    assert usual_arrivals(world.store, ACCOUNT, world.now) == 2


def test_in_a_storm_edits_join_while_contacts_are_not_kept_waiting(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, quiet())
    first, second = opened(world, 2)
    world.store.run(note_storm(ACCOUNT, 2_000, 3))
    edits(world, [first, second])
    assert world.work() == []
    assert not store.zcard(KEYS.schedule + ":normal")
    world.simulator.contact_replies(second, "Hello?")
    world.deliver()
    (turn,) = world.work()
    assert turn.plan
    assert [change.kind for change in turn.plan.changes] == ["priority-changed", "contact-replied"]
    world.now += 20_000
    edits(world, [first])
    world.now += 10_000
    (joined,) = world.work()
    assert joined.plan
    assert len(joined.plan.changes) == 2


def test_a_new_ticket_in_the_middle_of_a_storm_is_handled_next(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, quiet(), budget=Budget(60, 60, 60.0, 600.0, 1.0, 8), options={"keep": 10_000})
    numbers = opened(world, 40)
    world.store.run(note_storm(ACCOUNT, 2_000, 3))
    edits(world, numbers[:20])
    new = world.simulator.create_ticket("new@bigcorp.example").id
    edits(world, numbers[20:])
    world.now += 30_000
    lanes: list[Any] = [world.claim() for _ in range(3)]
    assert lanes[0].ticket == new
    assert [lane.priority for lane in lanes] == ["interactive", "bulk", "bulk"]


def test_in_a_storm_what_comes_during_a_turn_is_bulk_too(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, quiet())
    (number,) = opened(world, 1)
    world.store.run(note_storm(ACCOUNT, 2_000, 3))
    edits(world, [number])
    world.now += 30_000
    lane = world.claim()
    assert lane
    edits(world, [number])
    world.drive(lane)
    assert store.zscore(KEYS.schedule, str(number))
    assert not store.zcard(KEYS.schedule + ":normal")
