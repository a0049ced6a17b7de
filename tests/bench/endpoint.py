"""Compare the endpoint, which answers when an event is durable, with one that only verifies and parses.

    python -m tests.bench.endpoint [--rounds 5] [--seconds 4] [--connections 64]

Both run under uvicorn on one core, ours with the limits of the web process; the store (Valkey, appendfsync always) and
the load generator run on another. Every delivery is a new event: there are more bodies than a run can send. Rounds are
interleaved, and figures are medians. CPU per delivery is that of the server, the more stable figure on a busy machine.
"""

import argparse
import hashlib
import hmac
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.web.app import build, configure, tune_gc
from service.web.connections import Limits
from tests.support import stores
from tests.support.deliveries import body
from tests.support.load import Load, pin, serve, server
from workers.settings import load
from workers.webhook import HEADER, sign

KEY = "signing-key-of-the-benchmark"
BODIES = 20_000  # per second of a run
PATH = "/webhooks/acme/"
TARGET = 0.80
PREFIX = "foxhooks:{acme}:"


def bare() -> Starlette:
    """Verify and parse with Starlette and the standard library, and store nothing."""

    async def endpoint(request: Request) -> Response:
        signature = hmac.new(KEY.encode(), await request.body(), hashlib.sha1).hexdigest()
        if not hmac.compare_digest(request.headers.get(HEADER, ""), signature):
            return Response(status_code=401)
        await request.json()
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route("/webhooks/{account}/", endpoint, methods=["POST"])])


def ours(url: str) -> Starlette:
    """Return the endpoint of foxhooks."""
    names = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": KEY}
    environ = {**names, "REDIS_URL": url, "FOXHOOKS_DURABILITY": "fsync"}
    return build(load("web", environ, Path(tempfile.gettempdir())))


def request(number: int) -> bytes:
    payload = body(number)
    head = f"POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    head += f"{HEADER}: {sign(KEY, payload)}\r\ncontent-length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def measure(rounds: int, seconds: float, connections: int) -> float:
    """Print the figures and return the ratio of our endpoint to the bare one."""
    folder = Path(tempfile.mkdtemp())
    speeds: dict[str, list[float]] = {"bare": [], "ours": []}
    costs: dict[str, list[float]] = {"bare": [], "ours": []}
    stored = duplicates = batches = 0
    sender = Load(map(request, range(1, int(BODIES * seconds) + 1)), folder, connections, seconds)
    with stores.running("valkey", "--appendfsync", "always") as url, redis.Redis.from_url(url) as store:
        pin(1, store.info("server")["process_id"])
        with (
            server("endpoint", "bare", request(1)) as first,
            server("endpoint", "ours", request(1), "--url", url) as second,
        ):
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
        f"ratio {ratio:.2f}, target {TARGET:.2f}; "
        f"{stored} stored in batches of {stored / batches:.0f}, {duplicates} duplicates"
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--serve", choices=("bare", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        tune_gc()
        app = bare() if args.serve == "bare" else ours(args.url)
        serve(app, args.port, configure(app, Limits()) if args.serve == "ours" else None)
    else:
        sys.exit(0 if measure(args.rounds, args.seconds, args.connections) >= TARGET else 1)


if __name__ == "__main__":
    main()
