"""A whole deployment of real processes: store, web, workers, and a HappyFox that a test can hold, cut and lock.

Windows are short and limits generous: a killed worker's calls keep their slots for longer than a test runs.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.processes.simulator import running
from tests.support.processes import ROOT, Process, foxhooks, free_port
from tests.support.replicas import ReplicatedStore
from tests.support.stores import Server
from workers.simulator import LoggedCall, Simulator
from workers.simulator.account import StoredTicket
from workers.store.connection import connect
from workers.webhook import HEADER, sign

ACCOUNT = "demo"
SECRET = "key-of-the-webhooks"
P = f"foxhooks:{{{ACCOUNT}}}:"
#: The staff member that foxhooks writes as, and one who is a person.
BOT, COLLEAGUE = 7, 1
#: Seconds of a lease; the lanes of a killed worker wait that long.
LEASE = 2.0
#: Seconds of one call.
TIMEOUT = 2.0

SETTINGS = {
    "HAPPYFOX_ACCOUNT": ACCOUNT,
    "HAPPYFOX_API_KEY": "demo-key",
    "HAPPYFOX_AUTH_CODE": "demo-code",
    "HAPPYFOX_STAFF_ID": str(BOT),
    "HAPPYFOX_GETS_PER_MINUTE": "5000",
    "HAPPYFOX_POSTS_PER_MINUTE": "5000",
    "HAPPYFOX_WINDOW_SECONDS": "6",
    "HAPPYFOX_LOCKOUT_SECONDS": "2",
    "HAPPYFOX_IN_FLIGHT": "100",
    "HAPPYFOX_TIMEOUT_SECONDS": f"{TIMEOUT:g}",
    "HAPPYFOX_DOUBT_SECONDS": "1",
    "HAPPYFOX_WEBHOOK_SECRETS": SECRET,
    "FOXHOOKS_DURABILITY": "fsync",
    "FOXHOOKS_LOOP_GUARD": "1000",
    "FOXHOOKS_REPLIES_PER_CONTACT": "1000000",
    "FOXHOOKS_UNANSWERED_REPLIES": "1000000",
    "FOXHOOKS_LEASE_SECONDS": f"{LEASE:g}",
    "HOST": "127.0.0.1",
    "LOG_FORMAT": "json",
}


#: Limits of the simulated HappyFox that no test reaches unless it sets its own.
UNLIMITED = {"gets": 100_000, "posts": 100_000, "window": 6.0, "lockout": 2.0}


def by_us(update: Mapping[str, Any]) -> bool:
    """Return whether foxhooks wrote an update, as HappyFox shows it; a contact may have the same id."""
    by = update["by"]
    return bool(by["type"] == "staff" and by["id"] == BOT)


class Fleet:
    """A deployment in a folder of its own; ``plugin`` is the source of its handlers."""

    def __init__(
        self, folder: Path, store: Server | ReplicatedStore, simulator: Simulator, happyfox: str, plugin: str
    ) -> None:
        self.folder, self.store, self.simulator, self.happyfox = folder, store, simulator, happyfox
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store_url = store.url
        """The address that processes get from now on."""
        self.workers: list[Process] = []
        self.web: Process | None = None
        self.gateway: Process | None = None
        self.gateway_port = free_port()
        self.gateway_url = f"http://127.0.0.1:{self.gateway_port}"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SENTRY")},
            **SETTINGS,
            "HAPPYFOX_URL": happyfox,
            "REDIS_URL": "",  # `store_url`, when a process starts
            "PORT": str(self.port),
            "FOXHOOKS_HANDLERS": "handlers:router",
            "FOXHOOKS_ALLOW": "test:reply",
            "TEST_FOLDER": str(folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self.http = httpx.Client(timeout=20, trust_env=False)
        self.plugin(plugin)

    # -- processes

    def plugin(self, text: str) -> None:
        """Write the handlers that workers load from now on."""
        (self.folder / "handlers.py").write_text(text)

    def start_web(self, **environ: str) -> Process:
        """Start the web process, which receives HappyFox's webhooks."""
        self.web = self.start("web", "--child", **environ)
        return self.web

    def start_gateway(self, **environ: str) -> Process:
        """Start the gateway, through which other programs call HappyFox."""
        self.gateway = self.start("gateway", "--child", **{"FOXHOOKS_GATEWAY_PORT": str(self.gateway_port), **environ})
        return self.gateway

    def start_worker(self, **environ: str) -> Process:
        """Start a worker; it needs about a second until it is ready."""
        worker = self.start("worker", "--child", **environ)
        self.workers.append(worker)
        return worker

    def ready_worker(self, **environ: str) -> Process:
        """Start a worker and wait until it is ready."""
        worker = self.start_worker(**environ)
        self.wait(worker.ready, "the worker is ready")
        return worker

    def close(self) -> None:
        """Kill everything that still runs."""
        for process in self._processes():
            process.kill()
        self.http.close()

    def logs(self) -> str:
        """Return everything the processes have printed."""
        return "\n".join(process.output for process in self._processes())

    def start(self, name: str, *arguments: str, **environ: str) -> Process:
        """Start a process of any kind."""
        return Process(foxhooks(name, *arguments), self.folder, self._complete(environ))

    def run(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        command, environment = foxhooks(*arguments), self._complete(environ)
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )

    def _complete(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {**self._environ, "REDIS_URL": self.store_url, **environ}

    def _processes(self) -> list[Process]:
        return [*self.workers, *(each for each in (self.web, self.gateway) if each)]

    # -- HappyFox's side

    def connect_hooks(self) -> None:
        """Send every webhook of the simulated HappyFox to the web process, with retries."""
        hooks = [{"url": f"{self.url}/webhooks/{ACCOUNT}/", "key": SECRET, "tries": 20, "backoff": 0.2}]
        self.http.put(f"{self.happyfox}/simulator/hooks", json=hooks).raise_for_status()

    def ask(self, verb: str, where: str, /, **body: Any) -> Any:
        """Call the simulator's own API."""
        answer = self.http.request(verb, f"{self.happyfox}/simulator/{where}", json=body or None)
        return answer.raise_for_status().json()

    def open_ticket(self, **draft: Any) -> int:
        """Open a ticket as a contact and return its number."""
        return int(self.ask("POST", "tickets", **{"email": "sam@bigcorp.example", **draft})["id"])

    def reply(self, ticket: int, text: str) -> None:
        """Reply as the ticket's contact."""
        self.ask("POST", f"ticket/{ticket}/contact", text=text)

    def fault(self, kind: str, **fault: Any) -> None:
        """Add a fault to HappyFox's API."""
        self.ask("POST", "faults", kind=kind, **fault)

    def ticket(self, number: int) -> StoredTicket:
        """Return a ticket from HappyFox."""
        return self.simulator.account.tickets[number]

    def notes(self, number: int) -> list[str]:
        """Return the texts that we wrote into a ticket, oldest first."""
        updates = self.ask("GET", f"ticket/{number}")["updates"]
        return [update["message"]["text"].strip() for update in updates if update["message"] and by_us(update)]

    def mistaken(self) -> list[str]:
        """Return our changes that the handler of `SUSPICIOUS` took for others': ticket, update, kind, actor."""
        return sorted(path.name.removeprefix("seen ") for path in self.folder.glob("seen *"))

    def calls(self, method: str = "", ending: str = "", ticket: int | None = None) -> list[LoggedCall]:
        """Return the calls that arrived, oldest first."""
        return [
            call
            for call in list(self.simulator.log)
            if call.method.startswith(method)
            and call.path.strip("/").endswith(ending)
            and ticket in (None, call.ticket)
        ]

    # -- our side

    def deliver(self, body: bytes) -> httpx.Response:
        """Deliver a webhook of the test's own, signed."""
        return self.http.post(f"{self.url}/webhooks/{ACCOUNT}/", content=body, headers={HEADER: sign(SECRET, body)})

    def gateway_answers(self) -> int:
        """Return the status of the gateway, 0 while nobody listens."""
        return self.answers(url=self.gateway_url)

    def answers(self, path: str = "/readyz", url: str = "") -> int:
        """Return the status of a route of the web process, 0 while nobody listens."""
        try:
            return self.http.get(f"{url or self.url}{path}").status_code
        except httpx.TransportError:
            return 0

    @contextlib.contextmanager
    def redis(self) -> Iterator[Any]:
        """Open a client of the store for the block; untyped, since redis-py types every answer as bytes or str."""
        with connect(self.store.url, connections=2) as client:
            yield client

    def idle(self) -> bool:
        """Return whether all webhooks are delivered and no lane has work left."""
        if any(delivery.finished is None for delivery in self.simulator.deliveries) or self.simulator.webhooks.waiting:
            return False
        with self.redis() as client:
            return not client.zcard(f"{P}schedule")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Wait for a condition; fail with the last lines of the processes."""
        give_up = time.monotonic() + seconds
        while not (answer := condition()):
            ends = (None, 0, -signal.SIGKILL)
            broken = [process for process in self._processes() if process.code not in ends and not process.doomed]
            failed = any(process.failed for process in self._processes())
            if broken or failed or time.monotonic() > give_up:
                pytest.fail(f"never happened: {what}\n" + "\n".join(self.logs().splitlines()[-40:]))
            time.sleep(0.02)
        return answer

    def lane(self, method: str, path: str) -> LoggedCall:
        """Wait for a call and return it in its current state."""
        self.wait(lambda: self.calls(method, path), f"the call {method} {path}")
        return self.calls(method, path)[0]

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until no work is left."""
        self.wait(self.idle, "all lanes are done", seconds)

    def history(self, ticket: int) -> str:
        """Return the history of a ticket."""
        with self.redis() as client:
            return "\n".join(line.decode() for line in client.lrange(f"{P}history:{ticket}", 0, -1))


@contextlib.contextmanager
def deployed(
    plugin: str,
    folder: Path | None = None,
    simulator: Simulator | None = None,
    store: Server | ReplicatedStore | None = None,
    **options: Any,
) -> Iterator[Fleet]:
    """Start a store and a HappyFox, nothing else, until the block ends; ``options`` are the simulator's."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="foxhooks-")))
        store = store or Server()
        stack.callback(store.remove)
        store.start()
        if simulator is None:
            simulator = Simulator(time.time, **{**UNLIMITED, **options})
        fleet = Fleet(folder, store, simulator, stack.enter_context(running(simulator)), plugin)
        stack.callback(fleet.close)
        fleet.connect_hooks()
        yield fleet
