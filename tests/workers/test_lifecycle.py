"""A worker process stops in order, however often it is told to."""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
import redis

from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.leases import Leases
from workers.worker import Lifecycle


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
