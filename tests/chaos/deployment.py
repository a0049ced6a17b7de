"""The deployment under attack: a store that syncs every write, two web processes, three workers, and HappyFox."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.courier import Courier, Telling
from tests.support import fleet
from tests.support.fleet import Fleet
from tests.support.plugins import CHAOTIC
from tests.support.processes import Process, free_port, wait_until

WORKERS = 3
#: Calls that HappyFox takes in any window of so many seconds, and how long it refuses all after one too many. Every 429
#: halves what is used of it for an hour, down to an eighth, which still has to do.
GETS, POSTS, WINDOW = 1500, 2400, 6.0
LOCKOUT = 3.0
#: Seconds that a write takes.
LATENCY = 0.01

LIMITS = {
    "HAPPYFOX_GETS_PER_MINUTE": str(GETS),
    "HAPPYFOX_POSTS_PER_MINUTE": str(POSTS),
    "HAPPYFOX_WINDOW_SECONDS": f"{WINDOW:g}",
    "HAPPYFOX_LOCKOUT_SECONDS": f"{LOCKOUT:g}",
    "HAPPYFOX_BUDGET_SHARE": "1",
    "HAPPYFOX_IN_FLIGHT": "60",
}


class Deployment:
    """The processes by name; ``ended`` are those that were killed, kept for what they printed.

    A frozen process is in ``frozen`` until it is thawed.
    """

    def __init__(self, fleet: Fleet, courier: Courier) -> None:
        self.fleet, self.courier = fleet, courier
        self.processes: dict[str, Process] = {}
        self.ended: list[tuple[str, Process]] = []
        self.frozen: set[str] = set()

    def start(self, name: str) -> None:
        """Starts the process of this name, ``web 0`` or ``worker 2``; it may take a second until it is ready."""
        kind, _, number = name.partition(" ")
        if kind == "web":
            self.processes[name] = self.fleet.start_web(PORT=str(self.courier.ports[int(number)]))
        else:
            self.processes[name] = self.fleet.start_worker(**LIMITS)

    def kill(self, name: str) -> None:
        """Kills a process with all that it started."""
        process = self.processes[name]
        process.kill()
        del self.processes[name]
        self.frozen.discard(name)
        self.ended.append((name, process))

    def close(self) -> None:
        """Kills everything that still runs."""
        for name in list(self.processes):
            self.kill(name)

    def alive(self, kind: str) -> list[str]:
        """Names the processes of a kind that run and are not frozen; fails when one ended by itself."""
        for name, process in self.processes.items():
            if process.code is not None:
                raise AssertionError(f"{name} ended with {process.code}:\n{process.output[-5000:]}")
        return [name for name in self.processes if name.startswith(kind) and name not in self.frozen]

    def said(self, words: str) -> int:
        """Counts the lines of all processes, living or ended, in which these words stand."""
        printed = [*self.processes.values(), *(process for _, process in self.ended)]
        return sum(words in line for process in printed for line in process.lines)

    def keep_logs(self, folder: Path) -> None:
        """Writes what every process printed into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, process) in enumerate([*self.ended, *self.processes.items()]):
            (folder / f"{number:03} {name}.log").write_text(process.output + "\n")


@contextlib.contextmanager
def deployed(seed: int) -> Iterator[Deployment]:
    """Start everything and wait until it is ready; it ends with the block."""
    simulator = Telling(
        time.time, gets=GETS, posts=POSTS, window=WINDOW, lockout=LOCKOUT, latency=LATENCY, keep=1_000_000
    )
    simulator.courier = courier = Courier([free_port(), free_port()], seed)
    with fleet.deployed(CHAOTIC, simulator=simulator) as started:
        deployment = Deployment(started, courier)
        try:
            for name in ("web 0", "web 1", *(f"worker {number}" for number in range(WORKERS))):
                deployment.start(name)
            for name in list(deployment.processes):
                _wait_for(deployment, name)
            yield deployment
        finally:
            deployment.close()


def _wait_for(deployment: Deployment, name: str) -> None:
    process = deployment.processes[name]
    words = "Worker is ready" if name.startswith("worker") else "startup complete"
    wait_until(lambda: words in process.output or process.code is not None, f"{name} is ready")
    assert process.code is None, f"{name} did not start:\n{process.output}"
