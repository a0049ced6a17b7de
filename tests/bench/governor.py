"""Does the governor keep to the limit, and use it, next to the limiters of other packages?

    python -m tests.bench.governor [--minutes 60] [--live SECONDS]

Saturating work of 8 callers on a virtual clock: latencies log-normal with a median of 0.25 s, one call in a
hundred between 2 and 8 s, callers' clocks off by up to 5 s. The limit is 300 calls in any minute. Ours are the
real scripts in a real Valkey. Of `limits`, `pyrate-limiter` and `aiolimiter` those are compared that are installed;
Dramatiq's are always. They are asked every 50 ms, which favours them, and all callers share one limiter in memory.

`--live` runs three real processes in real time against a real server: 30 writes in any 6 s, share 1.
"""

import argparse
import asyncio
import heapq
import importlib
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

import redis
from dramatiq.rate_limits import BucketRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import StubBackend

from tests import stores
from tests.workers.governor.fleet import Fate, Fleet, used, worst_window
from workers.errors import InDoubt, NotNow, Unsent
from workers.governor.governor import Class, Governor
from workers.happyfox import protocol
from workers.happyfox.wire import Wire
from workers.lanes.store import Store, connect
from workers.settings import Budget

LIMIT, WINDOW, CALLERS = 300, 60, 8
Ask = Callable[[float], bool]
"""Asks a limiter for one call at a time of the caller's clock, in seconds."""


def fates(seed: int) -> Iterator[Fate]:
    """What becomes of the calls."""
    chance = random.Random(seed)
    while True:
        late = chance.random() < 0.01
        latency = 1000 * (chance.uniform(2, 8) if late else min(8.0, 0.25 * chance.lognormvariate(0, 0.5)))
        yield Fate(latency * chance.random(), latency, 2)


def governed(client: redis.Redis, minutes: int, class_: Class) -> list[float]:
    """Arrivals, in seconds, of calls under our permits."""
    client.flushall()
    fleet = Fleet(client, Governor("acme", Budget(500, LIMIT, WINDOW, 600, 1.0, CALLERS)), 15_000, class_=class_)
    began = fleet.now
    fleet.run(CALLERS, fates(1), minutes * 60_000)
    return [(time - began) / 1000 for time in fleet.arrivals]


def limited(ask: Ask, minutes: int, skewed: bool = True) -> list[float]:
    """Arrivals of calls that another limiter lets through."""
    begin = 4_000_000_000.0  # ahead of the real clock, by which a thread of `limits` clears what has expired
    chance, calls, arrivals = random.Random(2), fates(1), []
    skew = [chance.uniform(-5, 5) if skewed else 0.0 for _ in range(CALLERS)]
    agenda = [(begin, caller) for caller in range(CALLERS)]
    while agenda[0][0] < begin + minutes * 60:
        now, caller = heapq.heappop(agenda)
        if ask(now + skew[caller]):
            fate = next(calls)
            arrivals.append(now - begin + (fate.arrives or 0) / 1000)
            heapq.heappush(agenda, (now + (fate.answered or 0) / 1000, caller))
        else:
            heapq.heappush(agenda, (now + 0.05, caller))
    return arrivals


def of_dramatiq() -> Iterator[tuple[str, Ask]]:
    """Dramatiq's own."""
    backend: Any = StubBackend
    bucket = BucketRateLimiter(backend(), "key", limit=LIMIT, bucket=WINDOW * 1000)  # type: ignore[no-untyped-call]
    window = WindowRateLimiter(backend(), "key", limit=LIMIT, window=WINDOW)  # type: ignore[no-untyped-call]
    for limiter in (bucket, window):

        def ask(now: float, limiter: Any = limiter) -> bool:
            with patch("time.time", lambda: now), limiter.acquire(raise_on_failure=False) as granted:
                return bool(granted)

        yield f"dramatiq {type(limiter).__name__}", ask


def of_limits() -> Iterator[tuple[str, Ask]]:
    """The package `limits`."""
    limits = importlib.import_module("limits")
    item = limits.RateLimitItemPerMinute(LIMIT)
    for name in ("FixedWindowRateLimiter", "SlidingWindowCounterRateLimiter", "MovingWindowRateLimiter"):
        limiter = getattr(limits.strategies, name)(limits.storage.MemoryStorage())

        def ask(now: float, limiter: Any = limiter) -> bool:
            with patch("time.time", lambda: now):
                return bool(limiter.hit(item, "key"))

        yield f"limits {name}", ask


def of_pyrate() -> Iterator[tuple[str, Ask]]:
    """The package `pyrate-limiter`."""
    pyrate = importlib.import_module("pyrate_limiter")
    bucket = pyrate.InMemoryBucket([pyrate.Rate(LIMIT, WINDOW * 1000)])

    def ask(now: float) -> bool:
        bucket.leak(int(now * 1000))
        return bool(bucket.put(pyrate.RateItem("key", int(now * 1000))))

    yield "pyrate-limiter InMemoryBucket", ask


def of_aiolimiter() -> Iterator[tuple[str, Ask]]:
    """The package `aiolimiter`, which serves one process only."""
    aiolimiter = importlib.import_module("aiolimiter")
    loop = asyncio.new_event_loop()
    limiter = aiolimiter.AsyncLimiter(LIMIT, WINDOW)

    async def acquire(now: float) -> bool:
        with patch.object(loop, "time", lambda: now):
            if not limiter.has_capacity():
                return False
            await limiter.acquire()
            return True

    yield "aiolimiter AsyncLimiter", lambda now: loop.run_until_complete(acquire(now))
    loop.close()


def row(name: str, arrivals: list[float]) -> None:
    """Prints one line: the worst window at any alignment, and the part of the budget that was used."""
    worst = worst_window(arrivals, WINDOW)
    verdict = "" if worst <= LIMIT else "  locked out"
    print(f"{name:44} {worst:14} {used(arrivals, LIMIT, WINDOW):9.1%}{verdict}")


def compare(minutes: int) -> None:
    """Prints the table."""
    print(f"{minutes} virtual minutes, {LIMIT} calls in any minute, {CALLERS} callers")
    print(f"{'limiter':44} {'worst window':>14} {'used':>9}")
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client:
        classes: tuple[Class, ...] = ("interactive", "normal", "bulk")
        for class_ in classes:
            row(f"foxhooks, {class_}", governed(client, minutes, class_))
    for package in (of_dramatiq, of_limits, of_pyrate, of_aiolimiter):
        try:
            for name, ask in package():
                row(name, limited(ask, minutes, skewed=package is not of_aiolimiter))
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed")


@dataclass
class Desk:
    """A server that counts arrivals and takes 20 to 80 ms for an answer."""

    arrivals: list[float] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """The class that http.server wants."""
        arrivals = self.arrivals

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                arrivals.append(time.monotonic())
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(random.uniform(0.02, 0.08))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def work(store_url: str, desk_url: str, seconds: float) -> None:
    """One process with four threads that write as often as they may."""
    governor = Governor("acme", Budget(30, 30, 6.0, 10.0, 1.0, CALLERS))
    wire = Wire(desk_url, "key", "code", 5.0, governor, Store(connect(store_url)))
    end = time.monotonic() + seconds

    def write() -> None:
        while time.monotonic() < end:
            try:
                wire.send(protocol.staff_update(1, staff=1, text="x"), class_="interactive")
            except NotNow as error:
                time.sleep(error.wait / 1000)
            except (Unsent, InDoubt):
                pass

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def live(seconds: int) -> None:
    """Runs three processes for a time and prints what the server saw."""
    desk = Desk()
    server = ThreadingHTTPServer(("127.0.0.1", 0), desk.handler())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    spawn = multiprocessing.get_context("spawn")
    with stores.running("valkey") as url:
        address = f"http://127.0.0.1:{server.server_port}"
        workers = [spawn.Process(target=work, args=(url, address, seconds)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    server.shutdown()
    server.server_close()
    worst, part = worst_window(desk.arrivals, 6), used(desk.arrivals, 30, 6)
    print(f"3 processes, {seconds} s, 30 writes in any 6 s: worst window {worst}, used {part:.1%}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--live", type=int, default=0, metavar="SECONDS")
    arguments = parser.parse_args()
    if arguments.live:
        live(arguments.live)
    else:
        compare(arguments.minutes)


if __name__ == "__main__":
    main()
