"""Measure `foxhooks status` on a huge backlog: its time, its memory, and its commands.

    python -m tests.bench.status [--lanes 100000] [--dead 3000]

A new process runs the command, as a person does, so most of the time is Python's own start and the imports. What is
installed matters: redis-py imports OpenTelemetry's SDK wherever it finds it, and only the extra `otel` installs it. So
the bounds are for an installation without that extra, and the time with it is printed for comparison.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import redis

from tests.support import stores
from workers.store.client import store_time
from workers.store.keys import Keys

KEYS = Keys("acme")

#: Run the command, then print the most memory that the process had. `ru_maxrss` would include that of its parent.
PROGRAM = """
import atexit, re, sys
memory = lambda: re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
atexit.register(lambda: print(memory(), file=sys.stderr))
sys.argv = ["foxhooks", "status"]
from service.cli import main
main()
"""

#: Run it as if the extra `otel` were not installed.
WITHOUT_EXTRA = "import sys; sys.modules['opentelemetry'] = None\n" + PROGRAM

#: The bounds: seconds of the fastest of several runs, and the memory of the process (MB).
SECONDS, MEGABYTES = 0.3, 60
ROUNDS = 7


def fill(client: redis.Redis, lanes: int, dead: int) -> None:
    """Let many tickets wait, and many dead letters be there."""
    now = store_time(client)
    for first in range(0, lanes, 5000):
        with client.pipeline(transaction=False) as batch:
            for ticket in range(first + 1, min(first + 5000, lanes) + 1):
                batch.zadd(KEYS.schedule, {str(ticket): now - ticket})
                batch.rpush(KEYS.lane(ticket), f"e{ticket}")
            batch.execute()
    with client.pipeline(transaction=False) as batch:
        for number in range(dead):
            batch.zadd(KEYS.dead_letters, {f"n{number}": now - number})
            letter: dict[Any, Any] = {"v": 1, "at": now, "ticket": number + 1, "evidence": "{}"}
            batch.hset(KEYS.dead_letter(f"n{number}"), mapping=letter)
        batch.execute()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--dead", type=int, default=3_000)
    given = parser.parse_args()
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client, tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "REDIS_URL": url, "HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "k" * 20}
        environ |= {"PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": ""}  # an installation is compiled
        times, memory = {}, 0.0
        for lanes in (0, given.lanes):
            fill(client, lanes, given.dead)
            runs = [run(WITHOUT_EXTRA, folder, environ) for _ in range(ROUNDS)]
            times[lanes], memory = min(seconds for seconds, _ in runs), max(memory, *(used for _, used in runs))
        with_extra = min(run(PROGRAM, folder, environ)[0] for _ in range(ROUNDS))
    print(f"with an empty backlog: {times[0]:.2f} s")
    print(f"with {given.lanes:,} waiting tickets: {times[given.lanes]:.2f} s, target {SECONDS} s")
    print(f"the same with the extra otel: {with_extra:.2f} s")
    print(f"memory: {memory:.0f} MB, target {MEGABYTES} MB")
    sys.exit(0 if times[given.lanes] <= SECONDS and memory <= MEGABYTES else 1)


def run(program: str, folder: str, environ: dict[str, str]) -> tuple[float, float]:
    """Run the command once; return the seconds, and its memory in MB."""
    began = time.perf_counter()
    command = [sys.executable, "-P", "-c", program]
    result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, int(result.stderr.split()[-1]) / 1000


if __name__ == "__main__":
    main()
