"""The thread of leases also watches the store; what goes wrong with the one does not stop the other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from workers.settings import Budget
from workers.store.client import Store
from workers.store.clock import Watch, monotonic
from workers.store.keys import WORKERS, Keys
from workers.store.leases import Leases
from workers.store.permits import Governor

GOVERNOR = Governor("acme", Budget(10, 10, 60, 600, 1.0, 8))


class Host:
    """The machine of a worker, whose clock differs from the store's by `offset` seconds."""

    offset = 0.0

    def clock(self) -> float:
        return monotonic() + self.offset


@contextmanager
def running(store: redis.Redis, watch: Callable[[], object]) -> Iterator[None]:
    leases = Leases(Store(store), 0.3, monotonic, "worker-1", watch)
    leases.start()
    try:
        yield
    finally:
        leases.stop()


def wait(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.01)


def gate(store: redis.Redis) -> str:
    return Store(store).run(GOVERNOR.forecast()).gate


def test_a_clock_that_jumps_under_a_worker_closes_the_gate_for_a_window(store: redis.Redis) -> None:
    host = Host()
    watch = Watch(Store(store), [GOVERNOR], durable=True, clock=host.clock)
    looks: list[str] = []
    with running(store, lambda: looks.append(watch.check())):
        wait(lambda: len(looks) > 2)
        assert gate(store) == "open", "a worker that finds a fresh store does not wait"
        host.offset = 5.0
        wait(lambda: gate(store) == "locked")
    assert 59 < Store(store).run(GOVERNOR.forecast()).reopens <= 60.6
    assert sum(bool(look) for look in looks) == 1


def test_a_store_emptied_under_a_worker_closes_the_gate(store: redis.Redis) -> None:
    store.set(Keys(GOVERNOR.account).store_epoch, 1)
    watch = Watch(Store(store), [GOVERNOR], durable=True)
    looks: list[str] = []
    with running(store, lambda: looks.append(watch.check())):
        wait(lambda: looks)
        store.flushall()
        wait(lambda: gate(store) == "locked")


def test_a_failing_watch_does_not_stop_renewals(store: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("no look")

    with running(store, broken):
        wait(lambda: store.hexists(WORKERS, "worker-1"))
    assert "The store could not be checked" in caplog.text
