"""Measure what a ticket costs in a whole deployment: processor time, calls, memory of each process.

    python -m tests.bench.sizing [--tickets 400]

A web process and a worker, with a store that syncs every write and a simulated HappyFox, are started as users start
them. Contacts open tickets and reply twice; for each message a handler writes a note and a reply, sets a tag and a
status. The figures are processor time, counts and resident memory, which depend little on what else the machine does.
Linux only.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.fleet import Fleet, deployed
from tests.support.plugins import FAITHFUL
from tests.support.processes import Process

MESSAGES = 3
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def members(process: Process) -> Iterator[list[str]]:
    """Yield what /proc says of each process of a group, from its state on."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if int(fields[2]) == process.pid:
            yield fields


def spent(process: Process) -> float:
    """Return the processor time (s) of a process and its children."""
    return sum(int(fields[11]) + int(fields[12]) for fields in members(process)) / TICK


def resident(process: Process) -> list[float]:
    """Return the resident memory (MB) of a process and of each of its children."""
    return sorted(int(fields[21]) * PAGE / 1e6 for fields in members(process))


class Meter:
    """The processor time of each part since the last look."""

    def __init__(self, fleet: Fleet, web: Process, worker: Process) -> None:
        self._fleet, self._processes = fleet, {"web": web, "worker": worker}
        self._last: dict[str, float] = {}
        self.look()

    def look(self) -> dict[str, float]:
        """Return the seconds of each part."""
        now = {name: spent(process) for name, process in self._processes.items()}
        with self._fleet.redis() as client:
            found = client.info("cpu")
        now["store"] = float(found["used_cpu_user"]) + float(found["used_cpu_sys"])
        used = {name: value - self._last.get(name, 0.0) for name, value in now.items()}
        self._last = now
        return used


@contextmanager
def started() -> Iterator[tuple[Fleet, Process, Process]]:
    """Start everything."""
    with deployed(FAITHFUL) as fleet:
        web, worker = fleet.start_web(), fleet.ready_worker()
        fleet.wait(lambda: fleet.answers() == 200, "web is ready")
        yield fleet, web, worker


def settled(fleet: Fleet) -> int:
    with fleet.redis() as client:
        return int(client.zcard("foxhooks:{demo}:turns"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=400)
    tickets = parser.parse_args().tickets
    with started() as (fleet, web, worker):
        meter = Meter(fleet, web, worker)
        for message in range(MESSAGES):
            for number in range(1, tickets + 1):
                if message:
                    fleet.reply(number, f"message {message} of ticket {number}, " + "with some more words " * 15)
                else:
                    fleet.open_ticket(text=f"the first message of ticket {number}, " + "with some more words " * 15)
            fleet.settle(1_200)
        used, turns, calls = meter.look(), settled(fleet), fleet.calls()
        deliveries = len(fleet.simulator.deliveries)
        memory = {"web": resident(web), "worker": resident(worker)}
    reads = sum(call.method == "GET" for call in calls)
    print(f"{tickets:,} tickets, {deliveries:,} deliveries, {turns:,} turns")
    print(f"calls per turn: {reads / turns:.1f} reads, {(len(calls) - reads) / turns:.1f} writes")
    print(f"web: {used['web'] / deliveries * 1e3:.2f} ms of processor time per delivery")
    speed = f"{turns / used['worker']:.0f} turns per second and core"
    print(f"worker: {used['worker'] / turns * 1e3:.1f} ms per turn: {speed}")
    print(f"store: {used['store'] / turns * 1e3:.2f} ms per turn, with its deliveries and calls")
    for name, sizes in memory.items():
        print(f"memory of {name}: {' and '.join(f'{size:.0f}' for size in sizes)} MB")


if __name__ == "__main__":
    main()
