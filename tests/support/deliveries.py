"""Deliveries for benchmarks, and how soon an idle worker begins the turn of one."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import dramatiq
import redis

from workers import runner
from workers.store.client import Store
from workers.store.inbox import Arrival, accept, receive
from workers.store.keys import WAKE
from workers.webhook import parse

THREADS = 8


def body(number: int) -> bytes:
    """Return a flat delivery of about 1.3 kB for the ticket of this number."""
    return json.dumps(
        {
            "ticket_id": number,
            "display_id": f"#DC{number:08d}",
            "subject": "Printer on fire",
            "priority_name": "High",
            "assignee_name": "Ada King",
            "client_details": {"name": "Sam Reed", "email": "sam@example.com"},
            "agent_ticket_url": f"https://acme.example/staff/ticket/{number}",
            "update": {
                "message_type": "Client Reply",
                "by": {"type": "user", "name": "Sam Reed"},
                "message": "lorem ipsum " * 75,
            },
        }
    ).encode()


def arrival(payload: bytes) -> Arrival:
    """Return the delivery as it is stored."""
    return receive(parse(payload), payload)


def fill(client: redis.Redis, account: str, bodies: Iterable[bytes]) -> None:
    """Store deliveries, a hundred at a time."""
    store, arrivals = Store(client), map(arrival, bodies)
    while some := list(islice(arrivals, 100)):
        store.run(accept(account, some, keep=3600))


class Pickup:
    """A worker made by ``build`` whose lane runner notes when a turn begins."""

    def __init__(self, client: redis.Redis, build: Callable[[], dramatiq.Broker]) -> None:
        self._client = client
        self._first, self._begun = 0.0, threading.Event()
        watch = self

        class Timed(runner.LaneRunner):
            """Note when the first step of a turn is performed."""

            def perform(self, lane: Any, step: Any) -> Any:
                if not watch._begun.is_set():
                    watch._first = time.perf_counter()
                    watch._begun.set()
                return super().perform(lane, step)

        runner.LaneRunner = Timed  # type: ignore[misc]
        dramatiq.Worker(build(), worker_threads=THREADS).start()

    def samples(self, account: str, count: int, pause: float) -> Iterator[float]:
        """Store events at random moments; yield the seconds from the wake-up to the first step of each turn."""
        store, chance = Store(self._client), random.Random(1)
        for number in range(1, count + 1):
            while self._client.zcard(f"foxhooks:{{{account}}}:schedule"):
                time.sleep(0.001)
            time.sleep(chance.uniform(0.02, pause))
            script = accept(account, [arrival(body(number))], keep=3600)
            self._begun.clear()
            since = time.perf_counter()
            store.run(script)
            self._client.lpush(WAKE, 1)
            self._client.ltrim(WAKE, 0, 0)
            assert self._begun.wait(10), "the event was not picked up"
            yield self._first - since
