"""How fast is the endpoint with a durable answer, next to one that only verifies and parses?

    python -m tests.bench.endpoint [--rounds 5] [--seconds 4] [--connections 64]

Both run under uvicorn with the same options on one core; the store (Valkey, appendfsync always) and the load
are on another. Every delivery is a new event: there are more bodies than a run can send. Rounds are interleaved,
figures are medians. CPU per delivery is the server's own, the steadier figure on a busy machine.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.intake.app import build
from service.intake.web import calm
from tests import stores
from workers.events.signature import HEADER, sign
from workers.settings import load

KEY = "signing-key-of-the-benchmark"
BODIES = 20_000  # for each second of a run
PATH = "/webhooks/acme/"
BAR = 0.80
PREFIX = "foxhooks:{acme}:"


def body(number: int) -> bytes:
    """A flat delivery of about 1.3 kB."""
    return json.dumps(
        {
            "ticket_id": number,
            "display_id": f"#DC{number:08d}",
            "subject": "Printer on fire",
            "priority_name": "High",
            "assignee_name": "Ada King",
            "client_details": {"name": "Sam Reed", "email": "sam@example.com"},
            "agent_ticket_url": f"https://acme.example/staff/ticket/{number}",
            "update": {
                "message_type": "Client Reply",
                "by": {"type": "user", "name": "Sam Reed"},
                "message": "lorem ipsum " * 75,
            },
        }
    ).encode()


def bare() -> Starlette:
    """Verifies and parses, as anybody would write it with Starlette and the standard library, and stores nothing."""

    async def endpoint(request: Request) -> Response:
        signature = hmac.new(KEY.encode(), await request.body(), hashlib.sha1).hexdigest()
        if not hmac.compare_digest(request.headers.get(HEADER, ""), signature):
            return Response(status_code=401)
        await request.json()
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route("/webhooks/{account}/", endpoint, methods=["POST"])])


def ours(url: str) -> Starlette:
    names = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": KEY}
    environ = {**names, "REDIS_URL": url, "FOXHOOKS_DURABILITY": "fsync"}
    return build(load("web", environ, Path(tempfile.gettempdir())))


def serve(which: str, port: int, url: str) -> None:
    pin(0)
    calm()
    uvicorn.run(
        bare() if which == "bare" else ours(url),
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


def pin(core: int, pid: int = 0) -> None:
    """Binds a process to one core, where the system can and has several."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(name: str, url: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tests.bench.endpoint",
        "--serve",
        name,
        "--port",
        str(port),
        "--url",
        url,
    ]
    process = subprocess.Popen(command)
    try:
        asyncio.run(_up(process, port))
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        process.wait(15)


async def _up(process: "subprocess.Popen[bytes]", port: int) -> None:
    raw = request(1)
    for _ in range(500):
        assert process.poll() is None, "the server did not start"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.write(raw)
        status = await reader.readline()
        writer.close()
        assert b" 200 " in status, f"not ready for deliveries: {status!r}"
        return
    raise AssertionError("the server does not answer")


def request(number: int) -> bytes:
    payload = body(number)
    head = f"POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    head += f"{HEADER}: {sign(KEY, payload)}\r\ncontent-length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


LUA = """
local requests, n = {{}}, 0
for body, signature in io.open("{file}"):read("*a"):gmatch("([^\\n]+)\\n([^\\n]+)\\n") do
  requests[#requests + 1] = wrk.format("POST", "{path}",
    {{["content-type"] = "application/json", ["{header}"] = signature}}, body)
end
request = function() n = n % #requests + 1 return requests[n] end
"""


class Load:
    """Sends deliveries for some seconds over some connections: by wrk, or by a generator of our own."""

    def __init__(self, folder: Path, connections: int, seconds: float) -> None:
        self.connections, self.seconds = connections, seconds
        self.wrk = shutil.which("wrk")
        bodies = folder / "bodies"
        numbers = range(1, int(BODIES * seconds) + 1)
        bodies.write_text("".join(f"{body(n).decode()}\n{sign(KEY, body(n))}\n" for n in numbers))
        self.script = folder / "load.lua"
        self.script.write_text(LUA.format(file=bodies, path=PATH, header=HEADER))

    def run(self, port: int) -> tuple[int, float]:
        """Gives how many requests were answered, all with 200, and how many in a second."""
        command = [sys.executable, "-m", "tests.bench.endpoint", "--load", "--port", str(port)]
        command += ["--connections", str(self.connections), "--seconds", str(self.seconds)]
        if self.wrk:
            command = [
                self.wrk,
                "-t1",
                f"-c{self.connections}",
                f"-d{self.seconds:.0f}s",
                "-s",
                str(self.script),
            ]
            command.append(f"http://127.0.0.1:{port}{PATH}")
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


async def generate(port: int, connections: int, seconds: float) -> None:
    """The load where wrk is not installed; prints its figure as wrk does."""
    requests = [request(n) for n in range(1, int(BODIES * seconds) + 1)]
    end = time.perf_counter() + seconds
    sent = 0

    async def one() -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            sent += 1
            writer.write(requests[sent % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), f"Non-2xx: {head!r}"
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
        writer.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    print(f"{sent} requests in {seconds} s\nRequests/sec: {sent / seconds:.1f}")


def measure(rounds: int, seconds: float, connections: int) -> float:
    """Prints the figures and gives the ratio of ours to bare."""
    folder = Path(tempfile.mkdtemp())
    speeds: dict[str, list[float]] = {"bare": [], "ours": []}
    costs: dict[str, list[float]] = {"bare": [], "ours": []}
    stored = duplicates = batches = 0
    sender = Load(folder, connections, seconds)
    with stores.running("valkey", "--appendfsync", "always") as url, redis.Redis.from_url(url) as store:
        pin(1, store.info("server")["process_id"])
        with server("bare", url) as first, server("ours", url) as second:
            for number in range(rounds + 1):
                for one in (first, second) if number % 2 else (second, first):
                    store.flushall()
                    before = one.cpu()
                    sent, speed = sender.run(one.port)
                    if number == 0:
                        continue  # to warm up
                    speeds[one.name].append(speed)
                    costs[one.name].append((one.cpu() - before) / sent * 1e6)
                    stored += int(store.hget(PREFIX + "counts", "accepted") or 0)
                    duplicates += int(store.hget(PREFIX + "counts", "duplicate") or 0)
                    batches += int(store.get(PREFIX + "batches") or 0)
    shutil.rmtree(folder)
    for name, found in speeds.items():
        print(
            f"{name} {statistics.median(found):8.0f} deliveries/s ({min(found):.0f} to {max(found):.0f}), "
            f"{statistics.median(costs[name]):5.1f} us of CPU each"
        )
    ratio = statistics.median(speeds["ours"]) / statistics.median(speeds["bare"])
    print(
        f"ratio {ratio:.2f}, to reach {BAR:.2f}; "
        f"{stored} stored in batches of {stored / batches:.0f}, {duplicates} duplicates"
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--serve", choices=("bare", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.port, args.url)
    elif args.load:
        asyncio.run(generate(args.port, args.connections, args.seconds))
    else:
        sys.exit(0 if measure(args.rounds, args.seconds, args.connections) >= BAR else 1)


if __name__ == "__main__":
    main()
