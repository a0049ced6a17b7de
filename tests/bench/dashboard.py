"""Measure the dashboard's pages with 100,000 records, 20,000 lanes and 3,000 dead letters, and what it costs in memory.

    python -m tests.bench.dashboard [--records 100000] [--rounds 20]

The pages are those of a real web process over HTTP. Memory is that of the process with the dashboard after the rounds,
compared with one without it.
"""

import argparse
import os
import re
import statistics
import sys
import time
from typing import Any

import httpx
import redis

from tests.support import stores
from tests.support.dashboard import PASSWORD, addresses, users
from tests.support.sample_store import SampleAccount
from tests.support.web import Web
from workers.store.keys import Keys
from workers.testing.desk import ACCOUNT

LANES, LETTERS = 20_000, 3_000
PAGE_TARGET, SEARCH_TARGET, MEMORY_TARGET = 300, 500, 40
STEP = 5_000


def fill(client: Any, records: int) -> None:
    """Write copies of one record, one waiting event and one dead letter."""
    account = SampleAccount(client)
    account.run()
    keys, now = Keys(ACCOUNT), int(time.time() * 1000)
    turn = client.zrange(keys.turns, 0, 0)[0].decode()
    record = client.get(keys.record(turn))
    letter = client.hgetall(keys.dead_letter(client.zrange(keys.dead_letters, 0, 0)[0].decode()))
    for first in range(0, max(records, LANES, LETTERS), STEP):
        with client.pipeline(transaction=False) as batch:
            for number in range(first, first + STEP):
                if number < records:
                    batch.set(keys.record(f"copy-{number}"), record).zadd(
                        keys.turns, {f"copy-{number}": now - number * 10}
                    )
                if number < LANES:
                    batch.zadd(keys.schedule, {str(10_000 + number): now - number}).rpush(
                        keys.lane(10_000 + number), f"e{number}"
                    )
                    batch.hset(
                        keys.event(f"e{number}"), mapping={"at": now, "kind": "updated", "source": "webhook", "v": 1}
                    )
                if number < LETTERS:
                    batch.hset(keys.dead_letter(f"copy-{number}"), mapping=letter).zadd(
                        keys.dead_letters, {f"copy-{number}": now}
                    )
            batch.execute()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    passed = True
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client:
        fill(client, arguments.records)
        without = Web(url, HAPPYFOX_ACCOUNT=ACCOUNT)
        web = Web(url, HAPPYFOX_ACCOUNT=ACCOUNT, FOXHOOKS_DASHBOARD_USERS=users())
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{web.port}", trust_env=False, timeout=60) as http:
                token = re.findall(r'name="csrf" value="(.+?)"', http.get("/dashboard/login").text)[0]
                http.post("/dashboard/login", data={"user": "ada", "password": PASSWORD, "csrf": token})
                for page in (*addresses(ACCOUNT), f"/dashboard/{ACCOUNT}/events?text=nowhere"):
                    target = SEARCH_TARGET if "text=" in page else PAGE_TARGET
                    passed &= measure(http, page, arguments.rounds, target)
            more = (resident(web.process.pid) - resident(without.process.pid)) / 1e6
            print(f"memory of the web process: {more:.0f} MB more, target {MEMORY_TARGET}; residential set")
            passed &= more <= MEMORY_TARGET
        finally:
            web.close()
            without.close()
    sys.exit(0 if passed else 1)


def measure(http: httpx.Client, page: str, rounds: int, target: int) -> bool:
    """Open a page several times; print the time that 95 % of them stay below."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        answer = http.get(page)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (page, answer.status_code)
    slow = statistics.quantiles(times, n=20)[-1] if rounds > 1 else times[0]
    print(f"{page}: p95 {slow:.0f} ms, target {target}; median {statistics.median(times):.0f} ms", flush=True)
    return slow <= target


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    pages = int(open(f"/proc/{pid}/statm").read().split()[1])  # noqa: SIM115
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
