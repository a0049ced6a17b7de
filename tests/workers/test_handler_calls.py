"""Handlers in threads: their external effects are in doubt after a timeout and not made after a freeze."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import redis

from tests.support.happyfox import connect_to
from tests.support.stores import untyped
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.engine.plan import DeadLetter
from workers.engine.turn import TurnResult
from workers.errors import NotNow
from workers.logs import init_logging
from workers.plugins.invoke import Decide, Decision, Failure
from workers.runner import AccountRuntime, InvocationRunner
from workers.settings import load
from workers.store.lanes import ClaimedLane
from workers.store.leases import Leases
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.timeouts import HandlerTimeouts

P = f"foxhooks:{{{ACCOUNT}}}:"


class Threads(SimulatedDeployment):
    """A world whose handlers run as in a worker process, each in a thread with a time limit."""

    def __init__(self, client: "redis.Redis", *routers: Router, seconds: float = 5.0, **config: Any) -> None:
        super().__init__(client, *routers, **config)
        self.leases = Leases(self.store, self.lease / 1000, lambda: self.now / 1000, "w", lambda: None)
        self.stopping = False
        connection = connect_to("https://demo.happyfox.com", self.governor, self.store, timeout=1.0)
        timeouts = HandlerTimeouts(seconds, lambda: self.stopping)
        account = AccountRuntime(self.config, connection)
        self.invocations = InvocationRunner(account, self.store, self.leases, timeouts)
        self.simulator.create_ticket()
        self.deliver()

    def drive(self, lane: ClaimedLane) -> TurnResult:
        self._lane = lane
        self.leases.add(lane, self.now / 1000)
        return super().drive(lane)

    def decide(self, step: Decide) -> Decision | Failure:
        return self.invocations.run(self._lane, step)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Release everything that hangs at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def clerk(handle: Callable[[Ticket, Context], object]) -> Router:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, ctx)

    return router


def reasons(store: Any) -> list[str]:
    return [
        store.hget(f"{P}dead_letter:{id.decode()}", "evidence").decode()
        for id in store.zrange(f"{P}dead_letters", 0, -1)
    ]


def test_an_external_effect_runs_in_the_handlers_thread_and_returns_its_value(store: redis.Redis) -> None:
    names: list[str] = []

    def add() -> int:
        names.append(threading.current_thread().name)
        return 7

    def file(ticket: Ticket, ctx: Context) -> None:
        names.append(threading.current_thread().name)
        ticket.note(str(ctx.effect("add", add)))

    world = Threads(store, clerk(file))
    world.work()

    assert names == ["handler", "handler"]
    assert "'text': '7" in str(world.ticket(1)["updates"])


def test_a_call_that_outlives_its_handler_is_in_doubt(store: redis.Redis, release: threading.Event) -> None:
    calls: list[int] = []

    def add() -> None:
        calls.append(1)
        release.wait(20)

    world = Threads(store, clerk(lambda ticket, ctx: ctx.effect("add", add)), seconds=0.1)
    world.work()

    assert calls == [1]
    assert "HandlerTimeout: ran longer than 0.1 s (FOXHOOKS_HANDLER_SECONDS);" in reasons(store)[0]
    assert "effect 'add' may or may not have happened" in reasons(store)[0]


def test_a_call_that_outlives_its_handler_is_looked_up_if_possible(
    store: redis.Redis, release: threading.Event
) -> None:
    calls: list[int] = []

    def add() -> int:
        calls.append(1)
        release.wait(20)
        return 7

    router = clerk(lambda ticket, ctx: ticket.note(f"lead {ctx.effect('add', add, lambda: len(calls) or None)}"))
    world = Threads(store, router, seconds=0.1)
    world.settle_down(step=5_000)

    assert (calls, reasons(store)) == ([1], [])
    assert "lead 1" in str(world.ticket(1)["updates"])


def test_a_process_that_was_frozen_makes_no_call(store: redis.Redis) -> None:
    calls: list[int] = []
    world = Threads(store, clerk(lambda ticket, ctx: ctx.effect("add", lambda: calls.append(1))))
    lane = world.claim()
    assert lane is not None
    run = world.store.run

    def freeze(script: Any) -> Any:
        answer = run(script)
        if script.name == "external":
            world.now += world.lease
        return answer

    world.store.run = freeze  # type: ignore[method-assign]
    assert world.drive(lane).end == "lost"
    assert calls == []


def test_a_stopping_worker_starts_no_effect(store: redis.Redis) -> None:
    calls: list[int] = []
    world = Threads(store, clerk(lambda ticket, ctx: ctx.effect("add", lambda: calls.append(1))))
    world.stopping = True
    lane = world.claim()
    assert lane is not None

    assert world.drive(lane).end == "parked"
    assert calls == []


def test_an_effect_cannot_be_made_from_another_thread_or_after_the_run(store: redis.Redis) -> None:
    errors: list[str] = []
    kept: list[Context] = []

    def attempt(ctx: Context) -> None:
        try:
            ctx.effect("add", lambda: None)
        except RuntimeError as error:
            errors.append(str(error))

    def file(ticket: Ticket, ctx: Context) -> None:
        kept.append(ctx)
        thread = threading.Thread(target=attempt, args=(ctx,))
        thread.start()
        thread.join()

    Threads(store, clerk(file)).work()
    attempt(kept[0])

    assert errors == [
        "ctx works only in the thread that its handler runs in",
        "this ctx was used after its handler returned; use it only inside the handler",
    ]


def test_a_denied_permit_parks_the_lane_even_if_the_handler_swallows_it(store: redis.Redis) -> None:
    def file(ticket: Ticket, ctx: Context) -> None:
        for _ in range(2):
            try:
                ctx.happyfox.ticket(1)
            except BaseException as error:
                swallowed.append(type(error))

    swallowed: list[type[BaseException]] = []
    world = Threads(store, clerk(file))

    def close(step: Any) -> None:
        if isinstance(step, Decide):
            store.hset(f"{P}gate", mapping={"state": "locked", "until": world.now + 60_000, "epoch": 1})

    world.before = close
    assert [result.end for result in world.work()] == ["parked"]
    assert swallowed == [NotNow, NotNow]


class Busy(Retry):
    """A class of a handler's author, with attributes of its own."""

    def __init__(self, reason: Any, after: Any = None) -> None:
        self.reason, self.after = reason, after


class Hopeless(GiveUp):
    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda: Retry("wait", after=float("inf")), "Retry: after=inf is too long; the maximum is 366d"),
        (lambda: Retry("wait", after="soon"), "Retry: after='soon' is not a duration; write it as 90s, 10m or 2h"),
        (lambda: Busy("wait", after="1e300d"), "Retry: after='1e300d' is too long; the maximum is 366d"),
        (lambda: GiveUp(cast(str, 5)), "5"),
        (lambda: GiveUp(cast(str, None)), "GiveUp"),
        (lambda: GiveUp(cast(str, ValueError("no such lead"))), "no such lead"),
        (lambda: GiveUp("half \ud83d"), "half ?"),
        (lambda: GiveUp("x" * 5_000), "x" * 1_000 + "…"),
        (Hopeless, "Hopeless"),
    ],
)
def test_a_handler_that_fails_in_an_unusual_way_does_not_end_the_turn(
    store: redis.Redis, error: Callable[[], Exception], reason: str
) -> None:
    def fails(ticket: Ticket, ctx: Context) -> None:
        raise error()

    world = Threads(store, clerk(fails))
    assert [result.end for result in world.work()] == ["settled"]
    assert [dead_letter.reason for dead_letter in dead_letters(store)] == [reason]


def test_a_reason_that_is_not_text_is_converted_at_each_retry(store: redis.Redis) -> None:
    def fails(ticket: Ticket, ctx: Context) -> None:
        raise Busy(None)

    world = Threads(store, clerk(fails))
    assert [result.end for result in world.work()] == ["settled"]
    world.now += 7_000
    assert [result.end for result in world.work()] == ["settled"]
    assert not dead_letters(store)


def dead_letters(store: "redis.Redis") -> list[DeadLetter]:
    ids = [each.decode() for each in untyped(store).zrange(f"{P}dead_letters", 0, -1)]
    return [
        msgspec.json.decode(untyped(store).hget(f"{P}dead_letter:{each}", "evidence"), type=DeadLetter) for each in ids
    ]


def raising(ticket: Ticket, ctx: Context) -> None:
    look_up(ticket.contact.email)


def look_up(email: str) -> None:
    raise LookupError(f"nobody is {email}")


def failed(store: redis.Redis, shown: bool) -> dict[str, Any]:
    """Let a handler fail until its dead letter; return the evidence."""
    world = Threads(store, clerk(raising), show_errors=shown)
    world.settle_down(7_200_000, step=60_000)
    return cast(dict[str, Any], msgspec.json.decode(reasons(store)[0]))


@pytest.mark.parametrize("shown", [False, True])
def test_the_text_of_an_exception_is_shown_only_on_request(store: redis.Redis, shown: bool) -> None:
    evidence = failed(store, shown)
    place = "LookupError at test_handler_calls.py:"
    assert evidence["reason"].startswith(place)
    assert ("nobody is" in evidence["reason"]) is shown
    assert ("nobody is" in str(evidence["first_error"])) is shown


def test_a_dead_letter_has_the_frames_of_the_plug_in_and_no_values(store: redis.Redis) -> None:
    frames = failed(store, shown=False)["traceback"]
    assert [frame.rpartition(" ")[2] for frame in frames] == ["file", "raising", "look_up"]
    assert all(frame.startswith("tests/workers/test_handler_calls.py:") for frame in frames)


@pytest.mark.parametrize(("level", "engine"), [("INFO", False), ("DEBUG", True)])
@pytest.mark.parametrize("style", ["console", "json"])
def test_the_log_shows_the_plug_ins_frames_and_the_engines_on_debug(
    store: redis.Redis,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    engine: bool,
    style: str,
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    init_logging(load("store", {"LOG_LEVEL": level, "LOG_FORMAT": style, "REDIS_URL": "redis://127.0.0.1"}, Path("/")))
    world = Threads(store, clerk(raising), show_errors=True)
    world.work()
    err = capsys.readouterr().err
    found = [line for line in err.splitlines() if "Handler failed" in line]
    assert len(found) == 1
    assert ("workers/timeouts.py" in err) is engine
    assert "nobody is" in found[0]
    if style == "console":
        after = err.partition(found[0])[2].splitlines()
        assert after[1].strip().startswith("tests/workers/test_handler_calls.py:")
    else:
        assert json.loads(found[0])["traceback"][-1].endswith(" in look_up")
