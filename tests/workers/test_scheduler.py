"""Rounds in a worker process: what they tell, how they end, when they look again. The wire is a script of answers."""

import logging
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from workers.engine.schedules import PeriodicTasks, TaskResult, run_due_task
from workers.engine.steps import drive
from workers.errors import StoreUnavailable
from workers.happyfox.messages import Answer
from workers.plugins.router import Schedule
from workers.runner import AccountRuntime
from workers.scheduler import LOOK, Scheduler
from workers.settings import Budget
from workers.testing.desk import ACCOUNT, World

P = f"foxhooks:{{{ACCOUNT}}}:"
SEARCH = PeriodicTasks((("stale.close", Schedule(3_600_000, "tag:x")),))
FOUND = Answer(200, {}, b"[3, 4]")


def made(world: World, answers: list[Answer], tasks: PeriodicTasks = SEARCH) -> Scheduler:
    wire = SimpleNamespace(send=lambda request, **_: answers.pop(0))
    return Scheduler(AccountRuntime(world.config, cast(Any, wire)), world.store, tasks)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(each.levelname, f"{each.getMessage()} {getattr(each, 'reason', '')}".strip()) for each in caplog.records]


def test_it_takes_what_is_due_and_looks_again_soon(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "workers.scheduler")
    world = World(store)
    assert made(world, [FOUND]).work() == LOOK
    assert lines(caplog) == [("INFO", "Schedule matched tickets")]
    assert store.llen(f"{P}lane:3") == store.llen(f"{P}lane:4") == 1
    world.now += 3_595_000
    assert made(world, []).work() == 5.0


def test_a_search_that_is_refused_is_told_once_by_each_process(
    store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(store)
    rounds = made(world, [Answer(400, {}, b'{"q": "what?"}')] * 3)
    for _ in range(3):
        rounds.work()
        world.now += 3_600_000
    (told,) = lines(caplog)
    assert told[0] == "WARNING"
    assert "correct find" in told[1]
    assert "what?" not in told[1]


def test_unknown_names_are_told_once(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    world = World(store)
    tasks = PeriodicTasks((), lambda directory: ["no status 'Nwe'"])
    lists = [Answer(200, {}, b"[]")] * 5
    for _ in range(2):
        made(world, lists.copy(), tasks).work()
        world.now += 86_400_000
    assert lines(caplog) == [("WARNING", "A name in use is unknown to HappyFox no status 'Nwe'")]


def test_a_refused_write_has_the_names_looked_at_soon(store: redis.Redis) -> None:
    world, looks = World(store), []

    def check(directory: object) -> list[str]:
        looks.append(world.now)
        return []

    rounds = made(world, [Answer(200, {}, b"[]")] * 10, PeriodicTasks((), check))
    rounds.work()
    world.now += 600_000
    rounds.work()
    assert len(looks) == 1
    rounds.doubt()
    rounds.work()
    assert len(looks) == 2


def test_a_look_that_had_to_wait_for_its_permit_leaves_the_doubt(store: redis.Redis) -> None:
    world, looks = World(store, budget=Budget(1, 1, 60.0, 600.0, 1.0, 8)), []

    def check(directory: object) -> list[str]:
        looks.append(world.now)
        return []

    rounds = made(world, [Answer(200, {}, b"[]")] * 5, PeriodicTasks((), check))
    for _ in range(6):  # one list in a window
        rounds.work()
        world.now += 61_000
    assert len(looks) == 1
    assert not cast(Any, rounds)._doubted


def test_an_end_before_the_first_step_is_no_failure(store: redis.Redis) -> None:
    rounds = made(World(store), [])
    rounds.stop()
    ended = drive(run_due_task(World(store).config, SEARCH, "token"), cast(Any, rounds)._perform)
    assert ended == TaskResult()
    assert not store.exists(P + "periodic_tasks")


def test_the_end_of_the_worker_gives_the_round_back_at_once(store: redis.Redis) -> None:
    world = World(store)
    rounds = made(world, [])
    wire = cast(Any, rounds)._wire

    def send(request: object, **_: object) -> Answer:
        rounds.stop()
        return FOUND

    wire.send = send
    rounds.work()
    assert not store.exists(f"{P}lane:3")
    assert made(world, [FOUND]).work() == LOOK
    assert store.llen(f"{P}lane:3") == 1


def test_the_thread_outlives_a_store_that_is_away_and_what_nobody_foresaw(
    store: redis.Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.scheduler.REST", 0.0)
    rounds, ends = made(World(store), []), threading.Event()
    troubles: list[Exception] = [StoreUnavailable("away"), RuntimeError("odd")]

    def work() -> float:
        if troubles:
            raise troubles.pop(0)
        ends.set()
        return LOOK

    monkeypatch.setattr(rounds, "work", work)
    rounds.start()
    assert ends.wait(10)
    rounds.stop()
    assert lines(caplog) == [("ERROR", "Periodic task failed; it continues when its lease expires")]


def test_without_anything_to_do_there_is_no_thread(store: redis.Redis) -> None:
    before = threading.active_count()
    made(World(store), [], PeriodicTasks(())).start()
    assert threading.active_count() == before
