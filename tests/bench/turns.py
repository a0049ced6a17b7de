"""Compare the turns of a worker with plain Dramatiq, and measure how soon an idle worker starts.

    python -m tests.bench.turns [--rounds 5] [--turns 10000] [--samples 200]

Turns: a worker process with 8 threads works on lanes that are already waiting, with one event each. Its account has no
handlers, so turns read no tickets: only claiming, settling and what belongs to them is measured. Plain Dramatiq
processes the same number of messages with an actor that does nothing, tuned (prefetch 200), on the same store (Valkey,
append-only file, unix socket). Each worker runs on one core, the store on another. Rounds are interleaved, and figures
are medians.

Pickup: at random moments, an event is stored and the worker is woken, as the web process does it. The time until the
runner performs the first step of the turn is measured.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import redis

from tests.support import stores
from tests.support.deliveries import THREADS, Pickup, body, fill
from tests.support.load import pin

#: Plain Dramatiq at its best.
TUNED = {"dramatiq_queue_prefetch": "200"}
TARGET = 0.75
#: Seconds from the wake-up to the first step, at the 95th percentile.
PICKUP_TARGET = 0.010
ACCOUNT = "acme"
SCHED = "foxhooks:{acme}:schedule"


def build(url: str) -> Any:
    """Build the worker process as `foxhooks worker` does, with a router that has no handlers."""
    from workers import worker as main
    from workers.settings import load

    folder = Path(tempfile.mkdtemp())
    (folder / "idle.py").write_text('from workers import Router\nrouter = Router("idle")\n')
    os.chdir(folder)
    environ = {
        "FOXHOOKS_HANDLERS": "idle:router",
        "HAPPYFOX_ACCOUNT": ACCOUNT,
        "HAPPYFOX_URL": "http://127.0.0.1:9",
        "HAPPYFOX_API_KEY": "key",
        "HAPPYFOX_AUTH_CODE": "code",
        "HAPPYFOX_STAFF_ID": "7",
        "REDIS_URL": url,
        "LOG_FORMAT": "json",
    }
    return main.build(load("worker", environ, folder))


class Stopwatch:
    """Measure turns, and the CPU time that this process and the store need for them."""

    def __init__(self, client: "redis.Redis", turns: int) -> None:
        self._client, self._turns = client, turns
        self._began, self._own, self._store = time.perf_counter(), time.process_time(), self._spent()

    def _spent(self) -> float:
        found = self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def stop(self) -> list[float]:
        """Return turns per second, and microseconds of CPU per turn of this process and of the store."""
        taken, own = time.perf_counter() - self._began, time.process_time() - self._own
        return [self._turns / taken, own / self._turns * 1e6, (self._spent() - self._store) / self._turns * 1e6]


def ours(url: str, turns: int) -> list[float]:
    """Measure our worker."""
    import dramatiq

    client = redis.Redis.from_url(url)
    fill(client, ACCOUNT, map(body, range(1, turns + 1)))
    worker = dramatiq.Worker(build(url), worker_threads=THREADS)
    watch = Stopwatch(client, turns)
    worker.start()
    while client.zcard(SCHED):
        time.sleep(0.01)
    return watch.stop()


def plain(url: str, turns: int) -> list[float]:
    """Measure plain Dramatiq."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    left, all_done, lock = [turns], threading.Event(), threading.Lock()

    def nothing() -> None:
        with lock:
            left[0] -= 1
        if not left[0]:
            all_done.set()

    actor: Any = dramatiq.actor(broker=broker)(nothing)
    for _ in range(turns):
        actor.send()
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    watch = Stopwatch(redis.Redis.from_url(url), turns)
    worker.start()
    all_done.wait()
    return watch.stop()


def pickup(url: str, samples: int) -> list[float]:
    """Return the seconds from storing and waking to the first step of the turn, sorted."""
    return sorted(Pickup(redis.Redis.from_url(url), lambda: build(url)).samples(ACCOUNT, samples, 0.25))


def run(which: str, url: str, count: int) -> list[float]:
    """Run one measurement in a separate process and return its figures."""
    command = [sys.executable, "-m", "tests.bench.turns", "--run", which, "--url", url, "--turns", str(count)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, **TUNED},
    )
    return [float(figure) for figure in done.stdout.split()]


def measure(rounds: int, turns: int, samples: int) -> bool:
    """Print the figures; return whether both targets are met."""
    found: dict[str, list[list[float]]] = {"plain": [], "ours": []}
    with stores.running("valkey") as url, redis.Redis.from_url(url) as store:
        pin(1, store.info("server")["process_id"])
        for number in range(rounds):
            for which in ("plain", "ours") if number % 2 else ("ours", "plain"):
                store.flushall()
                found[which].append(run(which, url, turns))
        store.flushall()
        taken = run("pickup", url, samples)
    medians = {
        which: [statistics.median(column) for column in zip(*each, strict=True)] for which, each in found.items()
    }
    for which, (speed, own, stores_own) in medians.items():
        least, most = min(each[0] for each in found[which]), max(each[0] for each in found[which])
        cost = f"{own:.0f} us of CPU each, the store {stores_own:.0f} us"
        print(f"{which:5} {speed:8.0f} turns/s ({least:.0f} to {most:.0f}), {cost}")
    ratio = medians["ours"][0] / medians["plain"][0]
    print(f"ratio {ratio:.2f}, target {TARGET:.2f}")
    p50, p95 = statistics.median(taken), taken[int(len(taken) * 0.95)]
    print(f"pickup when idle: p50 {p50 * 1e3:.1f} ms, p95 {p95 * 1e3:.1f} ms, target {PICKUP_TARGET * 1e3:.0f} ms")
    return ratio >= TARGET and p95 <= PICKUP_TARGET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--run", choices=("plain", "ours", "pickup"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.run:
        sys.exit(0 if measure(args.rounds, args.turns, args.samples) else 1)
    pin(0)
    kinds = {"plain": plain, "ours": ours, "pickup": pickup}
    print(*kinds[args.run](args.url, args.turns), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
