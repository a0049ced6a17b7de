"""Pickup: how soon an idle worker in this process begins the turn of a new event."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import redis

from tests.bench.rig.deliveries import arrival, body
from workers import driver, main
from workers.lanes.inbox import accept
from workers.lanes.store import Store, wake

THREADS = 8


class Pickup:
    """A worker that is put together by ``build``, with a watch in its driver."""

    def __init__(self, client: redis.Redis, build: Callable[[], dramatiq.Broker]) -> None:
        self._client = client
        self._first, self._begun = 0.0, threading.Event()
        watch = self

        class Timed(driver.Driver):
            """Notes when the first step of a turn is performed."""

            def perform(self, held: Any, step: Any) -> Any:
                if not watch._begun.is_set():
                    watch._first = time.perf_counter()
                    watch._begun.set()
                return super().perform(held, step)

        main.Driver = Timed  # type: ignore[misc]
        dramatiq.Worker(build(), worker_threads=THREADS).start()

    def samples(self, account: str, count: int, pause: float) -> Iterator[float]:
        """Stores an event and wakes the worker, at random moments; gives the seconds to the first step of the turn."""
        store, chance = Store(self._client), random.Random(1)
        for number in range(1, count + 1):
            while self._client.zcard(f"foxhooks:{{{account}}}:sched"):
                time.sleep(0.001)
            time.sleep(chance.uniform(0.02, pause))
            script = accept(account, [arrival(body(number))], keep=3600)
            self._begun.clear()
            since = time.perf_counter()
            store.run(script)
            wake(self._client)
            assert self._begun.wait(10), "the event was not picked up"
            yield self._first - since
