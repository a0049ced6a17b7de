"""Measure whether a deployment respects the limit, recovers from a lockout, and waits cheaply.

    python -m tests.bench.deployment [live] [lockout] [parked] [--seconds 120] [--lanes 100000]

- live: three worker processes, a web process and the simulator, saturated with new tickets that get one note each.
  Thirty writes are allowed in any 6 s, and the share is 1.
- lockout: the same, but one call is answered with 429.
- parked: 100,000 lanes of a locked-out account are waiting. The benchmark measures how soon a worker picks up an event
  of another account, compared with a worker without these lanes, and how much CPU the store spends on them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.support import stores
from tests.support.callers import used, worst_window
from tests.support.deliveries import Pickup, body, fill
from tests.support.fleet import Fleet, P, deployed
from tests.support.plugins import NOTING

POSTS, WINDOW, LOCKOUT = 30, 6.0, 10.0
TIGHT = {
    "HAPPYFOX_GETS_PER_MINUTE": "50",
    "HAPPYFOX_POSTS_PER_MINUTE": f"{POSTS}",
    "HAPPYFOX_WINDOW_SECONDS": f"{WINDOW:g}",
    "HAPPYFOX_LOCKOUT_SECONDS": f"{LOCKOUT:g}",
    "HAPPYFOX_BUDGET_SHARE": "1",
    "HAPPYFOX_IN_FLIGHT": "8",
    "FOXHOOKS_LEASE_SECONDS": "15",
}


@contextmanager
def saturated(tickets: int) -> Iterator[Fleet]:
    """Run a deployment of three workers that has more work than the limit allows."""
    with deployed(NOTING, gets=50, posts=POSTS, window=WINDOW, lockout=LOCKOUT) as fleet:
        fleet.start_web()
        fleet.wait(lambda: fleet.answers() == 200, "web is ready")
        for number in range(tickets):
            fleet.open_ticket(text=f"words {number}")
        workers = [fleet.start_worker(**TIGHT) for _ in range(3)]
        for worker in workers:
            fleet.wait(worker.ready, "the worker is ready")
        yield fleet


def live(seconds: int) -> bool:
    """Print what the simulator received from saturated workers."""
    with saturated(int(seconds / WINDOW * POSTS * 1.2) + 30) as fleet:
        time.sleep(seconds)
        posts = [call.arrived for call in fleet.calls("POST", "staff_pvtnote")]
        refused = sum(call.status == 429 for call in fleet.calls())
    worst, part = worst_window(posts, WINDOW), used(posts, POSTS, WINDOW)
    print(f"live: {len(posts)} writes in {seconds} s, worst window {worst}, target {POSTS}")
    print(f"live: answered 429: {refused}, target 0")
    print(f"live: {part:.1%} of the budget used, target 95.0%")
    return worst <= POSTS and not refused and part >= 0.95


def lockout() -> bool:
    """Print what the simulator received after it answered one call with 429."""
    with saturated(60) as fleet:
        fleet.wait(lambda: len(fleet.calls("POST", "staff_pvtnote")) >= 10, "ten writes")
        fleet.ask("POST", "lock", seconds=LOCKOUT)
        fleet.wait(lambda: any(call.status == 429 for call in fleet.calls()), "a call is refused")
        with fleet.redis() as client:
            fleet.wait(lambda: client.hget(f"{P}gate", "state") == b"locked", "the gate is closed")
            opens = int(client.hget(f"{P}gate", "until") or 0) / 1000
            closed = time.time()
            fleet.wait(lambda: client.hget(f"{P}gate", "state") == b"open", "the gate is open again")
            fleet.wait(lambda: fleet.calls("POST")[-1].arrived > opens, "a write after it")
        after = [call for call in fleet.calls() if call.arrived > closed + 0.5]
    too_early = [call for call in after if call.arrived < opens]
    probe, following = after[0], after[1]
    print(f"lockout: calls before the gate opened: {len(too_early)}, target 0")
    alone = following.arrived >= (probe.answered or 0) and probe.method == "GET"
    print(f"lockout: {1 if alone else 'more than one'} probe, target 1")
    print(f"lockout: first success {(probe.answered or 0) - opens:.2f} s after the opening, target 5.00 s")
    return not too_early and alone and (probe.answered or 0) - opens < 5


def build(url: str) -> Any:
    """Build a worker for two accounts. Turns of beta read nothing, so that only the pickup is measured."""
    from workers import worker as main
    from workers.settings import load

    folder = Path(tempfile.mkdtemp())
    (folder / "idle.py").write_text('from workers import Router\nrouter = Router("idle")\n')
    (folder / "busy.py").write_text(
        'from workers import Router\nrouter = Router("busy")\n\n@router.on("ticket-updated")\n'
        'def note(ticket, event):\n    ticket.note("Seen.")\n'
    )
    accounts = "".join(
        f'[accounts.{name}]\nurl = "http://127.0.0.1:9"\napi_key = "key"\nauth_code = "code"\nstaff_id = 7\n'
        f'handlers = ["{plugin}:router"]\n'
        for name, plugin in (("acme", "busy"), ("beta", "idle"))
    )
    (folder / "foxhooks.toml").write_text(accounts)
    os.chdir(folder)
    return main.build(load("worker", {"REDIS_URL": url, "LOG_FORMAT": "json", "LOG_LEVEL": "ERROR"}, folder))


def lock(client: "redis.Redis") -> None:
    """Lock acme out for an hour."""
    until = int(time.time() * 1000) + 3_600_000
    client.hset("foxhooks:{acme}:gate", mapping={"state": "locked", "why": "limited", "until": until})


def pickup(url: str, lanes: int, samples: int) -> list[float]:
    """Return the share of a CPU that the store needs for waiting lanes, then the seconds of each pickup."""
    client = redis.Redis.from_url(url)
    lock(client)
    fill(client, "acme", map(body, range(1, lanes + 1)))
    worker = Pickup(client, lambda: build(url))
    time.sleep(2)  # do not measure the start of the worker
    before, began = client.info("cpu"), time.perf_counter()
    time.sleep(5)  # the interval over which the store's CPU is measured
    after = client.info("cpu")
    spent = sum(float(after[name]) - float(before[name]) for name in ("used_cpu_user", "used_cpu_sys"))
    return [spent / (time.perf_counter() - began), *worker.samples("beta", samples, 0.1)]


def parked(lanes: int, rounds: int = 3, samples: int = 100) -> bool:
    """Print how fast events of another account are picked up while many lanes are waiting."""
    found: dict[int, list[list[float]]] = {0: [], lanes: []}
    for number in range(rounds):
        for count in (0, lanes) if number % 2 else (lanes, 0):
            with stores.running("valkey", "--appendonly", "no") as url:
                command = [sys.executable, "-m", "tests.bench.deployment", "--run", url, "--lanes", str(count)]
                done = subprocess.run(
                    [*command, "--samples", str(samples)], stdout=subprocess.PIPE, text=True, check=True
                )
                found[count].append([float(figure) for figure in done.stdout.split()])
    idle, full = (statistics.median(statistics.median(each[1:]) for each in found[count]) for count in (0, lanes))
    waiting = statistics.median(each[0] for each in found[lanes])
    print(f"parked: pickup with {lanes} waiting lanes {full * 1e3:.2f} ms, without {idle * 1e3:.2f} ms")
    print(f"parked: ratio {full / idle:.2f}, target 1.50")
    print(f"parked: CPU of the store while they wait {waiting:.2%}, target 2.00%")
    return full / idle <= 1.5 and waiting < 0.02


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["live", "lockout", "parked", []], default=[])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(*pickup(args.run, args.lanes, args.samples), flush=True)
        os._exit(0)
    parts: dict[str, Callable[[], bool]] = {
        "live": lambda: live(args.seconds),
        "lockout": lockout,
        "parked": lambda: parked(args.lanes),
    }
    missed = sum(not parts[name]() for name in args.parts or parts)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
