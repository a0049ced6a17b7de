"""The scheduler of an account: what it logs, how it stops, when it checks again."""

import logging
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from workers.engine.schedules import PeriodicTasks, TaskResult, run_due_task
from workers.engine.steps import drive
from workers.errors import StoreUnavailable
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer
from workers.plugins.router import Schedule
from workers.runner import AccountRuntime
from workers.scheduler import MAX_SLEEP, Scheduler
from workers.settings import Budget
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"
SEARCH = PeriodicTasks((("stale.close", Schedule(3_600_000, "tag:x")),))
FOUND = Answer(200, {}, b"[3, 4]")


def scheduler(world: SimulatedDeployment, answers: list[Answer], tasks: PeriodicTasks = SEARCH) -> Scheduler:
    """Return a scheduler whose connection returns these answers one by one."""
    connection = SimpleNamespace(send=lambda request, **_: answers.pop(0), take_answers=list)
    return Scheduler(AccountRuntime(world.config, cast(Any, connection)), world.store, tasks)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(each.levelname, f"{each.getMessage()} {getattr(each, 'reason', '')}".strip()) for each in caplog.records]


def test_due_tasks_run_and_the_next_check_is_soon(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "workers.scheduler")
    world = SimulatedDeployment(store)
    assert scheduler(world, [FOUND]).work() == MAX_SLEEP
    assert lines(caplog) == [("INFO", "Schedule matched tickets")]
    assert store.llen(f"{P}lane:3") == store.llen(f"{P}lane:4") == 1
    world.now += 3_595_000
    assert scheduler(world, []).work() == 5.0


def test_a_rejected_search_is_logged_once_per_process(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    world = SimulatedDeployment(store)
    tested = scheduler(world, [Answer(400, {}, b'{"q": "what?"}')] * 3)
    for _ in range(3):
        tested.work()
        world.now += 3_600_000
    (line,) = lines(caplog)
    assert line[0] == "WARNING"
    assert "correct find" in line[1]
    assert "what?" not in line[1]


def test_unknown_names_are_logged_once(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    world = SimulatedDeployment(store)
    tasks = PeriodicTasks((), lambda directory: ["no status 'Nwe'"])
    lists = [Answer(200, {}, b"[]")] * 5
    for _ in range(2):
        scheduler(world, lists.copy(), tasks).work()
        world.now += 86_400_000
    assert lines(caplog) == [("WARNING", "HappyFox does not know a name in use no status 'Nwe'")]


def test_only_the_lists_that_a_check_needs_are_read(store: redis.Redis) -> None:
    checks: list[Directory] = []
    tasks = PeriodicTasks((), lambda directory: checks.append(directory) or [], ("staff",))  # type: ignore[func-returns-value]
    answers = [Answer(200, {}, b'[{"id": 7, "name": "Ada King", "active": true}]')]
    scheduler(SimulatedDeployment(store), answers, tasks).work()
    assert (checks[0].staff_member(7), answers) == (7, [])


def test_after_a_rejected_write_the_names_are_checked_soon(store: redis.Redis) -> None:
    world, checks = SimulatedDeployment(store), []

    def check(directory: object) -> list[str]:
        checks.append(world.now)
        return []

    tested = scheduler(world, [Answer(200, {}, b"[]")] * 10, PeriodicTasks((), check))
    tested.work()
    world.now += 600_000
    tested.work()
    assert len(checks) == 1
    tested.check_names_soon()
    tested.work()
    assert len(checks) == 2


def test_a_check_of_names_that_waits_for_a_permit_is_finished_later(store: redis.Redis) -> None:
    world, checks = SimulatedDeployment(store, budget=Budget(1, 1, 60.0, 600.0, 1.0, 8)), []

    def check(directory: object) -> list[str]:
        checks.append(world.now)
        return []

    tested = scheduler(world, [Answer(200, {}, b"[]")] * 5, PeriodicTasks((), check))
    for _ in range(6):  # one list in a window
        tested.work()
        world.now += 61_000
    assert len(checks) == 1
    assert not cast(Any, tested)._names_doubted


def test_stopping_before_the_first_step_is_not_a_failure(store: redis.Redis) -> None:
    tested = scheduler(SimulatedDeployment(store), [])
    tested.stop()
    ended = drive(run_due_task(SimulatedDeployment(store).config, SEARCH, "token"), cast(Any, tested)._perform)
    assert ended == TaskResult()
    assert not store.exists(P + "periodic_tasks")


def test_a_stopping_worker_releases_its_task_at_once(store: redis.Redis) -> None:
    world = SimulatedDeployment(store)
    tested = scheduler(world, [])
    connection = cast(Any, tested)._connection

    def send(request: object, **_: object) -> Answer:
        tested.stop()
        return FOUND

    connection.send = send
    tested.work()
    assert not store.exists(f"{P}lane:3")
    assert scheduler(world, [FOUND]).work() == MAX_SLEEP
    assert store.llen(f"{P}lane:3") == 1


def test_the_thread_survives_store_failures_and_unexpected_errors(
    store: redis.Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.scheduler.RETRY_DELAY", 0.0)
    tested, ends = scheduler(SimulatedDeployment(store), []), threading.Event()
    troubles: list[Exception] = [StoreUnavailable("away"), RuntimeError("odd")]

    def work() -> float:
        if troubles:
            raise troubles.pop(0)
        ends.set()
        return MAX_SLEEP

    monkeypatch.setattr(tested, "work", work)
    tested.start()
    assert ends.wait(10)
    tested.stop()
    assert lines(caplog) == [("ERROR", "Periodic task failed; it continues when its lease expires")]


def test_without_tasks_there_is_no_thread(store: redis.Redis) -> None:
    before = threading.active_count()
    scheduler(SimulatedDeployment(store), [], PeriodicTasks(())).start()
    assert threading.active_count() == before
