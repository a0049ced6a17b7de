"""A handler's time: what it gives and raises comes through, and one that takes too long is left behind."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from workers.errors import NotNow
from workers.timeouts import HandlerTimeout, HandlerTimeouts


@pytest.fixture
def going_on() -> Iterator[threading.Event]:
    """Lets everything that hangs go on at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def never() -> bool:
    return False


def test_what_a_handler_gives_comes_through() -> None:
    assert HandlerTimeouts(5, never).run(lambda: 7) == 7


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, RecursionError])
def test_what_a_handler_raises_comes_through(error: type[BaseException]) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(error):
        HandlerTimeouts(5, never).run(fails)


def test_a_handler_over_its_limit_is_left_behind_and_the_next_one_runs(going_on: threading.Event) -> None:
    timeouts = HandlerTimeouts(0.05, never)
    with pytest.raises(HandlerTimeout, match=r"ran longer than 0\.05 s"):
        timeouts.run(going_on.wait)
    assert timeouts.run(lambda: "next") == "next"


def test_a_handler_that_runs_in_circles_is_stopped() -> None:
    thread: list[threading.Thread] = []

    def circles() -> None:
        thread.append(threading.current_thread())
        while True:
            time.sleep(0.001)

    with pytest.raises(HandlerTimeout):
        HandlerTimeouts(0.05, never).run(circles)
    thread[0].join(20)
    assert not thread[0].is_alive()


def test_the_engines_own_code_is_not_broken_off(going_on: threading.Event) -> None:
    timeouts, done = HandlerTimeouts(0.05, never), threading.Event()
    after: list[str] = []

    def read() -> None:
        while not going_on.wait(0.001):
            pass
        done.set()

    def handler() -> None:
        timeouts.engine(read)
        after.append("the handler went on")

    with pytest.raises(HandlerTimeout):
        timeouts.run(handler)
    going_on.set()
    assert done.wait(20)
    assert after == []


def test_a_handler_that_was_left_behind_can_have_nothing_done_any_more(going_on: threading.Event) -> None:
    timeouts, ended = HandlerTimeouts(0.05, never), threading.Event()
    done: list[str] = []

    def handler() -> None:
        try:
            with contextlib.suppress(BaseException):
                going_on.wait()
                time.sleep(0)  # here it is stopped
            timeouts.engine(lambda: done.append("by the engine"))
        finally:
            ended.set()

    with pytest.raises(HandlerTimeout):
        timeouts.run(handler)
    going_on.set()
    assert ended.wait(20)
    assert done == []


def test_a_handler_is_given_up_when_the_worker_ends(going_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.timeouts.GRACE", 0.01)
    monkeypatch.setattr("workers.timeouts.LOOK", 0.01)
    stopped = threading.Event()

    def handler() -> None:
        stopped.set()
        going_on.wait()

    with pytest.raises(NotNow, match="the worker ends"):
        HandlerTimeouts(600, stopped.is_set).run(handler)
