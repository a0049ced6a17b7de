"""A failover that keeps the connections to the old primary open: every client finds the new one without a restart."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import httpx
import pytest

from service.context import store_of
from service.web import health
from service.web.app import build
from tests.support.intake import P, client, deliver, settings
from tests.support.processes import wait_until
from tests.support.replicas import FailoverPair
from workers.settings import Budget
from workers.store.broker import LaneBroker, Readiness
from workers.store.client import Store, connect
from workers.store.clock import Watch
from workers.store.inbox import accept, receive
from workers.store.lanes import ClaimConfig
from workers.store.leases import Leases
from workers.store.permits import Governor
from workers.store.refusals import read_causes
from workers.webhook import HEADER, parse

GOVERNOR = Governor("acme", Budget(gets=10, posts=10, window=60, lockout=600, share=1, in_flight=8))
CLAIM = ClaimConfig("acme", lease=15_000, read=True, budget=GOVERNOR.budget, life=20_000)


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def pair(request: pytest.FixtureRequest) -> Iterator[FailoverPair]:
    pair = FailoverPair(request.param)
    try:
        pair.start()
        yield pair
    finally:
        pair.remove()


class Worker:
    """What a worker process does with the store, each with the client that it uses for that."""

    def __init__(self, url: str) -> None:
        self.client, self.idle = connect(url), connect(url, connections=1)
        self.store = Store(self.client)
        self.readiness = Readiness(self.store, self.idle, [CLAIM], threads=4)
        self.broker = LaneBroker(self.client, threads=4)
        self.broker.serve(self.readiness)
        self.actor = dramatiq.actor(broker=self.broker, actor_name="sync", queue_name="mine")(print)
        self.watch = Watch(self.store, [GOVERNOR], durable=True)
        self.leases = Leases(self.store, 15.0, lambda: 0.0, "worker", self.watch.check)
        self.stored = 0

    def work(self) -> None:
        """Use every client once; raise if any of them fails."""
        self.stored += 1
        self.readiness.wait()  # no lane is due, so it waits for a wake-up, or there is one
        assert not self.readiness._down
        body = b'{"ticket_id":%d}' % self.stored
        [accepted] = self.store.run(accept("acme", [receive(parse(body), body)], 3600))
        assert accepted.status == "accepted"
        assert self.readiness.wait() == 1
        self.leases.heartbeat()
        self.leases.renew()
        self.actor.send()
        consumer = self.broker.consume("mine", timeout=10)
        message = next(consumer)
        assert message is not None
        consumer.ack(message)

    def close(self) -> None:
        self.store.close()
        self.client.close()
        self.idle.close()


def test_a_worker_goes_on_with_the_new_primary(pair: FailoverPair) -> None:
    worker = Worker(pair.url)
    worker.work()
    pair.switch()
    assert pair.connections(pair.replica) >= 3, "the old connections are still open"
    worker.work()
    worker.close()
    with pair.primary.client() as client:
        assert client.llen(P + "lane:2") == 1


@pytest.mark.parametrize("pair", ["valkey"], indirect=True)
def test_a_worker_that_waits_for_work_is_woken_by_the_new_primary(pair: FailoverPair) -> None:
    with connect(pair.url, connections=1) as idle, ThreadPoolExecutor() as threads:
        waiting = threads.submit(idle.blpop, ["work"], timeout=20)
        with pair.primary.client() as old:
            wait_until(lambda: old.info("clients")["blocked_clients"] == 1, "the client waits")
        pair.switch()
        with pair.primary.client() as new:
            new.lpush("work", "1")
        assert list(waiting.result()) == [b"work", b"1"]


def test_the_web_process_accepts_the_next_delivery(pair: FailoverPair) -> None:
    async def main() -> None:
        app = build(settings(pair.url, FOXHOOKS_DURABILITY="memory"))
        async with app.router.lifespan_context(app), client(app) as http:
            assert (await deliver(http)).json()["status"] == "accepted"
            assert await refuse(http) == {"unknown": 1}
            await asyncio.to_thread(pair.switch)
            assert (await deliver(http, b'{"ticket_id":4}')).json()["status"] == "accepted"
            assert await refuse(http) == {"unknown": 2}
            await asyncio.to_thread(
                wait_until, lambda: pair.connections(pair.replica) == 0, "the old connections close"
            )

    async def refuse(http: httpx.AsyncClient) -> dict[str, int]:
        """Have a delivery refused; return the causes that are noted within the next seconds."""
        before = await asyncio.to_thread(causes)
        answer = await http.post("/webhooks/acme", content=b"{}", headers={HEADER: "0" * 40})
        assert answer.status_code == 401
        await asyncio.to_thread(wait_until, lambda: causes() != before, "the cause is noted")
        return causes()

    def causes() -> dict[str, int]:
        with connect(pair.url) as reader:
            return {cause: each.count for cause, each in read_causes(reader, "acme").items()}

    asyncio.run(main())
    with pair.primary.client() as store:
        assert store.llen(P + "lane:4") == 1


@pytest.mark.parametrize("pair", ["valkey"], indirect=True)
def test_readyz_looks_at_the_new_primary(pair: FailoverPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)

    async def findings(http: httpx.AsyncClient) -> str:
        answer = await http.get("/readyz")
        assert answer.status_code == 200
        return answer.text

    async def main() -> None:
        app = build(settings(pair.url, FOXHOOKS_DURABILITY="memory"))
        async with app.router.lifespan_context(app), client(app) as http:
            assert "eviction policy is" not in await findings(http)
            await asyncio.to_thread(pair.switch)
            with pair.primary.client() as new:
                new.config_set("maxmemory-policy", "allkeys-lru")
            assert "eviction policy is allkeys-lru" in await findings(http)

    asyncio.run(main())


@pytest.mark.parametrize("pair", ["valkey"], indirect=True)
def test_a_command_finds_the_new_primary(pair: FailoverPair) -> None:
    with store_of(settings(pair.url)) as store:
        store.set("name", "old")
        pair.switch()
        store.set("name", "new")
    with pair.primary.client() as client:
        assert client.get("name") == b"new"
