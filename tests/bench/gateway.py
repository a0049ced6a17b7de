"""Measure what three clients of the gateway cost the engine, and how the budget is shared among them.

    python -m tests.bench.gateway [--rounds 3] [--seconds 18]

A contact replies to a ticket every 0.8 s. The engine's latency is the time from the reply to the arrival of the
engine's answer at HappyFox. It is measured without clients and with three, in turn, on the same deployment of real
processes. HappyFox takes 0.1 s for each call. 60 reads and 60 writes are allowed in any 6 s, and the engine alone
needs less than half of the writes. The clients have one class each, work on tickets of their own, and call again as
soon as they are answered, so that they always want more than is left.
"""

import argparse
import contextlib
import json
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

import httpx

from tests.support.fleet import Fleet, deployed
from tests.support.plugins import FAITHFUL

LIMIT, WINDOW, EVERY, CALL = 60, 6.0, 0.8, 0.1
LIMITS = {
    "HAPPYFOX_GETS_PER_MINUTE": f"{LIMIT}",
    "HAPPYFOX_POSTS_PER_MINUTE": f"{LIMIT}",
    "HAPPYFOX_WINDOW_SECONDS": f"{WINDOW:g}",
    "HAPPYFOX_BUDGET_SHARE": "1",
    "HAPPYFOX_IN_FLIGHT": "8",
}
#: The most that the 95th percentile of the engine's latency may grow.
RATIO = 1.5
CLASSES = ("interactive", "normal", "bulk")
TICKETS = 12


class Program:
    """A client that reads and writes notes as fast as it may, in two threads."""

    def __init__(self, fleet: Fleet, priority: str, tickets: list[int]) -> None:
        self._base = f"{fleet.gateway_url}/gateway/demo/api/1.1/json"
        self._auth, self._tickets = (priority, f"{priority}-token"), tickets
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(2)]
        self.waits: list[float] = []
        """Seconds that each answered call took."""
        self.refused = 0
        """Calls that the gateway refused because the client had waited for too long."""

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let it work during the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _run(self, number: int) -> None:
        with httpx.Client(timeout=90, trust_env=False, auth=self._auth) as http:
            for turn in count():
                if self._stop.is_set():
                    return
                url = f"{self._base}/ticket/{self._tickets[(2 * turn + number) % len(self._tickets)]}/"
                began = time.monotonic()
                if turn % 2:
                    body = {"staff": 1, "text": f"Note {turn} of {number}."}
                    status = http.post(f"{url}staff_pvtnote/", json=body).status_code
                else:
                    status = http.get(url).status_code
                if status == 200:
                    self.waits.append(time.monotonic() - began)
                else:
                    self.refused += 1


def write_settings(fleet: Fleet) -> None:
    """Write the clients, one of each class."""
    tables = (
        f'[clients.{each}]\ntoken = "{each}-token"\nallow = ["*"]\nclass = "{each}"\nwait = 30\n' for each in CLASSES
    )
    (fleet.folder / "foxhooks.toml").write_text("\n".join(tables))


def engine_latencies(fleet: Fleet, tickets: list[int], seconds: float, names: Iterator[int]) -> list[float]:
    """Reply to tickets in turn for some seconds; return how long (s) each answer of the engine took."""
    sent: dict[str, float] = {}
    ends = time.time() + seconds
    while time.time() < ends:
        text = f"message {next(names):06}"
        sent[text] = time.time()
        fleet.reply(tickets[len(sent) % len(tickets)], text)
        time.sleep(max(0.0, sent[text] + EVERY - time.time()))  # the pace of the load
    arrived: dict[str, float] = {}

    def all_answered() -> bool:
        for call in fleet.calls("POST"):
            body = json.dumps(call.body)
            for text in [text for text in sent if text not in arrived and f"answer to: {text}" in body]:
                arrived[text] = call.arrived
        return len(arrived) == len(sent)

    fleet.wait(all_answered, "the engine has answered every reply", 120)
    return [arrived[text] - began for text, began in sent.items()]


def p95(found: list[float]) -> float:
    return statistics.quantiles(found, n=20)[-1]


def measure(rounds: int, seconds: float) -> bool:
    """Print the figures; return whether the targets are met."""
    latencies: dict[str, list[float]] = {"alone": [], "with clients": []}
    done: dict[str, list[float]] = defaultdict(list)
    refused, names = 0, count()
    with deployed(FAITHFUL, gets=LIMIT, posts=LIMIT, window=WINDOW) as fleet:
        write_settings(fleet)
        fleet.start_web(**LIMITS)
        fleet.ready_worker(**LIMITS)
        fleet.start_gateway(**LIMITS)
        engine = [fleet.open_ticket() for _ in range(TICKETS)]
        theirs = {each: [fleet.open_ticket() for _ in range(4)] for each in CLASSES}
        fleet.settle()
        fleet.fault("hang", seconds=CALL, count=None)
        engine_latencies(fleet, engine, WINDOW, names)  # warm up
        for number in range(rounds):
            for which in ("alone", "with clients") if number % 2 else ("with clients", "alone"):
                time.sleep(WINDOW)  # begin with an empty window
                programs = [Program(fleet, each, theirs[each]) for each in CLASSES if which == "with clients"]
                with contextlib.ExitStack() as running:
                    for program in programs:
                        running.enter_context(program.at_work())
                    if programs:
                        time.sleep(WINDOW)  # until the clients have used what they may use
                    latencies[which] += engine_latencies(fleet, engine, seconds, names)
                for each, program in zip(CLASSES, programs, strict=False):
                    done[each] += program.waits
                    refused += program.refused
        limited = sum(call.status == 429 for call in fleet.calls())
    return report(latencies, done, refused, limited)


def report(latencies: dict[str, list[float]], done: dict[str, list[float]], refused: int, limited: int) -> bool:
    """Print the figures; return whether the targets are met."""
    for which, found in latencies.items():
        print(f"{which}: {len(found)} answers, p50 {statistics.median(found):.3f} s, p95 {p95(found):.3f} s")
    total = sum(map(len, done.values()))
    for each in CLASSES:
        waits = done[each]
        share, slowest = len(waits) / total, p95(waits) if len(waits) > 1 else float("nan")
        print(f"{each}: {share:.1%} of the clients' {total} calls, p95 {slowest:.2f} s")
    ratio = p95(latencies["with clients"]) / p95(latencies["alone"])
    print(f"p95 of the engine with three clients, relative to alone: {ratio:.2f}, target {RATIO:.2f}")
    print(f"calls that HappyFox answered with 429: {limited}, target 0")
    print(f"calls of clients that waited for more than 30 s: {refused}, target 0")
    counts = [len(done[each]) for each in CLASSES]
    print(f"calls of {', '.join(CLASSES)} clients: {counts}, target in this order")
    return ratio <= RATIO and not limited and not refused and counts == sorted(counts, reverse=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=18.0)
    arguments = parser.parse_args()
    sys.exit(0 if measure(arguments.rounds, arguments.seconds) else 1)


if __name__ == "__main__":
    main()
