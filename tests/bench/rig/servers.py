"""Servers under measurement: each in a process of its own, on the first core."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette


def pin(core: int, pid: int = 0) -> None:
    """Binds a process to one core, where the system can and has several."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(app: Starlette, port: int) -> None:
    """Serves in this process, with the same options for every server."""
    pin(0)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
    )


@contextmanager
def server(bench: str, name: str, request: bytes, *options: str) -> Iterator[Server]:
    """Runs `python -m tests.bench.BENCH --serve NAME --port ...` until the request is answered 200, and to the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", f"tests.bench.{bench}", "--serve", name, "--port", str(port), *options]
    process = subprocess.Popen(command)
    try:
        while not _answers(port, request):
            assert process.poll() is None, "the server did not start"
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        process.wait(15)


def _answers(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection, connection.makefile("rb") as answer:
            connection.sendall(request)
            status = answer.readline()
    except ConnectionRefusedError:
        time.sleep(0.05)
        return False
    assert b" 200 " in status, f"not ready: {status!r}"
    return True
