"""Group commit and its connection: durable or 503, within a time limit, and with automatic recovery."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from service.web import writer
from service.web.app import build
from service.web.writer import GroupCommit, StoreWriter
from tests.support import stores
from tests.support.intake import REPLY, P, client, counts, deliver, settings
from tests.support.stores import Server
from workers.errors import StoreUnavailable
from workers.settings import Durability
from workers.store.inbox import Acceptance, Arrival, receive, unreadable
from workers.webhook import parse

Make = Callable[..., Server]


def arrival(ticket: int = 3) -> Arrival:
    body = b'{"ticket_id":%d}' % ticket
    return receive(parse(body), body)


def run(url: str, scenario: Callable[[GroupCommit], Awaitable[Any]], durability: Durability = "fsync") -> Any:
    async def main() -> Any:
        commit = GroupCommit(StoreWriter(url, durability), 3600)
        try:
            return await scenario(commit)
        finally:
            await commit.close()

    return asyncio.run(main())


async def one(commit: GroupCommit) -> Acceptance:
    return await commit.store("acme", arrival())


def test_deliveries_that_arrive_together_share_a_batch(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> list[Acceptance]:
        return await asyncio.gather(*[commit.store("acme", arrival(n)) for n in range(1, 301)])

    answers = run(valkey_url, scenario)
    assert [answer.status for answer in answers] == ["accepted"] * 300
    assert int(store.get(P + "batches") or 0) == 3  # 128, 128, 44


def test_every_delivery_gets_its_own_answer(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> list[Acceptance]:
        pairs = [("acme" if n % 2 else "beta", arrival(n // 4 + 1)) for n in range(100)]
        answers = await asyncio.gather(*[commit.store(account, one) for account, one in pairs])
        for (account, sent), answer in zip(pairs, answers, strict=True):
            ticket = store.hget(f"foxhooks:{{{account}}}:event:{answer.event}", "ticket")
            assert ticket == sent.ticket.encode()
            assert (answer.status == "accepted") is (answer.event == sent.id)
        return answers

    assert {answer.status for answer in run(valkey_url, scenario)} == {"accepted", "duplicate"}


@pytest.mark.parametrize("durability", ["memory", "everysec", "fsync"])
def test_every_level_is_stored_on_valkey(valkey_url: str, durability: Durability) -> None:
    assert run(valkey_url, one, durability).status == "accepted"


def test_replica_needs_a_replica_that_confirms(server: Make) -> None:
    store, replica = stores.pair(server)
    store.start()
    with pytest.raises(StoreUnavailable, match="connect a replica"):
        run(store.url, one, "replica")
    replica.start()
    stores.await_replica(store.url)
    answer = run(store.url, lambda commit: commit.store("acme", arrival(4)), "replica")
    store.kill()
    with redis.Redis.from_url(replica.url) as reader:
        assert reader.lrange(P + "lane:4", 0, -1) == [answer.event.encode()]


def test_fsync_is_on_the_disk_when_it_is_answered(server: Make) -> None:
    store = server()
    store.start()
    answer = run(store.url, one)
    store.kill()
    store.start()
    with redis.Redis.from_url(store.url) as reader:
        assert reader.lrange(P + "lane:3", 0, -1) == [answer.event.encode()]


@pytest.mark.redis
def test_fsync_holds_on_a_redis_without_waitaof_that_always_syncs(server: Make) -> None:
    store = server("redis")
    store.start()
    assert run(store.url, one).status == "accepted"


@pytest.mark.redis
def test_fsync_fails_on_a_redis_that_cannot_guarantee_it(server: Make) -> None:
    store = server("redis", "--appendfsync", "everysec")
    store.start()
    with pytest.raises(StoreUnavailable, match="appendfsync always there, or FOXHOOKS_DURABILITY=everysec"):
        run(store.url, one)
    assert run(store.url, one, "everysec").status == "accepted"


@pytest.mark.redis
def test_fsync_fails_on_a_redis_whose_settings_may_not_be_read(server: Make) -> None:
    store = server("redis", "--rename-command", "CONFIG", "")
    store.start()
    with pytest.raises(StoreUnavailable, match="may not be read"):
        run(store.url, one)


@pytest.mark.parametrize("kind", ["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def test_fsync_fails_without_an_append_only_file(server: Make, kind: str) -> None:
    store = server(kind, "--appendonly", "no")
    store.start()
    with pytest.raises(StoreUnavailable, match="set appendonly yes"):
        run(store.url, one)


def test_a_duplicate_on_another_connection_is_as_durable_as_its_first(server: Make) -> None:
    """WAITAOF only covers its own connection, so a batch without new events must write as well."""
    store = server("valkey", "--appendfsync", "everysec")
    store.start()
    first = run(store.url, one, "memory")
    assert run(store.url, one) == Acceptance("duplicate", first.event)
    store.kill()
    store.start()
    with redis.Redis.from_url(store.url) as reader:
        assert reader.llen(P + "lane:3") == 1


def test_a_connection_closed_while_idle_costs_no_delivery(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> Acceptance:
        await one(commit)
        for found in store.client_list():
            if found["name"] == "foxhooks-web":
                store.client_kill_filter(_id=found["id"])
        return await commit.store("acme", arrival(4))

    assert run(valkey_url, scenario).status == "accepted"


def test_a_lost_function_library_costs_no_delivery(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> Acceptance:
        await one(commit)
        store.function_flush()
        return await commit.store("acme", arrival(4))

    assert run(valkey_url, scenario).status == "accepted"


@pytest.mark.parametrize("key", ["schedule", "counts", "quarantine", "batches"])
def test_a_corrupt_key_of_one_account_is_named_and_does_not_affect_the_others(
    valkey_url: str, store: redis.Redis, key: str
) -> None:
    kept = "list" if key in ("batches", "schedule") else "string"
    if kept == "list":
        store.rpush(P + key, "corrupt")
    else:
        store.set(P + key, "corrupt")
    rubbish = unreadable("no-ticket", b"{}") if key == "quarantine" else arrival()

    async def scenario(commit: GroupCommit) -> list[Any]:
        batch = [commit.store("acme", rubbish), commit.store("beta", arrival())]
        answers: list[Any] = list(await asyncio.gather(*batch, return_exceptions=True))
        clients = {each["id"] for each in store.client_list() if each["name"] == "foxhooks-web"}
        answers.append(await commit.store("beta", arrival(4)))
        assert clients == {each["id"] for each in store.client_list() if each["name"] == "foxhooks-web"}
        store.delete(P + key)
        return [*answers, await commit.store("acme", arrival(5))]

    refused, *others = run(valkey_url, scenario)
    assert isinstance(refused, StoreUnavailable)
    assert f"the key {P}{key} has the wrong type in the store, {kept}" in str(refused)
    assert [answer.status for answer in others] == ["accepted"] * 3


def test_refused_deliveries_are_counted_once_a_corrupt_key_is_repaired(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> None:
        store.set(P + "counts", "corrupt")
        commit.count_refused("acme", "bad-signature")
        commit._write_counts()
        with pytest.raises(StoreUnavailable, match="counts"):
            await one(commit)
        store.delete(P + "counts")

    run(valkey_url, scenario)
    assert counts(store)["refused:bad-signature"] == 1


def test_a_store_that_comes_back_is_used_again(server: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "service")
    store = server()

    async def scenario(commit: GroupCommit) -> None:
        for _ in range(2):
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    await one(commit)
            store.start()
            assert (await one(commit)).status in ("accepted", "duplicate")
            store.kill()

    run(store.url, scenario)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"] * 2


def test_a_full_store_is_reported_and_recovers(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> None:
        store.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable, match="it is full; give it more memory"):
                await one(commit)
        finally:
            store.config_set("maxmemory", "0")
        assert (await one(commit)).status == "accepted"

    run(valkey_url, scenario)


def test_a_store_that_hangs_fails_deliveries_within_a_time_limit(server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.writer.TRIP_SECONDS", 0.2)
    store = server()
    store.start()
    with redis.Redis.from_url(store.url) as reader:
        pid = reader.info("server")["process_id"]

    async def scenario(commit: GroupCommit) -> None:
        await one(commit)
        os.kill(pid, signal.SIGSTOP)
        try:
            waiting = [asyncio.ensure_future(commit.store("acme", arrival(n))) for n in range(1, 400)]
            for request in waiting:
                with pytest.raises(StoreUnavailable, match=r"in time|too slow|does not answer"):
                    await asyncio.wait_for(request, 10)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await commit.store("acme", arrival(999))).status == "accepted"

    run(store.url, scenario)


def test_more_deliveries_than_may_wait_are_rejected_at_once(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITING", 10)

    async def scenario(commit: GroupCommit) -> list[Any]:
        many = [commit.store("acme", arrival(n)) for n in range(1, 31)]
        return await asyncio.gather(*many, return_exceptions=True)

    answers = run(valkey_url, scenario)
    refused = [answer for answer in answers if isinstance(answer, StoreUnavailable)]
    assert len(refused) == 20
    assert "too many deliveries" in str(refused[0])


def test_large_bodies_get_batches_of_their_own(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> list[Acceptance]:
        bodies = [b'{"ticket_id":%d,"text":"%s"}' % (n, b"x" * 5_000_000) for n in range(1, 6)]
        return await asyncio.gather(*[commit.store("acme", receive(parse(body), body)) for body in bodies])

    assert {answer.status for answer in run(valkey_url, scenario)} == {"accepted"}
    assert int(store.get(P + "batches") or 0) == 5


def test_refused_deliveries_are_counted_at_shutdown(valkey_url: str, store: redis.Redis) -> None:
    async def scenario(commit: GroupCommit) -> None:
        for _ in range(1000):
            commit.count_refused("acme", "bad-signature")
        commit.count_refused("beta", "slow")

    run(valkey_url, scenario)
    assert counts(store) == {"refused:bad-signature": 1000}
    assert store.hget("foxhooks:{beta}:counts", "refused:slow") == b"1"
    assert store.get(P + "batches") == b"1"


def test_refused_deliveries_are_counted_in_the_background(
    valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.01)

    async def scenario(commit: GroupCommit) -> None:
        commit.count_refused("acme", "bad-signature")
        async with asyncio.timeout(10):
            while not counts(store):
                await asyncio.sleep(0.01)

    run(valkey_url, scenario)


def test_deliveries_refused_while_the_store_was_down_are_counted_later(server: Make) -> None:
    store = server()

    async def scenario(commit: GroupCommit) -> None:
        commit.count_refused("acme", "bad-signature")
        commit._write_counts()
        with pytest.raises(StoreUnavailable):
            await one(commit)
        store.start()
        commit.count_refused("acme", "bad-signature")

    run(store.url, scenario)
    with redis.Redis.from_url(store.url) as reader:
        assert counts(reader) == {"refused:bad-signature": 2}


def test_the_endpoint_says_when_to_retry(server: Make) -> None:
    store = server()

    async def scenario() -> None:
        app = build(settings(store.url))
        async with app.router.lifespan_context(app), client(app) as http:
            answer = await deliver(http)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "does not answer" in answer.json()["error"]
            store.start()
            assert (await deliver(http)).json()["status"] == "accepted"

    asyncio.run(scenario())
    with redis.Redis.from_url(store.url) as reader:
        assert reader.hget(P + "counts", "refused:not-stored") == b"1"
        assert reader.llen(P + "lane:3") == 1
        assert REPLY in reader.hgetall(P + "event:" + reader.lrange(P + "lane:3", 0, 0)[0].decode()).values()
