"""Measure whether the governor respects and uses the limit, compared with limiters of other packages.

    python -m tests.bench.governor [--minutes 60] [--rounds 5]

Eight callers on a virtual clock always have work. Latencies are log-normal with a median of 0.25 s, one call in a
hundred takes between 2 and 8 s, and the callers' clocks are off by up to 5 s. The limit is 300 calls in any minute.
foxhooks uses its real scripts in a real Valkey. It is compared with Dramatiq's limiters and, if they are installed,
those of `limits`, `pyrate-limiter` and `aiolimiter`. These are asked every 50 ms, which favors them, and all callers
share one limiter in memory.

The last columns show how many calls HappyFox would refuse if its windows were sliding, or if they started with each
minute. Finally, the cost of a permit and its release is compared with two plain one-line scripts, in 8 processes.
"""

import argparse
import asyncio
import hashlib
import heapq
import importlib
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal
from unittest.mock import patch

import redis
from dramatiq.rate_limits import BucketRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import StubBackend

from tests.support import stores
from tests.support.callers import Callers, Fate, used, worst_window
from workers.settings import Budget, Priority
from workers.simulator.faults import RateGate
from workers.simulator.options import Options
from workers.store.client import Store, connect
from workers.store.permits import Governor

LIMIT, WINDOW, CALLERS = 300, 60, 8
#: The part of the limit that each priority must use.
PARTS: dict[Priority, float] = {"interactive": 0.97, "normal": 0.87, "bulk": 0.67}
#: The speed of permit and release, relative to two plain scripts.
RATIO = 0.7
Ask = Callable[[float], bool]
"""Ask a limiter for one call at a time of the caller's clock, in seconds."""


def fates(seed: int) -> Iterator[Fate]:
    """Yield what happens to the calls."""
    chance = random.Random(seed)
    while True:
        late = chance.random() < 0.01
        latency = 1000 * (chance.uniform(2, 8) if late else min(8.0, 0.25 * chance.lognormvariate(0, 0.5)))
        yield Fate(latency * chance.random(), latency, 2)


def governed(client: redis.Redis, minutes: int, priority: Priority) -> list[float]:
    """Return the arrivals, in seconds, of calls with our permits."""
    client.flushall()
    fleet = Callers(client, Governor("acme", Budget(500, LIMIT, WINDOW, 600, 1.0, CALLERS)), 15_000, priority=priority)
    began = fleet.now
    fleet.run(CALLERS, fates(1), minutes * 60_000)
    return [(time - began) / 1000 for time in fleet.arrivals]


def limited(ask: Ask, minutes: int, skewed: bool = True) -> list[float]:
    """Return the arrivals of calls that another limiter allows."""
    begin = 4_000_000_000.0  # ahead of the real clock, with which a thread of `limits` removes expired entries
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
    """Yield the limiters of Dramatiq."""
    backend: Any = StubBackend
    bucket = BucketRateLimiter(backend(), "key", limit=LIMIT, bucket=WINDOW * 1000)  # type: ignore[no-untyped-call]
    window = WindowRateLimiter(backend(), "key", limit=LIMIT, window=WINDOW)  # type: ignore[no-untyped-call]
    for limiter in (bucket, window):

        def ask(now: float, limiter: Any = limiter) -> bool:
            with patch("time.time", lambda: now), limiter.acquire(raise_on_failure=False) as granted:
                return bool(granted)

        yield f"dramatiq {type(limiter).__name__}", ask


def of_limits() -> Iterator[tuple[str, Ask]]:
    """Yield the limiters of the package `limits`."""
    limits = importlib.import_module("limits")
    item = limits.RateLimitItemPerMinute(LIMIT)
    for name in ("FixedWindowRateLimiter", "SlidingWindowCounterRateLimiter", "MovingWindowRateLimiter"):
        limiter = getattr(limits.strategies, name)(limits.storage.MemoryStorage())

        def ask(now: float, limiter: Any = limiter) -> bool:
            with patch("time.time", lambda: now):
                return bool(limiter.hit(item, "key"))

        yield f"limits {name}", ask


def of_pyrate() -> Iterator[tuple[str, Ask]]:
    """Yield the limiter of the package `pyrate-limiter`."""
    pyrate = importlib.import_module("pyrate_limiter")
    bucket = pyrate.InMemoryBucket([pyrate.Rate(LIMIT, WINDOW * 1000)])

    def ask(now: float) -> bool:
        bucket.leak(int(now * 1000))
        return bool(bucket.put(pyrate.RateItem("key", int(now * 1000))))

    yield "pyrate-limiter InMemoryBucket", ask


def of_aiolimiter() -> Iterator[tuple[str, Ask]]:
    """Yield the limiter of the package `aiolimiter`, which works in one process only."""
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


def refused(arrivals: list[float], shape: Literal["sliding", "fixed"]) -> int:
    """Count the calls that HappyFox would refuse with windows of this shape, without lockouts."""
    gate = RateGate(Options(posts=LIMIT, window=WINDOW, lockout=0.0, window_shape=shape))
    return sum(not gate.admit("POST", arrived) for arrived in sorted(arrivals))


def report(name: str, arrivals: list[float]) -> tuple[int, float]:
    """Print one line: the fullest window of any alignment, the part of the limit used, and the refused calls."""
    worst, part = worst_window(arrivals, WINDOW), used(arrivals, LIMIT, WINDOW)
    print(f"{name:40} {worst:12} {part:9.1%} {refused(arrivals, 'sliding'):12} {refused(arrivals, 'fixed'):12}")
    return worst, part


def compare(minutes: int) -> bool:
    """Print the table of limiters; return whether the governor met its targets."""
    print(f"{minutes} virtual minutes, {LIMIT} calls in any minute, {CALLERS} callers")
    print(f"{'limiter':40} {'worst window':>12} {'used':>9} {'429 sliding':>12} {'429 fixed':>12}")
    found: dict[Priority, tuple[int, float]] = {}
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client:
        for priority in PARTS:
            found[priority] = report(f"foxhooks, {priority}", governed(client, minutes, priority))
    for package in (of_dramatiq, of_limits, of_pyrate, of_aiolimiter):
        try:
            for name, ask in package():
                report(name, limited(ask, minutes, skewed=package is not of_aiolimiter))
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed")
    for priority, (_, part) in found.items():
        print(f"{priority}: {part:.1%} used, target {PARTS[priority]:.1%}")
    worst = max(worst for worst, _ in found.values())
    print(f"worst window {worst}, target {LIMIT}")
    return worst <= LIMIT and all(part >= PARTS[priority] for priority, (_, part) in found.items())


PLAIN = "return redis.call('INCR', KEYS[1])"
SHA = hashlib.sha1(PLAIN.encode(), usedforsecurity=False).hexdigest()


def plain(store: Store, key: str) -> None:
    """Run the one-line script, on a connection as a store function would use it."""
    store._send(store.client, ("EVALSHA", SHA, 1, key))


def trips(url: str, which: str, calls: int, start: Any, spent: Any) -> None:
    """Take and release permits in one process, or run two plain scripts instead, as fast as possible."""
    store, me = Store(connect(url)), os.getpid()
    governor = Governor("acme", Budget(10**6, 10**6, 60, 600, 1.0, 1000))
    store.client.script_load(PLAIN)
    start.wait()
    began = time.perf_counter()
    for number in range(calls):
        if which == "plain":
            plain(store, f"foxhooks:{{key-{me}}}:")
            plain(store, f"foxhooks:{{key-{me}}}:")
        else:
            store.run(governor.permit("POST", f"{me}-{number}", "interactive", 15_000))
            store.run(governor.release("POST", f"{me}-{number}", "answered", 3))
    spent.put(time.perf_counter() - began)


def pairs(url: str, which: str, calls: int) -> float:
    """Return how many pairs of scripts 8 processes run per second."""
    spawn = multiprocessing.get_context("spawn")
    start, spent = spawn.Barrier(CALLERS), spawn.Queue()
    workers = [spawn.Process(target=trips, args=(url, which, calls, start, spent)) for _ in range(CALLERS)]
    for worker in workers:
        worker.start()
    slowest: float = max(spent.get() for _ in workers)
    for worker in workers:
        worker.join()
    return CALLERS * calls / slowest


def cost(rounds: int, calls: int = 1500) -> bool:
    """Compare permit and release with two plain scripts, on both stores."""
    reached = True
    for kind in ("valkey", "redis"):
        ratios, times = [], []
        with stores.running(kind) as url, redis.Redis.from_url(url) as client:
            for number in range(rounds):
                found = {}
                for which in ("ours", "plain") if number % 2 else ("plain", "ours"):
                    client.flushdb()
                    client.config_resetstat()
                    found[which] = pairs(url, which, calls)
                    if which == "ours":
                        times.append(client.info("commandstats")["cmdstat_fcall"]["usec_per_call"])
                ratios.append(found["ours"] / found["plain"])
        ratio, spent = statistics.median(ratios), statistics.median(times)
        print(f"{kind}: permit and release relative to two plain scripts {ratio:.2f}, target {RATIO:.2f}")
        print(f"{kind}: each of the two scripts takes {spent:.0f} us, target 60 us")
        reached &= ratio >= RATIO and spent <= 60
    return reached


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    kept = compare(arguments.minutes)
    sys.exit(0 if cost(arguments.rounds) and kept else 1)


if __name__ == "__main__":
    main()
