"""How fast does the simulator answer GET of a ticket, next to a bare Starlette endpoint that answers JSON?

    python -m tests.bench.simulator [--rounds 5] [--seconds 2] [--connections 16]

Both run under uvicorn with the same options on one core, the load (wrk, or a generator of our own) on another.
Rounds are interleaved, figures are medians. The ticket has five messages; the bare endpoint answers a dozen bytes.
"""

import argparse
import asyncio
import base64
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from service.processes.simulator import build
from tests.bench.endpoint import pin
from workers.simulator import Simulator

BAR = 0.3
PATH = "/api/1.1/json/ticket/1/"
AUTH = "Basic " + base64.b64encode(b"demo-key:demo-code").decode()


def bare() -> Starlette:
    """Answers JSON, and that is all."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse({"id": 1})

    return Starlette(routes=[Route(PATH, endpoint)])


def ours() -> Starlette:
    """A simulator with one ticket of five messages."""
    simulator = Simulator(time.time, gets=10**9)
    simulator.create_ticket(subject="Printer on fire", text="It burns. " * 20, fields={"Product": "Printer"})
    for _ in range(2):
        simulator.staff_updates(1, text="Have you tried water? " * 10)
        simulator.contact_replies(1, "Now it is wet. " * 10)
    return build(simulator)


def serve(which: str, port: int) -> None:
    pin(0)
    uvicorn.run(
        bare() if which == "bare" else ours(),
        host="127.0.0.1",
        port=port,
        http="httptools",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
    )


@contextmanager
def server(which: str) -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.simulator", "--serve", which, "--port", str(port)]
    process = subprocess.Popen(command)
    try:
        while not asyncio.run(_answers(port)):
            assert process.poll() is None, "the server did not start"
        yield port
    finally:
        process.terminate()
        process.wait(15)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.05)
        return False
    writer.write(_request())
    status = await reader.readline()
    writer.close()
    assert b" 200 " in status, status
    return True


def _request() -> bytes:
    return f"GET {PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: {AUTH}\r\n\r\n".encode()


async def generate(port: int, connections: int, seconds: float) -> None:
    """The load where wrk is not installed; prints its figure as wrk does."""
    end, sent = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(_request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert head.startswith(b"HTTP/1.1 200"), f"Non-2xx: {head!r}"
            assert length, head
            await reader.readexactly(int(length[1]))
            sent += 1
        writer.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    print(f"Requests/sec: {sent / seconds:.1f}")


def speed(port: int, connections: int, seconds: float) -> float:
    """Requests answered in a second, all with 200."""
    command = [sys.executable, "-m", "tests.bench.simulator", "--load", "--port", str(port)]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-H", f"Authorization: {AUTH}"]
        command.append(f"http://127.0.0.1:{port}{PATH}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pin(1, process.pid)
    out = process.communicate()[0]
    assert "Non-2xx" not in out, out
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found, out
    return float(found[1])


def measure(rounds: int, seconds: float, connections: int) -> float:
    """Prints the figures and gives the ratio of the simulator to bare."""
    speeds: dict[str, list[float]] = {"bare": [], "simulator": []}
    with server("bare") as first, server("simulator") as second:
        ports = {"bare": first, "simulator": second}
        for number in range(rounds + 1):
            for name in ports if number % 2 else reversed(ports):
                found = speed(ports[name], connections, seconds)
                if number:  # the first round warms up
                    speeds[name].append(found)
    for name, several in speeds.items():
        print(f"{name:9} {statistics.median(several):8.0f} requests/s ({min(several):.0f} to {max(several):.0f})")
    ratio: float = statistics.median(ours / theirs for theirs, ours in zip(*speeds.values(), strict=True))
    print(f"ratio {ratio:.2f} in the median round, to reach {BAR:.2f}")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--serve", choices=("bare", "simulator"), help=argparse.SUPPRESS)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.port)
    elif args.load:
        asyncio.run(generate(args.port, args.connections, args.seconds))
    else:
        sys.exit(0 if measure(args.rounds, args.seconds, args.connections) >= BAR else 1)


if __name__ == "__main__":
    main()
