"""What tests of the intake share: a store that can be killed and started again, settings, a client of the app."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from tests import stores
from workers.events.signature import HEADER, sign
from workers.settings import Settings, load

KEY = "hf-test-signing-key"
REPLY = b'{"ticket_id":3,"update":{"message_type":"Client Reply"}}'
P = "foxhooks:{acme}:"

# Ends the store as soon as the pipe from the test process closes.
GUARDIAN = """
import subprocess, sys
with open(sys.argv[1], "wb") as log:
    store = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
sys.stdin.read()
store.kill()
store.wait()
"""


class Server:
    """A store of its own whose data and socket survive its end."""

    def __init__(self, kind: str = "valkey", *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
        self.url = f"unix://{self.folder}/socket"
        self._command = [stores.binary(kind), "--port", "0", "--unixsocket", f"{self.folder}/socket"]
        self._command += ["--dir", str(self.folder), "--save", "", "--appendonly", "yes"]
        self._command += ["--appendfsync", "always", *options]
        self._guardian: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.folder / "log"
        command = [sys.executable, "-c", GUARDIAN, str(log), *self._command]
        self._guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        stores.wait_for(self.url, log)

    def kill(self) -> None:
        if self._guardian is not None:
            self._guardian.communicate()
            self._guardian = None


def settings(url: str, **more: str) -> Settings:
    """Settings of a web process: account acme, two secrets, level fsync."""
    names = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": f"newest,{KEY}"}
    environ = {**names, "REDIS_URL": url, "FOXHOOKS_DURABILITY": "fsync", **more}
    return load("web", environ, Path(tempfile.gettempdir()))


def client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://foxhooks")


async def deliver(
    http: httpx.AsyncClient, body: bytes = REPLY, path: str = "/webhooks/acme", **headers: str
) -> httpx.Response:
    """Posts a body, signed."""
    signed = {HEADER: sign(KEY, body), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await http.post(path, content=body, headers=signed)


def counts(store: Any) -> dict[str, int]:
    """What was counted, without the times."""
    found = store.hgetall(P + "counts")
    return {name.decode(): int(value) for name, value in found.items() if not name.endswith(b":at")}
