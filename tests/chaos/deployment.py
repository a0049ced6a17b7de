"""The deployment under attack: a store that syncs every write, two web processes, three workers, and a simulator."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.courier import Courier, CourierSimulator
from tests.chaos.denials import Denials
from tests.support import fleet
from tests.support.fleet import Fleet, P
from tests.support.processes import Process, free_port, most_memory, starved, wait_until
from tests.support.relays import Network, Relay
from tests.support.replicas import ReplicatedStore
from tests.support.stores import Server

WORKERS = 3
#: The calls that HappyFox allows in any window, and its length in seconds. Every 429 halves the share that foxhooks
#: uses for an hour, down to an eighth, which must still suffice.
GETS, POSTS, WINDOW = 1500, 2400, 6.0
#: How long HappyFox refuses all calls after one too many.
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
    "FOXHOOKS_SWEEP_MINUTES": "0.1",
}


class Deployment:
    """The processes of the deployment."""

    def __init__(self, fleet: Fleet, courier: Courier, denials: Denials, environ: dict[str, str]) -> None:
        self.fleet, self.courier, self.denials = fleet, courier, denials
        self.network = Network()
        """The network outside: between workers and HappyFox, and that of strangers."""
        self.happyfox = Relay(int(fleet.happyfox.rpartition(":")[2]))
        """The address of HappyFox for workers."""
        self.network.do(self.happyfox.open())
        self.environ = {**environ, "HAPPYFOX_URL": f"http://127.0.0.1:{self.happyfox.port}"}
        """The settings of workers that start from now on."""
        self.processes: dict[str, Process] = {}
        """The running processes by name."""
        self.ended: list[tuple[str, Process]] = []
        """The killed processes, kept for their output."""
        self.frozen: set[str] = set()
        """The names of the processes that are currently stopped (SIGSTOP)."""

    def start(self, name: str) -> None:
        """Start a process such as ``web 0`` or ``worker 2``, which is ready after about a second."""
        kind, _, number = name.partition(" ")
        if kind == "web":
            self.processes[name] = self.fleet.start_web(PORT=str(self.courier.ports[int(number)]))
        else:
            self.processes[name] = self.fleet.start_worker(**self.environ)

    def kill(self, name: str) -> None:
        """Kill a process with everything it started."""
        process = self.processes[name]
        process.kill()
        del self.processes[name]
        self.frozen.discard(name)
        self.ended.append((name, process))

    def close(self) -> None:
        """Kill everything that still runs."""
        for name in list(self.processes):
            self.kill(name)
        self.network.do(self.happyfox.shut())
        self.network.close()

    def alive(self, kind: str) -> list[str]:
        """Return the running, unfrozen processes of a kind; fail if one ended unexpectedly."""
        for name, process in self.processes.items():
            if process.code is not None:
                raise AssertionError(f"{name} ended with {process.code}:\n{process.output[-5000:]}")
        return [name for name in self.processes if name.startswith(kind) and name not in self.frozen]

    def memory(self) -> dict[str, int]:
        """Return the most memory that each web process has used since the last call, in bytes."""
        return {name: most_memory(self.processes[name].pid) for name in self.alive("web")}

    def starved(self) -> float:
        """Return for how many seconds a web process has waited for a processor, the one that waited longest."""
        return max(starved(self.processes[name].pid) for name in self.alive("web"))

    def why_closed(self) -> str:
        """Return why foxhooks makes no calls now, or made none when it last did so; the store has to be there."""
        with self.fleet.redis() as client:
            return str((client.hget(f"{P}gate", "why") or b"").decode())

    def idle(self) -> bool:
        """Return whether all webhooks are delivered and no lane has work left."""
        with self.fleet.redis() as client:
            return not self.courier.busy and not client.zcard(f"{P}schedule")

    def count_lines(self, words: str) -> int:
        """Count the lines with these words in the output of all processes, running or killed."""
        printed = [*self.processes.values(), *(process for _, process in self.ended)]
        return sum(words in line for process in printed for line in process.lines)

    def keep_logs(self, folder: Path) -> None:
        """Write the output of every process into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, process) in enumerate([*self.ended, *self.processes.items()]):
            (folder / f"{number:03} {name}.log").write_text(process.output + "\n")


@contextlib.contextmanager
def deployed(seed: int, plugin: str, store: Server | ReplicatedStore, **environ: str) -> Iterator[Deployment]:
    """Start everything, wait until it is ready, and stop it at the end of the block; `environ` is for the workers."""
    simulator = CourierSimulator(
        time.time, gets=GETS, posts=POSTS, window=WINDOW, lockout=LOCKOUT, latency=LATENCY, keep=1_000_000
    )
    simulator.courier = courier = Courier([free_port(), free_port()], seed)
    simulator.api.faults = denials = Denials()
    with fleet.deployed(plugin, simulator=simulator, store=store) as started:
        deployment = Deployment(started, courier, denials, {**LIMITS, **environ})
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
