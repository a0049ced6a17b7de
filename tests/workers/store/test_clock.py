"""A store that can no longer be trusted closes the gates for one window."""

import logging
from collections.abc import Callable

import pytest
import redis

from tests.support import stores
from workers.errors import StoreUnavailable
from workers.settings import Budget
from workers.store.client import Store, connect
from workers.store.clock import Watch, monotonic
from workers.store.keys import Keys
from workers.store.permits import Governor

GOVERNORS = [Governor(name, Budget(10, 10, 60, 600, 1.0, 8)) for name in ("acme", "beta")]


class Host:
    """The machine of a worker, whose clock differs from the store's by `offset` seconds."""

    offset = 0.0

    def clock(self) -> float:
        return monotonic() + self.offset


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def watch(store: redis.Redis, host: Host) -> Watch:
    return Watch(Store(store), GOVERNORS, durable=False, clock=host.clock)


def gates(store: redis.Redis) -> set[str]:
    return {Store(store).run(governor.forecast()).gate for governor in GOVERNORS}


def born(store: redis.Redis, at: int = 1) -> None:
    for governor in GOVERNORS:
        store.set(Keys(governor.account).store_epoch, at)


def test_an_undisturbed_store_is_trusted(watch: Watch, store: redis.Redis) -> None:
    born(store)
    assert [watch.check() for _ in range(20)] == [""] * 20
    assert gates(store) == {"open"}


@pytest.mark.parametrize("jump", [-3600.0, -0.5, 0.5, 3600.0])
def test_a_clock_that_was_set_closes_all_gates_once(
    watch: Watch, host: Host, store: redis.Redis, jump: float, caplog: pytest.LogCaptureFixture
) -> None:
    watch.check()
    host.offset = jump
    assert "clock" in watch.check()
    assert gates(store) == {"locked"}
    assert watch.check() == ""
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_small_step_of_the_clock_is_covered_by_the_guard(watch: Watch, host: Host, store: redis.Redis) -> None:
    watch.check()
    host.offset = 0.02
    assert watch.check() == ""


def test_a_fresh_process_that_finds_a_fresh_store_does_not_wait(watch: Watch, store: redis.Redis) -> None:
    assert watch.check() == ""
    born(store)
    assert watch.check() == ""
    assert gates(store) == {"open"}


@pytest.mark.parametrize("lose", [redis.Redis.flushall, lambda store: born(store, 2)])
def test_an_emptied_or_replaced_store_closes_all_gates(
    watch: Watch, store: redis.Redis, lose: Callable[[redis.Redis], None]
) -> None:
    born(store)
    watch.check()
    lose(store)
    assert "emptied" in watch.check()
    assert gates(store) == {"locked"}


@pytest.mark.parametrize(("durable", "gate"), [(False, "locked"), (True, "open")])
def test_a_restart_closes_the_gates_unless_everything_is_on_disk(store: redis.Redis, durable: bool, gate: str) -> None:
    ours = Store(store)
    watch = Watch(ours, GOVERNORS, durable)
    watch.check()
    with stores.running("valkey") as url, redis.Redis.from_url(url) as other:
        ours.close()
        ours.client = other
        assert bool(watch.check()) is not durable
        assert gates(other) == {gate}


def test_a_store_that_does_not_answer_is_unavailable(tmp_path: object) -> None:
    with connect(f"unix://{tmp_path}/nobody") as client, pytest.raises(StoreUnavailable):
        Watch(Store(client), GOVERNORS, durable=False).check()
