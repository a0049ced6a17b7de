"""Periodic tasks: a schedule's search runs once per fleet and each match gets an event; names are checked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import Context, Event, Router, Ticket
from workers.engine import schedules
from workers.engine.schedules import TaskResult, periodic_tasks, run_due_task
from workers.engine.steps import Call, Step
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer
from workers.settings import Budget
from workers.simulator import ApiFault
from workers.store import periodic
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment
from workers.tickets.snapshot import decode

P = f"foxhooks:{{{ACCOUNT}}}:"
HOUR, DAY = 3_600_000, 86_400_000


def on_hold(calls: list[int] | None = None, *, older_than: str | None = None, **options: Any) -> Router:
    router = Router("stale")

    @router.every("1h", find='status:"On Hold"', older_than=older_than, **options)
    def close(ticket: Ticket, event: Event, ctx: Context) -> None:
        if calls is not None:
            calls.append(ticket.id)
        ticket.add_tags("stale")

    return router


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "PAGE", 3)
    monkeypatch.setattr(schedules, "BATCH", 2)


def tickets(world: SimulatedDeployment, count: int) -> list[int]:
    """Make tickets without webhooks."""
    made = [world.simulator.create_ticket().id for _ in range(count)]
    for number in made:
        world.simulator.staff_updates(number, status="On Hold", staff=1)
    world.simulator.take_deliveries()
    return made


def tagged(world: SimulatedDeployment, numbers: list[int]) -> list[int]:
    return [number for number in numbers if "stale" in world.ticket(number)["tags"]]


def state(world: SimulatedDeployment, name: str = "stale.close") -> periodic.TaskState:
    return periodic.decode(untyped(world.client).hget(P + "periodic_tasks", name))


def test_a_new_schedule_searches_at_once_and_then_once_a_period(store: redis.Redis) -> None:
    calls: list[int] = []
    world = SimulatedDeployment(store, on_hold(calls))
    numbers = tickets(world, 3)
    other = world.simulator.create_ticket().id

    (ended,) = world.run_tasks()
    world.work()

    assert (ended.name, ended.put, ended.cut, ended.why) == ("stale.close", 3, False, "")
    assert calls == numbers == tagged(world, [*numbers, other])
    world.now += HOUR - 1
    assert world.run_tasks() == []
    world.now += 1
    assert [each.put for each in world.run_tasks()] == [3]


def test_a_scheduled_event_is_for_its_own_handler_only(store: redis.Redis) -> None:
    router, snapshot = on_hold(), []

    @router.on("ticket-updated", "ticket-created")
    def any_change(ticket: Ticket, event: Event) -> None:
        snapshot.append(("any", event.kind))

    @router.every("1d", find="status:New")
    def other(ticket: Ticket, event: Event) -> None:
        snapshot.append(("other", event.kind))

    @router.every("2h", find='status:"On Hold"', when=lambda ticket, event: snapshot.append(("when", event.kind)))
    def never(ticket: Ticket, event: Event) -> None:
        raise AssertionError

    world = SimulatedDeployment(store, router)
    (number,) = tickets(world, 1)
    world.now += HOUR
    world.run_tasks()
    world.work()

    assert snapshot == [("when", "scheduled")]
    assert tagged(world, [number]) == [number]


def test_matching_tickets_wait_for_a_worker_that_has_the_schedule(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold(), Router("older"))
    (number,) = tickets(world, 1)
    world.run_tasks()
    new = world.config
    world.config = replace(new, handlers=())
    world.work()
    world.simulator.contact_replies(number, "Hello?")
    world.deliver()
    world.work()
    assert tagged(world, [number]) == []
    world.config = new
    world.now += 60_000
    world.work()

    assert tagged(world, [number]) == [number]


def test_a_scheduled_event_without_handler_finally_leaves_its_lane(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    tickets(world, 1)
    world.run_tasks()
    world.config = replace(world.config, handlers=())
    world.settle_down()

    assert not store.zcard(P + "schedule")


def test_a_ticket_without_webhook_gets_a_snapshot_and_no_change(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    (number,) = tickets(world, 1)
    world.now += HOUR
    world.run_tasks()
    (result,) = world.work()

    assert [change.kind for change in result.plan.changes] == ["scheduled"]  # type: ignore[union-attr]
    assert decode(untyped(world.client).get(f"{P}snapshot:{number}")) is not None


def test_recently_changed_tickets_are_left_out(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold(older_than="14d"))
    old = tickets(world, 1)
    world.now += 14 * DAY - 3 * HOUR
    young = tickets(world, 1)
    world.now += 3 * HOUR
    world.run_tasks()
    world.work()

    assert tagged(world, old + young) == old
    # The search goes by whole days; a ticket that is too young is skipped with a reason.
    almost = SimulatedDeployment(store, on_hold(older_than="14d"))
    almost.client.flushdb()
    number = tickets(almost, 1)
    almost.now += 14 * DAY - HOUR
    almost.run_tasks()
    (result,) = almost.work()
    (verdict,) = result.plan.verdicts  # type: ignore[union-attr]
    assert tagged(almost, number) == []
    assert verdict.reason == "the ticket was changed 13 d ago, less than 14 d"


def test_all_pages_are_searched_before_the_first_ticket_is_handled(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    numbers = tickets(world, 8)
    world.run_tasks()
    world.settle_down()

    assert tagged(world, numbers) == numbers


def test_a_search_takes_a_limited_number_of_tickets(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MOST", 6)
    world = SimulatedDeployment(store, on_hold())
    tickets(world, 7)

    (ended,) = world.run_tasks()

    assert (ended.put, ended.cut) == (6, True)
    assert (state(world).enqueued, state(world).truncated) == (6, True)
    assert world.client.zcard(P + "schedule") == 6
    assert world.client.exists(P + "matches:stale.close") == 0


def test_a_ticket_whose_event_still_waits_gets_no_second_one(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    (number,) = tickets(world, 1)
    world.run_tasks()
    world.now += HOUR
    (_ended,) = world.run_tasks()

    assert world.client.llen(f"{P}lane:{number}") == 1
    assert state(world).enqueued == 0
    world.work()
    world.now += HOUR
    world.run_tasks()
    assert world.client.llen(f"{P}lane:{number}") == 1


def test_after_missed_periods_one_search_is_made(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    world.run_tasks()
    begun = state(world).scheduled_at
    world.now += 5 * HOUR + 60_000

    assert len(world.run_tasks()) == 1
    assert state(world).scheduled_at == begun + 5 * HOUR
    assert state(world).next == begun + 6 * HOUR


def test_only_one_worker_runs_a_task(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    tickets(world, 1)
    config, wanted = world.config, periodic_tasks(world.config.handlers)
    first = run_due_task(config, wanted, "one")
    step = next(first)
    step = first.send(world.perform(step))  # claimed; asks for a permit

    second = run_due_task(config, wanted, "two")
    with pytest.raises(StopIteration) as stop:
        second.send(world.perform(next(second)))
    assert stop.value.value == TaskResult(wait=config.call_ms + 30_000)

    world.now += config.call_ms + 30_000
    assert [each.put for each in world.run_tasks()] == [1]
    # A worker that comes back too late does nothing more.
    ended = None
    try:
        while True:
            step = first.send(world.perform(step))
    except StopIteration as stop_:
        ended = stop_.value
    assert ended == TaskResult()
    assert world.client.llen(f"{P}lane:1") == 1


Moment = Callable[[SimulatedDeployment, Callable[[Step], None]], None]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_may_die_at_every_step(store: redis.Redis, moment: str) -> None:
    def play(die: int | None) -> tuple[list[str], list[int], int]:
        store.flushdb()
        world = SimulatedDeployment(store, on_hold())
        numbers = tickets(world, 5)
        steps: list[str] = []

        def point(step: Any, result: Any = None) -> Any:
            steps.append(step.name if isinstance(step, Script) else "call")
            if die == len(steps) - 1:
                raise Crash
            return result

        setattr(world, moment, point)
        try:
            world.run_tasks()
        except Crash:
            world.now += world.config.call_ms + 30_000
            world.run_tasks()
        world.before, world.after = (lambda step: None), (lambda step, result: result)
        events = sum(store.llen(f"{P}lane:{number}") for number in numbers)
        world.settle_down()
        return steps, tagged(world, numbers), events

    steps, whole, events = play(None)
    assert (len(whole), events) == (5, 5)
    assert {"claim_task", "permit", "call", "release", "add_matches", "enqueue_matches"} <= set(steps)
    for place in range(len(steps)):
        assert play(place)[1:] == (whole, 5), f"died {moment} step {place}, {steps[place]}"


def test_every_script_may_run_twice(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    numbers = tickets(world, 5)

    def repeat(step: Any) -> None:
        if isinstance(step, Script):
            world.store.run(step)

    world.before = repeat
    world.run_tasks()

    assert [store.llen(f"{P}lane:{number}") for number in numbers] == [1] * 5


def test_a_lockout_costs_no_call_and_the_search_resumes_where_it_was(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    numbers = tickets(world, 5)
    calls: list[str] = []

    def count(step: Any, result: Any) -> Any:
        if isinstance(step, Call):
            calls.append(str(step.request.query["page"]))
            if len(calls) == 2:
                return Answer(429, {}, b"")
        return result

    world.after = count
    world.run_tasks()
    assert calls == ["1", "2"]
    for _ in range(60):  # ten minutes
        world.now += 10_000
        assert world.run_next_task().put == 0
        if len(calls) > 2:
            break
    world.now += 60_000
    world.run_tasks()

    assert calls == ["1", "2", "2"]
    world.after = lambda step, result: result
    world.settle_down()
    assert tagged(world, numbers) == numbers


def test_without_budget_it_waits_for_its_permit(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold(), budget=Budget(1, 300, 60.0, 600.0, 1.0, 8))
    tickets(world, 4)
    (first,) = [each for each in [world.run_next_task()] if each.name]
    assert first.put == 0
    world.now += 61_000
    assert [each.put for each in world.run_tasks()] == [4]


@pytest.mark.parametrize(
    ("answer", "why", "again"),
    [
        (Answer(400, {}, b'{"q": "no such term"}'), "correct find", HOUR),
        (Answer(403, {}, b""), "run `foxhooks doctor`", HOUR),
        (Answer(500, {}, b""), "", 60_000),
        (Answer(200, {}, b"<html>"), "", 60_000),
    ],
)
def test_a_rejected_search_waits_for_the_next_period_a_failed_one_for_a_minute(
    store: redis.Redis, answer: Answer, why: str, again: int
) -> None:
    world = SimulatedDeployment(store, on_hold())
    numbers = tickets(world, 1)
    world.after = lambda step, result: answer if isinstance(step, Call) else result

    (ended,) = world.run_tasks()
    assert why in ended.why
    assert state(world).why == ended.why
    assert ended.why
    world.now += again - 1
    assert world.run_tasks() == []
    world.after = lambda step, result: result
    world.now += 1
    world.run_tasks()
    world.work()
    assert tagged(world, numbers) == numbers
    assert state(world).why == ""


def test_in_a_dry_run_nothing_is_sent(store: redis.Redis) -> None:
    calls: list[int] = []
    world = SimulatedDeployment(store, on_hold(calls), dry_run=True)
    numbers = tickets(world, 2)
    world.run_tasks()
    world.work()
    assert calls == numbers
    assert tagged(world, numbers) == []


def test_a_corrupt_lane_affects_its_own_ticket_only(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    first, second = tickets(world, 2)
    store.set(f"{P}lane:{first}", "corrupt")
    world.run_tasks()
    assert store.llen(f"{P}lane:{second}") == 1


def test_the_state_of_a_task_that_no_longer_exists_is_deleted(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, on_hold())
    world.run_tasks()
    store.hset(P + "periodic_tasks", "gone.handler", store.hget(P + "periodic_tasks", "stale.close"))
    world.now += 31 * DAY
    world.run_tasks()
    assert store.hkeys(P + "periodic_tasks") == [b"stale.close"]


def test_names_are_checked_daily_and_sooner_in_doubt(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, Router("empty"))
    told = ["rules.toml, line 3: when.status: no status 'Nwe' in demo; did you mean 'New'?"]
    asked: list[int] = []

    def check(directory: Directory) -> list[str]:
        asked.append(directory.status("New"))
        return told

    world.check = check
    (ended,) = world.run_tasks()
    assert ended.new_findings == tuple(told)
    assert state(world, ":names").findings == tuple(told)
    world.now += DAY - 1
    assert world.run_tasks() == []
    world.now += 1
    (ended,) = world.run_tasks()
    assert ended.new_findings == ()
    assert state(world, ":names").findings == tuple(told)
    told.clear()

    def doubted() -> TaskResult:
        wanted = periodic_tasks(world.config.handlers, check)
        return world.play(run_due_task(world.config, wanted, world.nonce(), doubted=True))

    assert doubted().name == ""
    world.now += 600_000
    assert doubted().name == ":names"
    assert state(world, ":names").findings == ()
    assert len(asked) == 3


def test_a_broken_answer_postpones_the_check_of_names(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, Router("empty"))
    world.check = lambda directory: []
    world.simulator.faults.add(ApiFault("status", status=500))
    (ended,) = world.run_tasks()
    assert ended.why
    world.now += 60_000
    (ended,) = world.run_tasks()
    assert not ended.why
    assert msgspec.json.decode(untyped(store).hget(P + "periodic_tasks", ":names"))["phase"] == "done"


@pytest.mark.parametrize(
    "junk",
    [
        "junk",
        "[]",
        '{"phase":"search"}',
        '{"scheduled_at":"x","period":1,"phase":"done"}',
        '{"scheduled_at":0,"period":3600000,"phase":"search","locked_until":0,"memo":17}',
        '{"scheduled_at":0,"period":3600000,"phase":"search","locked_until":null,"page":"one"}',
    ],
)
def test_a_state_that_cannot_be_read_stops_no_task(store: redis.Redis, junk: str) -> None:
    world = SimulatedDeployment(store, on_hold())
    (number,) = tickets(world, 1)
    store.hset(P + "periodic_tasks", "stale.close", junk)
    store.hset(P + "periodic_tasks", "another.task", junk)
    world.run_tasks()
    world.now += 2 * HOUR
    world.run_tasks()
    world.settle_down()
    assert tagged(world, [number]) == [number]
