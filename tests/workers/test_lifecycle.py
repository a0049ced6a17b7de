"""A worker process: its clients only read, and it stops in order, however often it is told to."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import redis

from workers.happyfox.base import IN_HANDLER
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.leases import Leases
from workers.worker import Lifecycle, start


@pytest.fixture(autouse=True)
def _sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_second_sigterm_during_the_shutdown_is_ignored(store: redis.Redis) -> None:
    received: list[int] = []

    def shut_down(number: int, _: FrameType | None) -> None:
        received.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, shut_down)
    keeper = Store(store)
    Lifecycle(keeper, Leases(keeper, 15.0, monotonic, "worker", lambda: None), {}).after_process_boot(None)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)

    assert received == [signal.SIGTERM]


def test_in_a_worker_clients_only_read_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HAPPYFOX_URL", raising=False)
    try:
        with pytest.raises(SystemExit, match="The worker cannot start"):
            start()
        assert IN_HANDLER
    finally:
        IN_HANDLER.clear()
