"""The web process on real sockets: in this process, or as a process of its own."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from service.web.app import build, configure
from service.web.connections import Limits
from tests.support.intake import KEY, REPLY, settings
from tests.support.processes import most_memory, wait_until
from workers.webhook import HEADER, sign

DEFAULT = Limits()

PROGRAM = """
import os
import resource
import socket
from pathlib import Path
from service.web.app import serve
from service.web.connections import Limits
from workers.settings import load
files = int(os.environ.pop("TEST_FILES", 1024))
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
accept, idle = os.environ.pop("TEST_ACCEPT", 0), os.environ.pop("TEST_IDLE", 95)
limits = Limits(accept=float(accept), idle=int(idle))
settings = load("web", os.environ, Path.cwd())
serve(settings, socket.create_server(("127.0.0.1", settings.port)), limits)
"""


@contextlib.asynccontextmanager
async def listening(url: str, limits: Limits = DEFAULT) -> AsyncIterator[int]:
    """Run the application under uvicorn in this process; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        web = uvicorn.Server(configure(build(settings(url), limits), limits))
        task = asyncio.create_task(web.serve([bound]))
        async with asyncio.timeout(20):
            while not web.started:
                await asyncio.sleep(0.01)
        try:
            yield bound.getsockname()[1]
        finally:
            web.should_exit = True
            await task


@contextlib.contextmanager
def on_socket(app: Starlette, limits: Limits = DEFAULT) -> Iterator[int]:
    """Serve an application from a thread of this process during the block; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(configure(app, limits))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])))
        thread.start()
        try:
            wait_until(lambda: server.started, "the server has started")
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection during the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Web:
    """A web process of its own; more settings are variables, and `TEST_FILES`, `TEST_ACCEPT` and
    `TEST_IDLE` set its limits."""

    def __init__(self, url: str, **more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.environ = {**os.environ, "HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": KEY}
        self.environ |= {"REDIS_URL": url, "FOXHOOKS_DURABILITY": "fsync", "PORT": str(self.port)}
        self.environ |= {"HOST": "127.0.0.1", "PYTHONPATH": str(Path(__file__).parents[2]), **more}
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=self.environ, stdout=self.log, stderr=self.log
        )
        self.wait()

    def wait(self, path: str = "/healthz") -> None:
        """Wait until it answers 200."""
        give_up = time.monotonic() + 30
        while self.get(path) != 200:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < give_up, self.text()
            time.sleep(0.02)

    def get(self, path: str) -> int:
        """Return the status of the answer, 0 for none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}").status_code
        except httpx.TransportError:
            return 0

    def deliver(self, body: bytes = REPLY) -> httpx.Response:
        """Deliver a body, signed, over a new connection."""
        address = f"http://127.0.0.1:{self.port}/webhooks/acme"
        return httpx.post(address, content=body, headers={HEADER: sign(KEY, body)})

    def text(self) -> str:
        """Return its output."""
        self.log.seek(0)
        return self.log.read().decode()

    def memory(self) -> int:
        """Return the most memory that it has used since the last call, in bytes."""
        return most_memory(self.process.pid)

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self.log.close()
