"""Real processes for tests: a user's project, commands run in it, and waiting for what they do."""

import contextlib
import fcntl
import functools
import io
import itertools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import httpx
import pytest

from workers.webhook import HEADER, sign

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SECRET = "test-secret"

QUIET = 'from workers import Router\nrouter = Router("quiet")\n'

SETTINGS = """\
handlers = ["quiet:router"]
port = {port}
[accounts.acme]
url = "http://127.0.0.1:{happyfox}"
api_key = "test-key"
auth_code = "test-code"
webhook_secrets = ["{secret}"]
staff_id = 7
"""

#: Ports for servers that tests start, below the ports that the kernel hands out itself.
PORTS = range(20_000, 32_000)
#: Ports that one test process claims for itself.
BLOCK = 200


class Project:
    """A user's folder with settings and a handler; `foxhooks` runs in it as a real process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.happyfox = free_port(), free_port()
        self.log = folder / "up.log"
        (folder / "quiet.py").write_text(QUIET)
        settings = SETTINGS.format(port=self.port, happyfox=self.happyfox, secret=SECRET)
        (folder / "foxhooks.toml").write_text(settings)

    def invoke(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in this process, which takes a tenth of the time of a new one."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            patch.dict(os.environ, environ),
            patch.object(sys, "argv", ["foxhooks", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                runpy.run_module("service", run_name="__main__")
            except SystemExit as ended:
                code = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a process of its own."""
        return subprocess.run(
            foxhooks(*arguments),
            cwd=self.folder,
            env=clean(**environ),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def up(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start `foxhooks up`, or another command that keeps running; it prints into `log`."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                foxhooks(*(arguments or ("up",))),
                cwd=self.folder,
                env=clean(**environ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def printed(self) -> str:
        """Return what `up` has printed so far."""
        return self.log.read_text()

    def ready(self) -> bool:
        """Return whether a delivery can be stored now."""
        return status_of(f"http://127.0.0.1:{self.port}/readyz") == 200

    def worker_alive(self) -> bool:
        """Return whether `status --worker` finds a living worker."""
        return self.invoke("status", "--worker").returncode == 0

    def deliver(self, ticket: int) -> httpx.Response:
        """Deliver a signed webhook."""
        body = json.dumps({"event_type": "ticket-created", "ticket_id": ticket}).encode()
        url = f"http://127.0.0.1:{self.port}/webhooks/acme/"
        return httpx.post(url, content=body, headers={HEADER: sign(SECRET, body)}, trust_env=False, verify=False)

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says of the account."""
        shown = json.loads(self.invoke("status", "--json").stdout)
        account: dict[str, Any] = shown["accounts"][0]
        return account


class Process:
    """A process with everything it starts itself; signals go to its whole group, output to memory."""

    #: Whether it may end with an error.
    doomed = False
    #: Whether it has logged that a turn failed.
    failed = False

    def __init__(self, command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            # A child of `--child` ends by itself when this pipe closes, however the tests end.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environ,
            cwd=folder,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {self.pid}")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.lines.append(line.rstrip("\n"))
                self.failed = self.failed or "a turn failed" in line

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
        """Return whether a worker has said that it is ready; fail if it ended instead."""
        if self.code is not None:
            pytest.fail(f"ended with {self.code}:\n{self.output}")
        return "Worker is ready" in self.output

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the whole group, frozen or not, and wait for its end."""
        if self._reader.is_alive():  # a process of the group still holds the pipe
            self.signal(signal.SIGKILL)
        self.join()

    def terminate(self) -> float:
        """Ask it to end, as a platform does; return the seconds that took."""
        began = time.monotonic()
        self._process.terminate()
        self.join()
        return time.monotonic() - began

    def join(self) -> None:
        """Wait for its end."""
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            pytest.fail(f"does not end:\n{self.output}")
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join(20)


def foxhooks(*arguments: str) -> list[str]:
    """Return the command line that runs `foxhooks` from this checkout."""
    return [sys.executable, "-P", "-m", "service", *arguments]


def clean(**environ: str) -> dict[str, str]:
    """Return an environment with this checkout on Python's path and no setting of the machine."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **environ}


def children_of(pid: int) -> dict[str, int]:
    """Return the children of a process by what they are: store, web, worker (Linux)."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            continue
        if "valkey" in words[0]:
            found["store"] = int(child)
        elif "--child" in words:  # not so between fork and exec, and after its death
            found[words[words.index("--child") - 1]] = int(child)
    return found


def gone(pid: int) -> bool:
    """Return whether a process has ended, even if nobody has collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def most_memory(pid: int) -> int:
    """Return the most memory that a process has used since the last call, in bytes (Linux)."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    (folder / "clear_refs").write_text("5")
    return int(status["VmHWM"].split()[0]) * 1024


def starved(pid: int) -> float:
    """Return for how many seconds a process was ready to run and got no processor, in its main thread (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> int:
    """End a process tree in order and return its exit code."""
    process.send_signal(number)
    return process.wait(timeout=60)


def status_of(url: str) -> int:
    """Return the HTTP status of a URL, 0 while nobody listens."""
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code
    except httpx.HTTPError:
        return 0


def wait_until(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Return the first true answer of ``condition``; fail with ``what`` after ``seconds``."""
    give_up = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > give_up:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.01)
    return answer


def wait_ready(project: Project) -> None:
    """Wait until the web process accepts deliveries."""
    wait_until(project.ready, f"web is ready; it printed:\n{project.printed()}")


def free_port() -> int:
    """Return a free port of the loopback address that no other test process uses.

    A port that the kernel picks may be taken by somebody else before a server listens on it. So each test process
    claims a block of ports of its own.
    """
    for port in itertools.islice(_block(), BLOCK):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("every port of this test process is in use")


@functools.cache
def _block() -> Iterator[int]:
    """Claim a block of ports until this process ends, and cycle through it."""
    for first in PORTS[::BLOCK]:
        lock = os.open(Path(tempfile.gettempdir()) / f"foxhooks-ports-{first}", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return itertools.cycle(range(first, first + BLOCK))
    raise OSError(f"{len(PORTS) // BLOCK} test processes run already")
