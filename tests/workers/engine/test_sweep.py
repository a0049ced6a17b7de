"""Sweeps: a change whose delivery was lost reaches its handlers once, within one sweep."""

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from workers import Event, Router, Ticket
from workers.engine import sweep
from workers.engine.context import Sweep, pace_of, utc
from workers.engine.steps import Call, Step
from workers.engine.sweep import ListedTicket
from workers.happyfox import tickets as requests
from workers.happyfox.messages import Request
from workers.plugins.invoke import Inner
from workers.rules.conditions import compile_condition
from workers.simulator import ApiFault, search
from workers.store import periodic
from workers.store.audit import By
from workers.store.completeness import LearnedChanges, read_completeness
from workers.store.memory import doubt
from workers.store.periodic import SWEEP, decode_memo
from workers.testing.desk import ACCOUNT, START, Crash, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PERIOD = 5 * MINUTE


def recorder(seen: list[tuple[str, int]], *, answers: bool = True) -> Router:
    """Record every change that a handler is shown, and answer every message of a contact once."""
    router = Router("recorder")

    @router.on("ticket-created", "ticket-updated")
    def read(ticket: Ticket, event: Event) -> None:
        seen.extend((change.kind, ticket.id) for change in event.changes)
        if answers and any(change.kind in ("ticket-created", "contact-replied") for change in event.changes):
            ticket.reply(f"Thank you for {sum(each.author == 'contact' for each in ticket.history)} messages.")

    return router


def swept(store: redis.Redis, *routers: Router, **config: Any) -> SimulatedDeployment:
    every = Sweep(PERIOD, pace_of(45, 60.0))
    return SimulatedDeployment(store, *routers, **{"unanswered_replies": 1_000, "sweep": every, **config})


def run(world: SimulatedDeployment, span: int, *, deliveries: bool = False, step: int = 30_000) -> None:
    """Let the time pass, with or without deliveries, and do all that is due."""
    end = world.now + span
    while world.now < end:
        world.now += min(step, end - world.now)
        if deliveries:
            world.deliver()
        else:
            world.simulator.take_deliveries()
        world.run_tasks()
        world.work()


def state(world: SimulatedDeployment) -> periodic.TaskState:
    return periodic.decode(untyped(world.client).hget(P + "periodic_tasks", SWEEP))


def lists(world: SimulatedDeployment) -> list[str]:
    """Return the queries of the lists that were read."""
    calls = [call for call in world.simulator.api.log if call.path.rstrip("/").endswith("tickets")]
    return [call.query for call in calls if "last_modified" in call.query]


def our_replies(world: SimulatedDeployment, number: int) -> list[str]:
    rows = world.ticket(number)["updates"]
    return [row["message"]["text"] for row in rows if row["message"] and row["by"]["type"] == "staff"]


def test_without_any_delivery_every_change_reaches_its_handlers_once(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE)
    world.simulator.contact_replies(number, "Hello?")
    run(world, PERIOD + MINUTE)
    world.simulator.staff_updates(number, staff=1, status="On Hold")
    run(world, 3 * PERIOD)

    assert seen == [("ticket-created", number), ("contact-replied", number), ("status-changed", number)]
    assert len(our_replies(world, number)) == 2


def test_the_first_sweep_leaves_out_what_is_older_than_the_store(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    old = world.simulator.create_ticket("sam@bigcorp.example").id
    world.now += HOUR
    store.set(P + "store_epoch", world.now)
    run(world, 2 * PERIOD)
    assert (seen, world.client.exists(f"{P}snapshot:{old}")) == ([], 0)
    assert decode_memo(state(world).memo).unknown == 1

    world.simulator.contact_replies(old, "Are you there?")
    run(world, PERIOD + MINUTE)
    assert seen == [("contact-replied", old)]


def test_the_first_sweep_waits_for_one_period(store: redis.Redis) -> None:
    world = swept(store, recorder([]))
    run(world, PERIOD - 2_000)
    assert lists(world) == []
    run(world, 4_000)
    assert len(lists(world)) == 1


def test_a_change_during_a_downtime_is_found_and_a_new_ticket_is_new(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    known = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE, deliveries=True)
    seen.clear()
    world.now += 6 * HOUR
    new = world.simulator.create_ticket("mia@smallshop.example").id
    world.simulator.contact_replies(known, "Still broken.")
    world.simulator.take_deliveries()
    world.now += 40 * HOUR
    run(world, MINUTE)

    assert sorted(seen) == [("contact-replied", known), ("ticket-created", new)]


@pytest.mark.parametrize("before", [2 * MINUTE, PERIOD + MINUTE, 40 * MINUTE])
def test_a_delivery_that_comes_before_the_sweep_hides_no_lost_creation(store: redis.Redis, before: int) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, before)
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.simulator.take_deliveries()  # it is lost
    world.now += 4 * MINUTE
    world.simulator.contact_replies(number, "Is anybody there?")
    world.deliver()
    world.settle_down()
    assert seen == [("ticket-created", number), ("contact-replied", number)]
    run(world, 20 * MINUTE)
    assert len(seen) == 2
    assert len(our_replies(world, number)) == 1


def comes_late(world: SimulatedDeployment, number: int, after: int = 4 * MINUTE) -> None:
    """Lose what was delivered until now; later, a contact's reply to the ticket is delivered."""
    world.simulator.take_deliveries()
    world.now += after
    world.simulator.contact_replies(number, "Is anybody there?")
    world.deliver()
    world.settle_down()


def test_a_delivery_before_the_first_sweep_hides_no_lost_reply_to_an_older_ticket(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.now += HOUR
    store.set(P + "store_epoch", world.now)
    world.now += 10_000
    world.simulator.contact_replies(number, "Lost.")
    comes_late(world, number)
    run(world, 20 * MINUTE)
    assert seen == [("contact-replied", number)] * 2


def test_a_delivery_before_the_first_sweep_of_an_emptied_store_hides_no_lost_creation(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    old = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE)
    store.flushdb()
    world.now += 3_000
    world.run_tasks()
    world.now += 10_000
    new = world.simulator.create_ticket("mia@smallshop.example").id
    comes_late(world, new)
    comes_late(world, old)
    run(world, 20 * MINUTE)
    expected = [("ticket-created", old), ("ticket-created", new), ("contact-replied", new), ("contact-replied", old)]
    assert seen == expected
    assert [len(our_replies(world, number)) for number in (old, new)] == [2, 1]


@pytest.mark.parametrize("state", ["junk", '{"memo":"junk"}', '{"memo":"{}","scheduled_at":0}'])
def test_a_delivery_hides_no_lost_creation_if_the_sweeps_state_is_unreadable(store: redis.Redis, state: str) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, 40 * MINUTE)
    store.hset(P + "periodic_tasks", SWEEP, state)
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    comes_late(world, number)
    assert seen == [("ticket-created", number), ("contact-replied", number)]


def test_a_delivery_hides_no_lost_creation_if_no_sweep_was_ever_complete(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    store.set(P + "store_epoch", world.now - 30 * DAY)
    world.simulator.faults.add(ApiFault("status", method="GET", path="tickets", status=500, count=None))
    run(world, 40 * MINUTE)
    assert state(world).why
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    comes_late(world, number)
    assert seen == [("ticket-created", number), ("contact-replied", number)]


def test_a_delivery_that_comes_first_after_a_long_downtime_hides_no_lost_creation(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, PERIOD + MINUTE)
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    comes_late(world, number, after=9 * DAY)
    run(world, PERIOD + MINUTE)
    assert seen == [("ticket-created", number), ("contact-replied", number)]


def test_sweeps_that_are_switched_on_later_show_the_last_week_at_most(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    older, newer = world.simulator.create_ticket("sam@bigcorp.example").id, 0
    world.now += 20 * DAY
    newer = world.simulator.create_ticket("mia@smallshop.example").id
    comes_late(world, older, after=2 * DAY)
    comes_late(world, newer)
    run(world, PERIOD + MINUTE)
    assert seen == [("contact-replied", older), ("ticket-created", newer), ("contact-replied", newer)]


def test_the_first_handler_is_shown_nothing_from_before_it(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store)
    old = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, HOUR, deliveries=True)
    older = world.simulator.create_ticket("jo@bigcorp.example").id
    run(world, PERIOD)
    assert lists(world) == []

    world = swept(store, recorder(seen, answers=False), clock=world.clock, simulator=world.simulator)
    store.set(P + "store_epoch", START)
    new = world.simulator.create_ticket("mia@smallshop.example").id
    comes_late(world, old)
    run(world, HOUR)
    assert seen == [("contact-replied", old), ("ticket-created", new)]
    assert not store.exists(f"{P}snapshot:{older}")


@pytest.mark.parametrize("before", [PERIOD - 2_000, PERIOD + MINUTE])
def test_a_worker_without_handlers_hides_nothing_from_one_with_handlers(store: redis.Redis, before: int) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    old = swept(store, clock=world.clock, simulator=world.simulator)
    run(world, before)
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.simulator.take_deliveries()
    world.now += PERIOD
    world.run_tasks()
    for _ in range(20):
        world.now += 2_000
        old.run_tasks()
        old.work()
    run(world, 2 * PERIOD)
    assert seen == [("ticket-created", number)]


def test_what_happens_after_the_last_handler_was_removed_is_history(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, PERIOD + MINUTE)
    none = swept(store, clock=world.clock, simulator=world.simulator)
    none.simulator.create_ticket("sam@bigcorp.example")
    run(none, HOUR)
    assert len(lists(world)) == 1
    run(world, HOUR)
    assert seen == []


def test_without_sweeps_a_delivery_hides_what_was_lost_before_it(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, PERIOD + MINUTE)
    off = SimulatedDeployment(store, recorder(seen), clock=world.clock, simulator=world.simulator)
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    comes_late(off, number)
    assert seen == [("contact-replied", number)]


def test_a_snapshot_that_cannot_be_read_brings_no_history_back(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.deliver()
    world.settle_down()
    store.set(f"{P}snapshot:{number}", "junk")
    comes_late(world, number)
    assert seen == [("ticket-created", number), ("contact-replied", number)]


def test_a_change_in_the_second_of_the_read_is_found(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.deliver()
    world.work()
    # Stamps have whole seconds: this change leaves the stamp as it was read.
    world.simulator.staff_updates(number, staff=1, status="On Hold")
    world.simulator.take_deliveries()
    run(world, PERIOD + MINUTE)
    assert seen == [("ticket-created", number), ("status-changed", number)]


def test_an_update_that_appears_after_the_ticket_was_read_is_found(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, 2 * PERIOD - 10_000)
    world.simulator.contact_replies(number, "Hello?", late=60)
    # The stamp is new already: this sweep has the ticket read before the reply can be seen.
    run(world, PERIOD)
    run(world, PERIOD)
    assert seen == [("ticket-created", number), ("contact-replied", number)]


def test_a_ticket_is_read_only_once_more_without_changes(store: redis.Redis) -> None:
    world = swept(store, recorder([], answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.deliver()
    world.work()
    run(world, 6 * PERIOD)
    reads = [call for call in world.simulator.api.log if call.path.rstrip("/").endswith(f"ticket/{number}")]
    assert len(reads) == 2


def test_pages_are_read_no_faster_than_the_share_allows(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False), sweep=Sweep(PERIOD, pace_of(5, 60.0)))
    monkeypatch.setattr(sweep, "PAGE", 5)
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(42)]
    run(world, PERIOD - MINUTE)
    run(world, 4 * MINUTE, step=2_000)

    times = [call.arrived for call in world.simulator.api.log if call.path.rstrip("/").endswith("tickets")]
    assert len(times) == 10  # one of them looks for deleted tickets
    assert max(sum(first <= at < first + 60 for at in times) for first in times) <= 5
    assert sorted(number for _, number in seen) == made


def test_a_killed_sweep_is_continued_on_the_same_page(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(7)]
    world.simulator.take_deliveries()
    world.now += PERIOD

    def dies(step: Step | Inner) -> None:
        if isinstance(step, Call):
            raise Crash

    world.run_tasks()
    world.before = dies
    world.now += 2_000
    with pytest.raises(Crash):
        world.run_tasks()
    world.before = lambda _: None
    assert (state(world).page, state(world).found) == (2, 3)
    run(world, MINUTE, step=5_000)
    assert sorted(number for _, number in seen) == made


def test_two_workers_share_one_sweep(store: redis.Redis) -> None:
    world = swept(store, recorder([]))
    world.now += PERIOD
    (listed,) = world.run_tasks()
    assert (listed.name, listed.over) == (SWEEP, False)
    assert world.run_tasks() == []
    world.now += 2_000
    (ended,) = world.run_tasks()
    assert (ended.name, ended.over) == (SWEEP, True)
    assert len(lists(world)) == 1


def test_a_list_that_is_not_sorted_is_searched_by_days(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    monkeypatch.setitem(search.SORTS, "last_modifiedd", (lambda _, ticket: ticket.id, False))
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    made = []
    for n in range(8):
        made.append(world.simulator.create_ticket(f"c{n}@bigcorp.example").id)
        world.now += 1_000
    run(world, PERIOD - MINUTE)
    run(world, 2 * MINUTE, step=5_000)
    assert any("last-modified-on-or-after" in query for query in lists(world))
    assert sorted(number for _, number in seen) == made


def test_a_deleted_ticket_hides_no_other_one(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(9)]
    world.simulator.take_deliveries()
    world.now += PERIOD
    world.run_tasks()
    world.simulator.account.remove(made[-1])  # on the first page: the fourth is on it now
    run(world, MINUTE, step=5_000)
    assert sorted({number for _, number in seen}) == made[:-1]


def test_the_store_was_emptied(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE)
    world.simulator.contact_replies(number, "Lost with the store.")
    store.flushdb()
    world.now += 3_000
    run(world, PERIOD + MINUTE)
    world.simulator.contact_replies(number, "After it.")
    run(world, PERIOD + MINUTE)

    assert seen == [("ticket-created", number), ("contact-replied", number)]
    assert len(our_replies(world, number)) == 2


def test_an_older_copy_of_the_store_was_restored(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE)
    copy = {key: untyped(store).dump(key) for key in store.scan_iter("*")}
    world.simulator.contact_replies(number, "Answered before the loss.")
    run(world, 2 * PERIOD)
    world.simulator.contact_replies(number, "Its delivery is lost.")
    world.simulator.take_deliveries()
    store.flushdb()
    for key, value in copy.items():
        store.restore(key, 0, value)
    world.store.run(doubt(ACCOUNT, By("ada")))
    run(world, 3 * PERIOD)

    assert seen.count(("contact-replied", number)) == 2
    assert len(our_replies(world, number)) == 3


def test_a_failed_list_is_read_again_and_nothing_is_skipped(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.simulator.faults.add(ApiFault("html", method="GET", path="tickets", count=2))
    run(world, PERIOD + 4 * MINUTE)
    assert seen == [("ticket-created", number)]


def test_lost_late_repeated_and_shuffled_deliveries_change_nothing(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    rng = random.Random(16)
    world = swept(store, recorder(seen))
    numbers = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(5)]
    expected = [("ticket-created", number) for number in numbers]
    late: list[tuple[int, bytes]] = []
    for second in range(0, 12 * 60, 10):
        world.now += 10_000
        if second % 20 == 0 and second < 10 * 60:
            number = rng.choice(numbers)
            world.simulator.contact_replies(number, f"Message {second}")
            expected.append(("contact-replied", number))
        for delivery in world.simulator.take_deliveries():
            if rng.random() < 0.05:
                continue
            late += [(world.now + rng.choice([0, 0, 30_000]), delivery.body)] * rng.choice([1, 1, 2])
        for due, body in [each for each in late if each[0] <= world.now]:
            late.remove((due, body))
            world.receive(body)
        world.run_tasks()
        world.work()
    run(world, 2 * PERIOD)

    assert sorted(seen) == sorted(expected)


def test_what_a_sweep_has_found_counts_and_is_listed(store: redis.Redis) -> None:
    world = swept(store, recorder([], answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, MINUTE, deliveries=True)
    world.simulator.contact_replies(number, "My password is swordfish.")
    lost = world.now
    run(world, PERIOD + MINUTE)

    found = read_completeness(store, ACCOUNT)
    assert found.total == LearnedChanges(delivery=1, sweep=1) == found.of_day(world.now)
    assert found.total.ratio == 0.5
    (missed,) = found.missed
    assert (missed.ticket, missed.kinds, missed.happened) == (number, ("contact-replied",), lost // 1000 * 1000)
    assert b"swordfish" not in untyped(store).lindex(P + "missed", 0)


def test_what_was_open_at_the_first_start_was_not_missed(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.now += 1_500
    store.set(P + "store_epoch", world.now)
    run(world, PERIOD + MINUTE)
    assert seen == [("ticket-created", number)]
    world.simulator.contact_replies(number, "Hello?")
    run(world, PERIOD + MINUTE)
    found = read_completeness(store, ACCOUNT)
    assert [each.kinds for each in found.missed] == [("contact-replied",)]
    assert found.total == LearnedChanges(sweep=1)


def test_the_birth_of_the_store_is_compared_by_happyfoxs_clock(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    simulator = world.simulator
    simulator.clock = simulator.account.clock = lambda: world.now / 1000 + 900
    number = simulator.create_ticket("sam@bigcorp.example").id
    simulator.take_deliveries()
    world.now += MINUTE
    store.set(P + "store_epoch", world.now)
    simulator.contact_replies(number, "Hello?")
    for delivery in simulator.take_deliveries():
        world.receive(delivery.body)
    world.work()
    assert seen == [("contact-replied", number)]


def test_a_late_delivery_of_a_fresh_change_comes_before_the_sweep(store: redis.Redis) -> None:
    world = swept(store, recorder([], answers=False))
    world.now += PERIOD - 1_000
    world.simulator.create_ticket("sam@bigcorp.example")
    world.now += 2_000
    world.run_tasks()
    assert world.work() == []
    world.now += 1_000
    world.deliver()
    world.work()
    assert read_completeness(store, ACCOUNT).total == LearnedChanges(delivery=1)


def test_a_stamp_of_another_time_zone_does_not_make_an_event_wait(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(raw: object, real: Callable[[object], ListedTicket | None] = sweep._read_row) -> ListedTicket | None:
        row = real(raw)
        return row and row._replace(modified=row.modified + 5 * HOUR)

    monkeypatch.setattr(sweep, "_read_row", read)
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    run(world, PERIOD + MINUTE)
    assert seen == [("ticket-created", number)]


def test_a_sweep_can_be_hurried(store: redis.Redis) -> None:
    world = swept(store, recorder([]))
    run(world, PERIOD + MINUTE)
    before = len(lists(world))
    world.store.run(periodic.hurry_task(ACCOUNT, SWEEP))
    run(world, 2_000)
    assert len(lists(world)) == before + 1
    assert state(world).scheduled_at > START + PERIOD


@pytest.mark.parametrize(("gets", "pace"), [(45, 1_361), (1, 61_201), (0.5, 122_401)])
def test_the_pace_follows_from_the_share(gets: float, pace: int) -> None:
    assert pace_of(gets, 60.0) == pace


def test_news_that_a_sweep_finds_after_a_downtime_is_late(store: redis.Redis) -> None:
    late: list[timedelta] = []
    router = Router("timed")

    @router.on("ticket-created")
    def read(ticket: Ticket, event: Event) -> None:
        late.append(event.late)

    world = swept(store, router)
    world.simulator.create_ticket("sam@bigcorp.example")
    world.deliver()
    world.work()
    run(world, PERIOD + MINUTE)
    created = world.now
    world.simulator.create_ticket("mia@smallshop.example")
    world.simulator.take_deliveries()
    world.now += 2 * DAY
    run(world, MINUTE)
    assert late[0] < timedelta(seconds=1)
    assert late[1:] == [timedelta(milliseconds=world.now - MINUTE // 2 - created // 1000 * 1000)]


@pytest.mark.parametrize("ahead", [-15 * MINUTE, 15 * MINUTE])
def test_the_age_of_news_does_not_depend_on_the_difference_of_clocks(store: redis.Redis, ahead: int) -> None:
    ages: list[timedelta] = []
    fresh: list[bool] = []
    router, condition = Router("timed"), compile_condition({"fresh": "10m"}, "here")

    @router.on("ticket-created")
    def read(ticket: Ticket, event: Event) -> None:
        ages.append(event.late)
        fresh.append(bool(condition.holds(ticket, event, utc(world.now))))

    world = swept(store, router)
    simulator = world.simulator
    simulator.clock = simulator.account.clock = lambda: (world.now + ahead) / 1000
    simulator.create_ticket("sam@bigcorp.example")
    for delivery in simulator.take_deliveries():
        world.receive(delivery.body)
    world.work()
    run(world, PERIOD + MINUTE)
    simulator.create_ticket("mia@smallshop.example")
    simulator.take_deliveries()
    world.now += HOUR
    run(world, MINUTE)
    assert [age // timedelta(hours=1) for age in ages] == [0, 1]
    assert ages[0] < timedelta(minutes=1)
    assert fresh == [True, False]


def test_a_ticket_that_was_deleted_is_found_by_the_rotation(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    world = swept(store, recorder([], answers=False))
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(8)]
    closed = made.pop(2)
    world.simulator.staff_updates(closed, staff=1, status="Closed")
    run(world, PERIOD + 2 * MINUTE, step=5_000)
    assert [int(each) for each in untyped(store).zrange(P + "open", 0, -1)] == made
    world.simulator.account.remove(made[1])
    run(world, 5 * PERIOD, step=10_000)

    assert [int(each) for each in untyped(store).zrange(P + "open", 0, -1)] == [made[0], *made[2:]]
    assert b"the ticket is gone" in b"".join(untyped(store).lrange(f"{P}history:{made[1]}", 0, -1))
    reads = [call for call in world.simulator.api.log if call.path.rstrip("/").endswith(f"ticket/{made[1]}")]
    assert reads[-1].status == 404


def test_a_ticket_that_moves_to_the_page_before_is_watched_again(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(9)]
    world.now += HOUR
    store.set(P + "store_epoch", world.now)
    run(world, PERIOD + MINUTE, step=5_000)
    assert decode_memo(state(world).memo).checked == made[2]
    world.simulator.staff_updates(made[0], staff=1, status="Closed")
    run(world, 5 * PERIOD, step=10_000)
    assert seen == [("status-changed", made[0])]
    assert [int(each) for each in untyped(store).zrange(P + "open", 0, -1)] == made[1:]


def test_open_tickets_that_are_not_sorted_are_not_compared(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    monkeypatch.setitem(search.SORTS, "ticketa", (lambda _, ticket: ticket.id, True))
    world = swept(store, recorder([], answers=False))
    made = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(9)]
    run(world, 5 * PERIOD + MINUTE, step=10_000)
    assert [int(each) for each in untyped(store).zrange(P + "open", 0, -1)] == made
    assert "by their numbers" in state(world).why


@pytest.mark.parametrize("status", [400, 403, 500])
def test_changes_are_found_also_if_open_tickets_cannot_be_listed(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    real = requests.tickets

    def tickets(*, numbers_only: bool = False, **listing: Any) -> Request:
        return Request("GET", "/open/", {}) if numbers_only else real(**listing)

    monkeypatch.setattr(requests, "tickets", tickets)
    world.simulator.faults.add(ApiFault("status", method="GET", path="open", status=status, count=None))
    made = []
    for _ in range(3):
        made.append(world.simulator.create_ticket("sam@bigcorp.example").id)
        run(world, PERIOD + MINUTE)
    assert [number for _, number in seen] == made
    assert f"({status})" in state(world).why


def test_without_webhooks_the_tickets_end_as_with_them(store: redis.Redis) -> None:
    def end(*, deliveries: bool) -> list[Any]:
        store.flushdb()
        world = swept(store, recorder([]))
        numbers = [world.simulator.create_ticket(f"c{n}@bigcorp.example").id for n in range(3)]
        for number in numbers:
            run(world, PERIOD + MINUTE, deliveries=deliveries)
            world.simulator.contact_replies(number, "Hello?")
            world.simulator.staff_updates(numbers[0], staff=1, add_tags=["late"], status="On Hold")
        run(world, 2 * PERIOD, deliveries=deliveries)
        tickets = [world.ticket(number) for number in numbers]
        said = [[row["message"] and row["message"]["text"] for row in ticket["updates"]] for ticket in tickets]
        return [*zip(said, [(each["status"]["name"], each["tags"]) for each in tickets], strict=True)]

    assert end(deliveries=False) == end(deliveries=True)


def test_a_sweep_whose_memo_is_unreadable_starts_anew(store: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen))
    run(world, PERIOD + MINUTE)
    stored = json.loads(untyped(store).hget(P + "periodic_tasks", SWEEP))
    store.hset(P + "periodic_tasks", SWEEP, json.dumps({**stored, "memo": "junk"}))
    number = world.simulator.create_ticket("sam@bigcorp.example").id
    world.simulator.take_deliveries()
    run(world, 2 * PERIOD)
    assert seen == [("ticket-created", number)]
    assert state(world).phase == "done"


def test_a_list_whose_first_page_only_looks_sorted_hides_nothing_for_long(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    monkeypatch.setitem(search.SORTS, "last_modifiedd", (lambda _, ticket: ticket.id, True))
    seen: list[tuple[str, int]] = []
    world = swept(store, recorder(seen, answers=False))
    made = []
    for number in range(7):
        made.append(world.simulator.create_ticket(f"sam{number}@bigcorp.example").id)
        world.now += 20 * MINUTE
    world.now += 3 * DAY
    world.simulator.take_deliveries()
    run(world, 3 * PERIOD)
    seen.clear()
    world.simulator.contact_replies(made[0], "Hello?")
    world.simulator.take_deliveries()
    run(world, 2 * 60 * MINUTE + PERIOD)
    assert seen == [("contact-replied", made[0])]
