"""A project of a user for tests: a folder with settings and a handler, and `foxhooks` run in it as a real process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from service.demo import free_ports
from tests.service.waiting import wait_until
from workers.events.signature import HEADER, sign

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


class Project:
    """The folder, and what can be done in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.happyfox = free_ports(2)
        self.log = folder / "up.log"
        (folder / "quiet.py").write_text(QUIET)
        settings = SETTINGS.format(port=self.port, happyfox=self.happyfox, secret=SECRET)
        (folder / "foxhooks.toml").write_text(settings)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "service", *arguments],
            cwd=self.folder,
            env=clean(**environ),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def up(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts `foxhooks up`, or another command that stays; what it prints goes to `log`."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "service", *(arguments or ("up",))],
                cwd=self.folder,
                env=clean(**environ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def printed(self) -> str:
        """What `up` has printed so far."""
        return self.log.read_text()

    def ready(self) -> bool:
        """Tells whether a delivery can be stored now."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def worker_alive(self) -> bool:
        """Tells whether a worker gives signs of life."""
        return self.run("status", "--worker").returncode == 0

    def deliver(self, ticket: int) -> httpx.Response:
        """Delivers a signed webhook."""
        body = json.dumps({"event_type": "ticket-created", "ticket_id": ticket}).encode()
        url = f"http://127.0.0.1:{self.port}/webhooks/acme/"
        return httpx.post(url, content=body, headers={HEADER: sign(SECRET, body)}, trust_env=False)

    def status(self) -> dict[str, Any]:
        """How the account stands."""
        shown = json.loads(self.run("status", "--json").stdout)
        account: dict[str, Any] = shown["accounts"][0]
        return account


def clean(**environ: str) -> dict[str, str]:
    """An environment with the project's code on the path, and nothing of the machine's but what Python needs."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **environ}


def children_of(pid: int) -> dict[str, int]:
    """The children of a process by what they are: store, web, worker (Linux)."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if "valkey" in words[0]:
            found["store"] = int(child)
        elif "--child" in words:  # not so between fork and exec, and after its death
            found[words[words.index("--child") - 1]] = int(child)
    return found


def gone(pid: int) -> bool:
    """Tells whether a process has ended, be it that nobody has collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> int:
    """Ends a process tree in order and gives its exit code."""
    process.send_signal(number)
    return process.wait(timeout=60)


def wait_ready(project: Project) -> None:
    """Waits until the web process takes deliveries."""
    wait_until(project.ready, f"web is ready; it printed:\n{project.printed()}")
