"""A whole deployment of real processes: store, web, workers, and a HappyFox that a test can hold, cut and lock.

Windows are short, limits generous: what a killed worker had in flight keeps its slots for longer than a test runs.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.processes.simulator import running
from tests.service.receiver import Server
from workers.events.signature import HEADER, sign
from workers.simulator import LoggedCall, Simulator
from workers.simulator.account import StoredTicket

ROOT = Path(__file__).parents[2]
ACCOUNT = "demo"
SECRET = "key-of-the-webhooks"
P = f"foxhooks:{{{ACCOUNT}}}:"
BOT = 7
#: Seconds of a lease; an orphan of a killed worker waits that long.
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
    "FOXHOOKS_FUSE": "1000",
    "FOXHOOKS_LEASE_SECONDS": f"{LEASE:g}",
    "HOST": "127.0.0.1",
    "LOG_FORMAT": "json",
}


class Process:
    """One process of the deployment with all that it starts itself; its whole group gets the signals."""

    #: Whether it may end with an error.
    doomed = False

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            # As a child it ends by itself when the tests do, however they end.
            [sys.executable, "-P", "-m", "service", name, "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            cwd=folder,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=name)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self.lines.extend(line.rstrip("\n") for line in lines)

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended, negative for a signal."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return "\n".join(self.lines)

    def ready(self) -> bool:
        """Tells whether a worker has said that it is; fails when it ended instead."""
        if self.code is not None:
            pytest.fail(f"ended with {self.code}:\n{self.output}")
        return "worker is ready" in self.output

    def signal(self, number: int) -> None:
        """Sends a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kills the whole group, frozen or not, and waits for its end."""
        if self._reader.is_alive():  # somebody of the group still holds the pipe
            self.signal(signal.SIGKILL)
        self.join()

    def terminate(self) -> float:
        """Asks it to end, as a platform does; gives the seconds that took."""
        began = time.monotonic()
        self._process.terminate()
        self.join()
        return time.monotonic() - began

    def join(self) -> None:
        """Waits for its end."""
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            pytest.fail(f"does not end:\n{self.output}")
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join(20)


class Fleet:
    """A deployment in a folder of its own; ``plugin`` is the text of its handlers."""

    def __init__(self, folder: Path, store: Server, simulator: Simulator, happyfox: str, plugin: str) -> None:
        self.folder, self.store, self.simulator, self.happyfox = folder, store, simulator, happyfox
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers: list[Process] = []
        self.web: Process | None = None
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SENTRY")},
            **SETTINGS,
            "HAPPYFOX_URL": happyfox,
            "REDIS_URL": store.url,
            "PORT": str(self.port),
            "FOXHOOKS_HANDLERS": "handlers:router",
            "FOXHOOKS_ALLOW": "test:reply",
            "TEST_FOLDER": str(folder),
        }
        self.http = httpx.Client(timeout=20, trust_env=False)
        self.plugin(plugin)

    # -- processes

    def plugin(self, text: str) -> None:
        """Writes the handlers that workers started from now on load."""
        (self.folder / "handlers.py").write_text(text)

    def start_web(self, **environ: str) -> Process:
        """Starts the web process and lets HappyFox's webhooks go to it."""
        self.web = Process("web", {**self._environ, **environ}, self.folder)
        return self.web

    def start_worker(self, **environ: str) -> Process:
        """Starts a worker; it may take a second until it is ready."""
        worker = Process("worker", {**self._environ, **environ}, self.folder)
        self.workers.append(worker)
        return worker

    def ready_worker(self, **environ: str) -> Process:
        """Starts a worker and waits until it is ready."""
        worker = self.start_worker(**environ)
        self.wait(worker.ready, "the worker is ready")
        return worker

    def close(self) -> None:
        """Kills everything that still runs."""
        for process in self._processes():
            process.kill()
        self.http.close()

    def logs(self) -> str:
        """Everything the processes have printed."""
        return "\n".join(process.output for process in self._processes())

    def _processes(self) -> list[Process]:
        return [*self.workers, *([self.web] if self.web else [])]

    # -- HappyFox's side

    def connect_hooks(self) -> None:
        """Lets the simulated HappyFox tell the web process of everything, again and again until it is taken."""
        hooks = [{"url": f"{self.url}/webhooks/{ACCOUNT}/", "key": SECRET, "tries": 20, "backoff": 0.2}]
        self.http.put(f"{self.happyfox}/simulator/hooks", json=hooks).raise_for_status()

    def ask(self, verb: str, where: str, /, **body: Any) -> Any:
        """Calls the simulator's own API."""
        answer = self.http.request(verb, f"{self.happyfox}/simulator/{where}", json=body or None)
        return answer.raise_for_status().json()

    def open_ticket(self, **draft: Any) -> int:
        """Lets a contact open a ticket; gives its number."""
        return int(self.ask("POST", "tickets", email="sam@bigcorp.example", **draft)["id"])

    def reply(self, ticket: int, text: str) -> None:
        """Lets the ticket's contact reply."""
        self.ask("POST", f"ticket/{ticket}/contact", text=text)

    def fault(self, kind: str, **fault: Any) -> None:
        """Switches a fault of HappyFox's API on."""
        self.ask("POST", "faults", kind=kind, **fault)

    def ticket(self, number: int) -> StoredTicket:
        """Gives a ticket as HappyFox has it."""
        return self.simulator.account.tickets[number]

    def notes(self, number: int) -> list[str]:
        """Gives the texts that we wrote into a ticket, oldest first."""
        rows = self.ask("GET", f"ticket/{number}")["updates"]
        return [row["message"]["text"].strip() for row in rows if row["message"] and row["by"].get("id") == BOT]

    def calls(self, method: str = "", ending: str = "", ticket: int | None = None) -> list[LoggedCall]:
        """Gives the calls that arrived, oldest first."""
        return [
            call
            for call in list(self.simulator.log)
            if call.method.startswith(method)
            and call.path.strip("/").endswith(ending)
            and ticket in (None, call.ticket)
        ]

    # -- our side

    def deliver(self, body: bytes) -> httpx.Response:
        """Delivers a webhook of the test's own, signed."""
        return self.http.post(f"{self.url}/webhooks/{ACCOUNT}/", content=body, headers={HEADER: sign(SECRET, body)})

    def answers(self, path: str = "/readyz") -> int:
        """Gives the status of a route of the web process, 0 while nobody listens."""
        try:
            return self.http.get(f"{self.url}{path}").status_code
        except httpx.TransportError:
            return 0

    @contextlib.contextmanager
    def redis(self) -> "Iterator[redis.Redis]":
        """Gives a client of the store."""
        with redis.Redis.from_url(self.store.url) as client:
            yield client

    def idle(self) -> bool:
        """Tells whether HappyFox has told everything and no lane has anything left to do."""
        if any(delivery.finished is None for delivery in self.simulator.deliveries) or self.simulator.webhooks.waiting:
            return False
        with self.redis() as client:
            return not client.zcard(f"{P}sched")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Waits for a condition; failing, it shows what the processes said last."""
        give_up = time.monotonic() + seconds
        while not (answer := condition()):
            ends = (None, 0, -signal.SIGKILL)
            broken = [process for process in self._processes() if process.code not in ends and not process.doomed]
            if broken or "a turn failed" in self.logs() or time.monotonic() > give_up:
                pytest.fail(f"never happened: {what}\n" + "\n".join(self.logs().splitlines()[-40:]))
            time.sleep(0.01)
        return answer

    def held(self, method: str, path: str) -> LoggedCall:
        """Waits for a call and gives it, as far as it has come."""
        self.wait(lambda: self.calls(method, path), f"the call {method} {path}")
        return self.calls(method, path)[0]

    def settle(self, seconds: float = 60.0) -> None:
        """Waits until nothing is left to do."""
        self.wait(self.idle, "all lanes are worked off", seconds)

    def trail(self, ticket: int) -> str:
        """Gives the trail of a ticket."""
        with self.redis() as client:
            return "\n".join(line.decode() for line in client.lrange(f"{P}trail:{ticket}", 0, -1))


def free_port() -> int:
    """Finds a free port of the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def deployed(folder: Path, store: Server, plugin: str, **options: Any) -> Iterator[Fleet]:
    """A deployment with nothing started but HappyFox; ``options`` are the simulator's."""
    defaults = {"gets": 100_000, "posts": 100_000, "window": 6.0, "lockout": 2.0}
    simulator = Simulator(time.time, **{**defaults, **options})
    with running(simulator) as happyfox:
        fleet = Fleet(folder, store, simulator, happyfox, plugin)
        try:
            fleet.connect_hooks()
            yield fleet
        finally:
            fleet.close()
