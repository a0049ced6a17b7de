"""Many accounts on a cluster of three nodes: how they spread, what they cost, and whether each gets its share.

    python -m tests.bench.accounts [--accounts 1000] [--tickets 6] [--gets 5]

Each account gets deliveries for some tickets, more than it may read in this minute. Then one worker claims everything
it may. No call is made to HappyFox: only the store and foxhooks' use of it are measured. Three servers, the web
process's part and the worker's part share this machine, so look at the time per account.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from service.web.writer import BATCH, StoreWriter
from tests.support.clusters import Cluster
from tests.support.stores import untyped
from workers.settings import Budget
from workers.store.broker import Readiness
from workers.store.client import Store, connect
from workers.store.clock import Watch
from workers.store.cluster import at_home, nodes_of
from workers.store.inbox import accept, receive
from workers.store.keys import prefix
from workers.store.lanes import ClaimConfig, ClaimedLane, claim
from workers.store.permits import Governor
from workers.webhook import parse

THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured."""

    spread: list[int]
    """How many accounts each node has."""
    stored: float
    """Deliveries per second."""
    claims: Counter[str]
    """How many lanes of each account were claimed."""
    first: int
    """How many different accounts were among the first claims, of which there were as many as accounts."""
    claimed: float
    """Claims per second."""
    claim_cpu: float
    """Seconds of the worker's processor time for each claim."""
    look: float
    """Seconds of processor time for a look at all accounts when nothing may be claimed, which an idle worker does about
    once a second."""
    watch: float
    """Seconds of processor time for a check of clock and memory of all accounts, which each worker does about once a
    second."""
    memory: float
    """Bytes for each account, with its waiting deliveries."""


async def deliver(url: str, names: Sequence[str], tickets: int) -> float:
    """Store one delivery for each ticket; return the seconds."""
    writer, began = StoreWriter(url, "everysec"), time.perf_counter()
    for ticket in range(1, tickets + 1):
        body = b'{"ticket_id": %d}' % ticket
        for first in range(0, len(names), BATCH):
            some = names[first : first + BATCH]
            await writer.run([accept(name, [receive(parse(body), body)], 3600) for name in some], wake=True)
    await writer.close()
    return time.perf_counter() - began


def work(store: Store, idle: redis.Redis, configs: Sequence[ClaimConfig]) -> tuple[list[str], float]:
    """Claim every lane that may be claimed; return their accounts in this order, and the seconds."""
    readiness, order, began = Readiness(store, idle, configs, THREADS), [], time.perf_counter()
    while invited := readiness.wait():
        for _ in range(invited):
            config = readiness.accept()
            assert config is not None
            claimed = store.run(claim(config, os.urandom(8).hex()))
            if isinstance(claimed, ClaimedLane):
                order.append(config.account)
            readiness.leave(config)
    return order, time.perf_counter() - began


def used(client: redis.Redis) -> int:
    return sum(untyped(node).info("memory")["used_memory"] for node in nodes_of(client))


def measure(accounts: int, tickets: int, gets: int) -> Result:
    """Run everything once."""
    names = [f"account-{number}" for number in range(accounts)]
    governors = [Governor(name, Budget(gets, 10, 3600, 600, 1.0, 100)) for name in names]
    configs = [
        ClaimConfig(each.account, lease=3_600_000, read=True, budget=each.budget, life=20_000) for each in governors
    ]
    cluster = Cluster(3, replicas=False)
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.remove)
        cluster.start()
        client, idle = (stack.enter_context(connect(cluster.url, connections=1)) for _ in range(2))
        store = stack.enter_context(Store(client))
        spread = Counter(at_home(client, prefix(name), id) for name in names)
        empty = used(client)
        stored = asyncio.run(deliver(cluster.url, names, tickets))
        memory = (used(client) - empty) / accounts
        began = time.process_time()
        order, claimed = work(store, idle, configs)
        claim_cpu, began = (time.process_time() - began) / len(order), time.process_time()
        Readiness(store, idle, configs, THREADS)._count_due(THREADS, Counter(), Counter())
        look, began = time.process_time() - began, time.process_time()
        Watch(store, governors, durable=True).check()
        watch = time.process_time() - began
    return Result(
        spread=sorted(spread.values()),
        stored=accounts * tickets / stored,
        claims=Counter(order),
        first=len(set(order[:accounts])),
        claimed=len(order) / claimed,
        claim_cpu=claim_cpu,
        look=look,
        watch=watch,
        memory=memory,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--tickets", type=int, default=6)
    parser.add_argument("--gets", type=int, default=5)
    given = parser.parse_args()
    result = measure(given.accounts, given.tickets, given.gets)
    shares = Counter(result.claims.values())
    least, most = min(shares), max(shares)
    fair = len(result.claims) == given.accounts and 0 < least == most <= given.gets
    print(f"accounts on each of the nodes: {', '.join(map(str, result.spread))}")
    print(f"deliveries stored: {result.stored:,.0f} per second; memory: {result.memory / 1000:,.1f} kB per account")
    cost = f"{result.claim_cpu * 1e3:.2f} ms of processor time each"
    print(f"lanes claimed by one worker: {result.claimed:,.0f} per second, {cost}")
    idle = f"an idle look at all accounts: {result.look:.2f} s of processor time"
    print(f"{idle}; a check of clock and memory: {result.watch:.2f} s")
    print(f"reads of each account: {least} to {most}, target the same for all, at most {given.gets}")
    print(f"different accounts among the first {given.accounts:,} claims: {result.first:,}")
    sys.exit(0 if fair else 1)


if __name__ == "__main__":
    main()
