"""Handler timeouts: results and exceptions are passed on, and a handler that takes too long is abandoned."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from workers.errors import NotNow
from workers.timeouts import HandlerTimeout, HandlerTimeouts


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Release everything that hangs at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def never() -> bool:
    return False


def test_the_result_of_a_handler_is_returned() -> None:
    assert HandlerTimeouts(5, never).run(lambda: 7) == 7


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, RecursionError])
def test_the_exception_of_a_handler_is_raised(error: type[BaseException]) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(error):
        HandlerTimeouts(5, never).run(fails)


def test_a_handler_over_its_limit_is_abandoned_and_the_next_one_runs(release: threading.Event) -> None:
    timeouts = HandlerTimeouts(0.05, never)
    with pytest.raises(HandlerTimeout, match=r"ran longer than 0\.05 s"):
        timeouts.run(release.wait)
    assert timeouts.run(lambda: "next") == "next"


def test_a_handler_in_an_endless_loop_is_stopped() -> None:
    thread: list[threading.Thread] = []

    def loops() -> None:
        thread.append(threading.current_thread())
        while True:
            time.sleep(0.001)

    with pytest.raises(HandlerTimeout):
        HandlerTimeouts(0.05, never).run(loops)
    thread[0].join(20)
    assert not thread[0].is_alive()


def test_engine_code_is_not_interrupted(release: threading.Event) -> None:
    timeouts, done = HandlerTimeouts(0.05, never), threading.Event()
    after: list[str] = []

    def read() -> None:
        while not release.wait(0.001):
            pass
        done.set()

    def handler() -> None:
        timeouts.run_engine(read)
        after.append("the handler continued")

    with pytest.raises(HandlerTimeout):
        timeouts.run(handler)
    release.set()
    assert done.wait(20)
    assert after == []


def test_an_abandoned_handler_cannot_run_engine_code(release: threading.Event) -> None:
    timeouts, ended = HandlerTimeouts(0.05, never), threading.Event()
    done: list[str] = []

    def handler() -> None:
        try:
            with contextlib.suppress(BaseException):
                release.wait()
                time.sleep(0)  # the exception is raised here
            timeouts.run_engine(lambda: done.append("by the engine"))
        finally:
            ended.set()

    with pytest.raises(HandlerTimeout):
        timeouts.run(handler)
    release.set()
    assert ended.wait(20)
    assert done == []


def test_a_handler_is_abandoned_soon_when_the_worker_is_stopping(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.timeouts.STOP_GRACE", 0.01)
    monkeypatch.setattr("workers.timeouts.POLL", 0.01)
    stopped = threading.Event()

    def handler() -> None:
        stopped.set()
        release.wait()

    with pytest.raises(NotNow, match="the worker is stopping"):
        HandlerTimeouts(600, stopped.is_set).run(handler)
