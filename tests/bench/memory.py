"""Measure what foxhooks keeps in the store per event, turn and ticket, and how much memory that is for tickets a day.

    python -m tests.bench.memory [--tickets 1000] [--long 2000]

Tickets with plausible texts are created and answered in a simulated HappyFox; a handler writes a note and sets a tag
for each message. The size of each key is what the store reports (MEMORY USAGE). What the server needs beyond that is
measured as a factor. The sizes are then multiplied by how long the keys are kept: the days of `DAYS`.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from tests.support import stores
from workers import Event, Router, Ticket
from workers.store.keys import Keys
from workers.testing.desk import ACCOUNT, SimulatedDeployment

#: How many days each kind of key is kept, with the default settings.
DAYS = {"body": 7, "record": 7, "turns": 7, "history": 7, "snapshot": 90}

#: What each kind is, for people.
NAMES = {
    "event": "waiting event, with its body",
    "body": "digest of a delivery",
    "record": "record of a turn",
    "turns": "entry of a turn in the list of turns",
    "history": "history of a ticket",
    "snapshot": "snapshot of a ticket",
}

MESSAGES = 3
PER_DAY = (160, 1_000, 5_000, 20_000)

#: The most bytes of a turn's record on a typical and on a very long ticket.
TYPICAL, LONG = 4_000, 8_000


@dataclass
class Sizes:
    """The keys of each kind: how many, and their bytes."""

    keys: Counter[str]
    bytes: Counter[str]

    def of(self, kind: str) -> float:
        """Return the average size of a key."""
        return self.bytes[kind] / max(1, self.keys[kind])


def router() -> Router:
    """Return a handler that acts on each message of a contact."""
    made = Router("support")

    @made.on("ticket-created", "contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.note("Seen. Somebody looks at it within the hour; the contact has the gold plan.")
        ticket.add_tags("seen")

    return made


def texts(seed: int) -> Iterator[str]:
    """Yield messages of about 400 characters."""
    chance = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(4_000)]
    while True:
        yield " ".join(chance.choices(words, k=60))


def measure(client: redis.Redis) -> Sizes:
    """Measure all keys of the account, by kind."""
    untyped: Any = client
    prefix, sizes = Keys(ACCOUNT).prefix, Sizes(Counter(), Counter())
    for key in untyped.scan_iter(f"{prefix}*", count=1_000):
        kind = key.decode().removeprefix(prefix).partition(":")[0]
        sizes.keys[kind] += 1
        sizes.bytes[kind] += untyped.memory_usage(key, samples=0) or 0  # it may just have expired
    return sizes


def typical(client: redis.Redis, tickets: int) -> tuple[Sizes, float, float]:
    """Handle tickets; return their sizes, the size of a waiting event, and the server's bytes per byte of a key."""
    world, write, untyped = SimulatedDeployment(client, router()), texts(1), client
    before = int(untyped.info("memory")["used_memory"])
    numbers = [world.simulator.create_ticket(subject="Printer", text=next(write)).id for _ in range(tickets)]
    world.deliver()
    waiting = measure(client).of("event")
    world.settle_down(3_600_000)
    for _ in range(MESSAGES - 1):
        world.now += 3_600_000
        for number in numbers:
            world.simulator.contact_replies(number, next(write))
        world.settle_down(3_600_000)
    for key in client.scan_iter(f"{Keys(ACCOUNT).prefix}event:*", count=1_000):
        client.delete(key)  # as a minute does
    sizes = measure(client)
    used = int(untyped.info("memory")["used_memory"]) - before
    return sizes, waiting, used / sizes.bytes.total()


def long_ticket(client: redis.Redis, updates: int) -> float:
    """Return the bytes of the record of a turn on a ticket with many updates."""
    world, write = SimulatedDeployment(client, router()), texts(2)
    number = world.simulator.create_ticket(text=next(write)).id
    for _ in range(updates):
        world.simulator.contact_replies(number, next(write))
        world.now += 60_000
    world.simulator.take_deliveries()
    world.simulator.contact_replies(number, next(write))
    world.settle_down(60_000)
    return measure(client).of("record")


def show(sizes: Sizes, waiting: float, factor: float, tickets: int) -> None:
    """Print the tables of docs/durability.md."""
    print("| What | Bytes | Per ticket | Kept |")
    print("|---|---|---|---|")
    print(f"| {NAMES['event']} | {waiting:,.0f} | {sizes.keys['body'] / tickets:.1f} | until it is handled |")
    for kind, days in DAYS.items():
        count, size = (
            (sizes.keys[kind], sizes.of(kind))
            if kind != "turns"
            else (sizes.keys["record"], sizes.bytes["turns"] / max(1, sizes.keys["record"]))
        )
        print(f"| {NAMES[kind]} | {size:,.0f} | {count / tickets:.1f} | {days} days |")
    print()
    print("| Tickets a day | Memory |")
    print("|---|---|")
    stored = sum(sizes.bytes[kind] * days for kind, days in DAYS.items()) / tickets * factor
    for number in PER_DAY:
        print(f"| {number:,} | {stored * number / 1e9:.2f} GB |")
    print()
    print(f"the server needs {factor:.2f} bytes for each byte of a key")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tickets", type=int, default=1_000)
    parser.add_argument("--long", type=int, default=2_000)
    args = parser.parse_args()
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client:
        sizes, waiting, factor = typical(client, args.tickets)
        client.flushall()
        longest = long_ticket(client, args.long)
    show(sizes, waiting, factor, args.tickets)
    print(f"record of a turn {sizes.of('record'):,.0f} bytes, target {TYPICAL:,}")
    print(f"record of a turn on a ticket of {args.long:,} updates {longest:,.0f} bytes, target {LONG:,}")
    sys.exit(0 if sizes.of("record") <= TYPICAL and longest <= LONG else 1)


if __name__ == "__main__":
    main()
