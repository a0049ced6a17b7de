"""Compare the simulator's GET of a ticket with a bare Starlette endpoint that returns JSON.

    python -m tests.bench.simulator [--rounds 5] [--seconds 2] [--connections 16]

Both run under uvicorn with the same options on one core, the load generator (wrk, or our own) on another. Rounds are
interleaved, and figures are medians. The ticket has five messages; the bare endpoint returns a dozen bytes.
"""

import argparse
import base64
import statistics
import sys
import tempfile
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from service.processes.simulator import build
from tests.support.load import Load, serve, server
from workers.simulator import Simulator

TARGET = 0.3
PATH = "/api/1.1/json/ticket/1/"
AUTH = base64.b64encode(b"demo-key:demo-code").decode()
REQUEST = f"GET {PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Basic {AUTH}\r\n\r\n".encode()


def bare() -> Starlette:
    """Return an endpoint that only returns JSON."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse({"id": 1})

    return Starlette(routes=[Route(PATH, endpoint)])


def ours() -> Starlette:
    """Return a simulator with one ticket of five messages."""
    simulator = Simulator(time.time, gets=10**9)
    simulator.create_ticket(subject="Printer on fire", text="It burns. " * 20, fields={"Product": "Printer"})
    for _ in range(2):
        simulator.staff_updates(1, text="Have you tried water? " * 10)
        simulator.contact_replies(1, "Now it is wet. " * 10)
    return build(simulator)


def measure(rounds: int, seconds: float, connections: int) -> float:
    """Print the figures and return the ratio of the simulator to the bare endpoint."""
    speeds: dict[str, list[float]] = {"bare": [], "simulator": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        server("simulator", "bare", REQUEST) as first,
        server("simulator", "simulator", REQUEST) as second,
    ):
        load = Load([REQUEST], Path(folder), connections, seconds)
        ports = {"bare": first.port, "simulator": second.port}
        for number in range(rounds + 1):
            for name in ports if number % 2 else reversed(ports):
                _, speed = load.run(ports[name])
                if number:  # the first round warms up
                    speeds[name].append(speed)
    for name, found in speeds.items():
        print(f"{name:9} {statistics.median(found):8.0f} requests/s ({min(found):.0f} to {max(found):.0f})")
    ratio: float = statistics.median(ours / theirs for theirs, ours in zip(*speeds.values(), strict=True))
    print(f"ratio {ratio:.2f} in the median round, target {TARGET:.2f}")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--serve", choices=("bare", "simulator"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(bare() if args.serve == "bare" else ours(), args.port)
    else:
        sys.exit(0 if measure(args.rounds, args.seconds, args.connections) >= TARGET else 1)


if __name__ == "__main__":
    main()
