"""Measure how long it takes to store a delivery at each level of FOXHOOKS_DURABILITY.

    python -m tests.bench.durability [--rounds 10] [--accepts 300]

One delivery after another is stored over the connection of the web process, without group commit. The levels take
turns, each with its own store on this machine. The times depend on the machine, and mainly on its disk, so look at the
ratios.
"""

import argparse
import asyncio
import contextlib
import secrets
import time

from service.web.writer import StoreWriter
from tests.support import stores
from workers.settings import Durability
from workers.store.inbox import Arrival, accept, receive
from workers.webhook import parse

#: Each level with options for a suitable store: `fsync` with a server that syncs every write, and with WAITAOF.
LEVELS: dict[str, tuple[Durability, tuple[str, ...]]] = {
    "memory": ("memory", ("--appendonly", "no")),
    "everysec": ("everysec", ("--appendfsync", "everysec")),
    "fsync (appendfsync always)": ("fsync", ("--appendfsync", "always")),
    "fsync (everysec, WAITAOF)": ("fsync", ("--appendfsync", "everysec")),
}
SLOW = "fsync (everysec, WAITAOF)"


def arrival(number: int) -> Arrival:
    """Return a delivery like those that HappyFox sends."""
    body = b'{"event_type": "ticket-updated", "ticket_id": %d, "nonce": "%s"}' % (number, secrets.token_hex(8).encode())
    return receive(parse(body, "application/json", ""), body, "{}")


async def measure(rounds: int, accepts: int) -> dict[str, list[float]]:
    """Return the seconds for each delivery, by level, in ascending order."""
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    with contextlib.ExitStack() as running:
        writers = {
            level: StoreWriter(running.enter_context(stores.running("valkey", *options)), durability)
            for level, (durability, options) in LEVELS.items()
        }
        for number in range(rounds + 1):
            for level, writer in writers.items():
                # WAITAOF waits up to a second for the sync, so a few deliveries have to do.
                found = await _round(writer, 3 if level == SLOW else accepts)
                taken[level] += found if number else []  # the first round warms up
        for writer in writers.values():
            await writer.close()
    return {level: sorted(found) for level, found in taken.items()}


async def _round(writer: StoreWriter, accepts: int) -> list[float]:
    found = []
    for number in range(1, accepts + 1):
        script = accept("bench", [arrival(number)], 3600, None)
        began = time.perf_counter()
        await writer.run([script], wake=True)
        found.append(time.perf_counter() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durability")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--accepts", type=int, default=300, help="in a round")
    args = parser.parse_args()
    taken = asyncio.run(measure(args.rounds, args.accepts))
    base = taken["memory"]
    print(f"{'level':28} {'p50 ms':>8} {'p99 ms':>8} {'ratio p50':>10} {'ratio p99':>10}")
    for level, found in taken.items():
        half, most = (found[int(len(found) * part)] for part in (0.5, 0.99))
        print(
            f"{level:28} {half * 1e3:8.2f} {most * 1e3:8.2f} {half / base[len(base) // 2]:10.1f} "
            f"{most / base[int(len(base) * 0.99)]:10.1f}"
        )


if __name__ == "__main__":
    main()
