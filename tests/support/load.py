"""Load for benchmarks: a server in a process of its own on the first core, and requests from the second.

The requests are sent by wrk, or where wrk is not installed by

    python -m tests.support.load FILE PORT CONNECTIONS SECONDS
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from tests.support.processes import free_port

LUA = """
local requests, n = {{}}, 0
for each in io.open("{file}", "rb"):read("*a"):gmatch("([^%z]+)") do
  requests[#requests + 1] = each
end
request = function() n = n % #requests + 1 return requests[n] end
"""


def pin(core: int, pid: int = 0) -> None:
    """Bind a process to one core, where the system can and has several."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


@dataclass(frozen=True)
class MeasuredServer:
    """A server that answers."""

    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Return the seconds of processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(app: Starlette, port: int, config: uvicorn.Config | None = None) -> None:
    """Serve in this process, with the same options for every server unless it has its own."""
    pin(0)
    config = config or uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
    )
    config.host, config.port = "127.0.0.1", port
    uvicorn.Server(config).run()


@contextmanager
def server(bench: str, name: str, request: bytes, *options: str) -> Iterator[MeasuredServer]:
    """Run `python -m tests.bench.BENCH --serve NAME --port ...` until the request is answered 200, and to the end."""
    port = free_port()
    command = [sys.executable, "-m", f"tests.bench.{bench}", "--serve", name, "--port", str(port), *options]
    process = subprocess.Popen(command)
    try:
        while not _answers(port, request):
            assert process.poll() is None, "the server did not start"
        yield MeasuredServer(name, port, process.pid)
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


class Load:
    """Sends whole requests one after another, and starts again at the first."""

    def __init__(self, requests: Iterable[bytes], folder: Path, connections: int, seconds: float) -> None:
        file, script = folder / "requests", folder / "load.lua"
        file.write_bytes(b"\0".join(requests))
        script.write_text(LUA.format(file=file))
        self._ours = [sys.executable, "-m", "tests.support.load", str(file)], [str(connections), str(seconds)]
        self._wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script)]

    def run(self, port: int) -> tuple[int, float]:
        """Return how many requests were answered, all with 200, and how many per second."""
        before, behind = self._ours
        wrk = [*self._wrk, f"http://127.0.0.1:{port}/"]
        command = wrk if shutil.which("wrk") else [*before, str(port), *behind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        pin(1, process.pid)
        out = process.communicate()[0]
        assert "Non-2xx" not in out, out
        assert "Socket errors" not in out, out
        answered = re.search(r"(\d+) requests in", out)
        speed = re.search(r"Requests/sec:\s+([\d.]+)", out)
        assert answered, out
        assert speed, out
        return int(answered[1]), float(speed[1])


async def generate(requests: list[bytes], port: int, connections: int, seconds: float) -> None:
    """Send the requests and print figures as wrk does."""
    end = time.perf_counter() + seconds
    sent = 0

    async def one() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            sent += 1
            writer.write(requests[sent % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert head.startswith(b"HTTP/1.1 200"), f"Non-2xx: {head!r}"
            assert length, head
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    print(f"{sent} requests in {seconds} s\nRequests/sec: {sent / seconds:.1f}")


if __name__ == "__main__":
    file, port, connections, seconds = sys.argv[1:]
    asyncio.run(generate(Path(file).read_bytes().split(b"\0"), int(port), int(connections), float(seconds)))
