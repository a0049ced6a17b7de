"""Measure how much slower a worker is with 200 rules than with one rule.

    python -m tests.bench.rules [--rounds 5] [--turns 400] [--rules 200]

A real worker process with 8 threads works on lanes that are already waiting: each turn reads its ticket from the
simulated HappyFox in another process, checks every rule, and settles. No rule matches, which is the hardest case: if
one does, its write takes longer than all the checks. Rounds are interleaved, and figures are medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import redis

from service.demo import free_ports
from tests.support import stores
from tests.support.deliveries import THREADS, fill

TARGET = 0.75
ACCOUNT = "acme"
WORDS = [
    "refund",
    "chargeback",
    "invoice",
    "delivery",
    "parcel",
    "damaged",
    "password",
    "login",
    "licence",
    "upgrade",
    "cancel",
    "complaint",
]
RULE = """
[[rule]]
name = "rule {number}"
on = ["ticket-created", "contact-replied"]
{condition}
when.not_tag = "tag-{number}"
add_tags = ["tag-{number}"]
note = "About {number}, from {{{{ ticket.contact.name }}}}"
"""
CONDITIONS = (
    "when.text = '{word}{number}|{other}{number}'",
    "when.text = '\\b{word}s?{number}\\b'",
    'when.subject = \'{word}{number}\'\nwhen.category = ["Support", "Sales"]',
    'when.contact_domain = "customer{number}.example"',
    "when.status = \"Closed\"\nwhen.text = '{word}'",
)


def rules(count: int) -> str:
    """Return rules with every kind of condition, none of which matches."""
    found = []
    for number in range(count):
        word, other = WORDS[number % len(WORDS)], WORDS[number // 5 % len(WORDS)]
        condition = CONDITIONS[number % len(CONDITIONS)].format(word=word, other=other, number=number)
        found.append(RULE.format(number=number, condition=condition))
    return "".join(found)


@contextmanager
def happyfox() -> Iterator[str]:
    """Run a simulated HappyFox with unreachable limits; yield its URL."""
    (port,) = free_ports(1)
    options = ["--port", str(port), "--gets", "1000000", "--posts", "1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "simulator", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def open_tickets(url: str, count: int) -> list[int]:
    """Open tickets and return their numbers."""
    basic = b64encode(b"demo-key:demo-code").decode()
    text = "Hello, the thing I bought last week does not work as it should, and nobody could tell me why. " * 8
    with httpx.Client(trust_env=False, headers={"Authorization": f"Basic {basic}"}) as client:
        ids = []
        for number in range(count):
            body = {
                "name": f"Sam {number}",
                "email": f"sam{number}@example.com",
                "category": 1,
                "subject": f"Question {number}",
                "text": text,
            }
            answer = client.post(f"{url}/api/1.1/json/tickets/", json=body)
            answer.raise_for_status()
            ids.append(int(answer.json()["id"]))
    return ids


def worker(store: str, happyfox: str, count: int, turns: list[int]) -> list[float]:
    """Run a turn per ticket in this process; return turns per second, and microseconds of CPU per turn."""
    import dramatiq

    from workers import worker as main
    from workers.settings import load

    folder = Path(tempfile.mkdtemp())
    (folder / "rules.toml").write_text(rules(count))
    environ = {
        "FOXHOOKS_RULES": "rules.toml",
        "HAPPYFOX_ACCOUNT": ACCOUNT,
        "HAPPYFOX_URL": happyfox,
        "HAPPYFOX_API_KEY": "demo-key",
        "HAPPYFOX_AUTH_CODE": "demo-code",
        "HAPPYFOX_STAFF_ID": "1",
        "HAPPYFOX_GETS_PER_MINUTE": "1000000",
        "REDIS_URL": store,
        "LOG_LEVEL": "ERROR",
    }
    client = redis.Redis.from_url(store)
    broker = main.build(load("worker", environ, folder))
    bodies = [json.dumps({"event_type": "ticket-created", "ticket_id": number}).encode() for number in turns]
    fill(client, ACCOUNT, bodies)
    began, spent = time.perf_counter(), time.process_time()
    dramatiq.Worker(broker, worker_threads=THREADS).start()
    while client.zcard(f"foxhooks:{{{ACCOUNT}}}:schedule"):
        time.sleep(0.005)
    taken, spent = time.perf_counter() - began, time.process_time() - spent
    return [len(turns) / taken, spent / len(turns) * 1e6]


def measure(rounds: int, turns: int, count: int) -> bool:
    """Print the figures; return whether the target is met."""
    found: dict[int, list[list[float]]] = {1: [], count: []}
    with stores.running("valkey") as url, redis.Redis.from_url(url) as store, happyfox() as desk:
        tickets = open_tickets(desk, turns)
        for number in range(rounds):
            for which in (1, count) if number % 2 else (count, 1):
                store.flushall()
                order: Any = {"store": url, "happyfox": desk, "count": which, "turns": tickets}
                command = [sys.executable, "-m", "tests.bench.rules", "--run", json.dumps(order)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[which].append([float(figure) for figure in done.stdout.split()])
    medians = {
        which: [statistics.median(column) for column in zip(*each, strict=True)] for which, each in found.items()
    }
    for which, (speed, spent) in medians.items():
        least, most = min(each[0] for each in found[which]), max(each[0] for each in found[which])
        print(f"{which:4} rules: {speed:6.0f} turns/s ({least:.0f} to {most:.0f}), {spent:.0f} us of CPU each")
    ratio = medians[count][0] / medians[1][0]
    print(f"ratio {ratio:.2f}, target {TARGET:.2f}")
    return bool(ratio >= TARGET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.run:
        sys.exit(0 if measure(args.rounds, args.turns, args.rules) else 1)
    print(*worker(**json.loads(args.run)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
