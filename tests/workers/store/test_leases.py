"""The thread of leases also watches the store; what goes wrong with the one does not stop the other."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.stores import untyped
from workers.errors import StoreUnavailable
from workers.settings import Budget
from workers.store.client import Store
from workers.store.clock import Watch, monotonic
from workers.store.inbox import accept, receive
from workers.store.keys import WORKERS, Keys
from workers.store.lanes import ClaimConfig, ClaimedLane, claim
from workers.store.leases import STUCK_AFTER, Leases, life_file, local_workers
from workers.store.permits import Governor
from workers.webhook import parse

BODY = b'{"ticket_id": 3}'
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


def test_a_worker_shows_life_on_its_machine_while_the_store_is_away(
    store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def unreachable() -> None:
        raise StoreUnavailable("it is away")

    with running(store, unreachable):
        wait(lambda: os.getpid() in local_workers())
        os.utime(life_file(os.getpid()), (0, 0))
        wait(lambda: local_workers()[os.getpid()] < STUCK_AFTER)
    assert not life_file(os.getpid()).exists()


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


def forbid(store: redis.Redis) -> None:
    untyped(store).execute_command("ACL", "SETUSER", "app", "resetkeys", "~{foxhooks}:*", "~foxhooks:{beta}:*")


def corrupt(store: redis.Redis) -> None:
    store.set(Keys("acme").leases, "x")


@pytest.mark.parametrize("spoil", [forbid, corrupt])
def test_an_account_that_cannot_be_renewed_does_not_keep_others_from_it(
    store: redis.Redis, valkey_url: str, spoil: Callable[[redis.Redis], None]
) -> None:
    rules = ("reset", "on", "nopass", "+@all", "~*")
    untyped(store).execute_command("ACL", "SETUSER", "app", *rules)
    with redis.Redis.from_url(valkey_url, username="app", password="") as client, Store(client) as scripts:
        leases = Leases(scripts, 15.0, monotonic, "worker-1", lambda: None)
        for account in ("acme", "beta"):
            scripts.run(accept(account, [receive(parse(BODY), BODY)], keep=60))
            config = ClaimConfig(account, lease=15_000, read=True, budget=GOVERNOR.budget, life=20_000)
            lane = scripts.run(claim(config, "n"))
            assert isinstance(lane, ClaimedLane)
            leases.add(lane, monotonic())
        before = store.zscore(Keys("beta").schedule, "3")
        spoil(store)

        def renewed() -> bool:
            leases.renew()
            return store.zscore(Keys("beta").schedule, "3") != before

        wait(renewed)
    assert store.hlen(WORKERS) == 1
    store.acl_deluser("app")
