"""Clients of a cluster: each command goes to the node that has its key, whatever kind of client sends it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from service.web.writer import StoreWriter
from tests.support.processes import ROOT, free_port
from tests.support.stores import untyped
from workers.settings import Budget
from workers.store.client import Store, connect, store_time
from workers.store.cluster import ClusterClient, at_home, key_of, nodes_of, slot_of
from workers.store.connection import Clustered, connect_async
from workers.store.failures import failure
from workers.store.inbox import accept, receive
from workers.store.keys import WAKE, Keys, prefix
from workers.store.nodes import NoCluster, SilentNodes
from workers.store.permits import Governor
from workers.store.refusals import Notes
from workers.webhook import parse

pytestmark = pytest.mark.redis

ACCOUNTS = ("acme", "beta", "gamma")
GOVERNOR = Governor("acme", Budget(10, 10, 60, 600, 1.0, 8))
BODY = b'{"ticket_id": 3}'


@pytest.fixture
def url(cluster_url: str) -> str:
    return cluster_url.replace("redis://", "redis+cluster://")


@pytest.fixture
def cluster(url: str) -> Iterator[redis.Redis]:
    with connect(url) as client:
        yield client


def test_only_the_store_itself_uses_the_pool_of_a_client() -> None:
    """The client of a cluster has one for each node: close the client, and use `at_home` and `nodes_of`."""
    allowed = {"client.py", "cluster.py", "doctor_store.py", "writer.py"}  # of the client of one node
    paths = [path for folder in ("service", "workers") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in paths if ".connection_pool" in path.read_text() and path.name not in allowed] == []


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("hset", b"a", "b", "c"), b"a"),
        (("FCALL", "f", 1, "a", "b"), "a"),
        (("EVALSHA", "f", "1", "a", "b"), "a"),
        (("EVAL", "f", 0, "b"), WAKE),
        (("XREAD", "COUNT", 1, "STREAMS", "a", "0"), "a"),
        (("BLPOP", "a", "b", 1), "a"),
        (("FUNCTION LOAD", "code"), WAKE),
        (("CONFIG", "GET", "append*"), WAKE),
        (("TIME",), WAKE),
    ],
)
def test_the_key_of_a_command_is_found(command: tuple[Any, ...], key: str | bytes) -> None:
    assert key_of(command) == key


def test_all_that_a_client_does_works_on_a_cluster(cluster: redis.Redis) -> None:
    assert isinstance(cluster, ClusterClient)
    client = untyped(cluster)
    keys = [f"{prefix(account)}x" for account in ACCOUNTS]
    with client.pipeline(transaction=False) as batch:
        for number, key in enumerate(keys):
            batch.set(key, number)
        batch.get(keys[1])
        assert batch.execute() == [True, True, True, b"1"]
        batch.lpush(keys[0], "wrong type")
        batch.get(keys[2])
        first, second = batch.execute(raise_on_error=False)
        assert (type(first), second) == (redis.ResponseError, b"2")
    assert sorted(client.scan_iter(match="foxhooks:*")) == sorted(key.encode() for key in keys)
    assert client.blpop([WAKE, f"{WAKE}:1"], timeout=0.01) is None
    assert store_time(cluster) > 1_600_000_000_000
    assert at_home(cluster, keys[0], lambda node: untyped(node).get(keys[0])) == b"0"
    assert len(nodes_of(cluster)) == 1


def test_a_transaction_uses_one_slot(cluster: redis.Redis) -> None:
    with untyped(cluster).pipeline() as batch:
        batch.set("{a}1", 1)
        batch.get("{a}1")
        assert batch.execute() == [True, b"1"]
        batch.set("{a}1", 1)
        batch.set("{b}1", 1)
        with pytest.raises(redis.RedisError, match="one slot"):
            batch.execute()
    assert slot_of("{a}1") != slot_of("{b}1")


def test_functions_are_loaded_where_they_are_missing(cluster: redis.Redis) -> None:
    untyped(cluster).function_flush()
    with Store(cluster) as store:
        assert store.is_cluster
        assert store.run(GOVERNOR.forecast()).gate == "open"


def test_deliveries_of_several_accounts_are_stored_and_a_worker_is_woken(url: str, cluster: redis.Redis) -> None:
    async def main() -> None:
        writer = StoreWriter(url, "memory")
        for status in ("accepted", "duplicate"):
            scripts = [accept(account, [receive(parse(BODY), BODY)], 60) for account in ACCOUNTS]
            stored = await writer.run(scripts, wake=True)
            assert [each[0].status for each in stored if isinstance(each, list)] == [status] * 3
        await writer.close()

    asyncio.run(main())
    client = untyped(cluster)
    assert [client.llen(Keys(account).lane(3)) for account in ACCOUNTS] == [1, 1, 1]
    assert client.llen(WAKE) == 1


def test_the_client_of_an_event_loop_works_on_a_cluster(url: str, cluster: redis.Redis) -> None:
    notes = Notes()
    for account in ACCOUNTS:
        notes.cause(account, "unknown")
    notes.misdirected("unknown-path", "POST /x")

    async def main() -> None:
        client = connect_async(url, connect_seconds=2, answer_seconds=2, decode_responses=True)
        async with client.pipeline(transaction=False) as batch:
            for command in notes.commands(5):
                batch.execute_command(*command)
            await batch.execute()
        assert await client.hget(Keys("beta").refusals, "unknown") == "1"
        assert (await client.time())[0] > 1_600_000_000
        await client.aclose()

    asyncio.run(main())


def test_a_cluster_behind_a_plain_address_is_named_and_the_opposite(cluster_url: str, valkey_url: str) -> None:
    with connect(cluster_url) as client, pytest.raises(Clustered) as caught:
        client.ping()
    assert failure(caught.value).problem == "the store is a cluster, and its address does not say so"
    assert "redis+cluster://" in failure(caught.value, "redis_url (foxhooks.toml)").fix
    with redis.Redis.from_url(valkey_url) as server:
        untyped(server).config_set("port", port := free_port())
        try:
            with connect(f"redis+cluster://127.0.0.1:{port}") as client, pytest.raises(NoCluster):
                client.ping()
        finally:
            untyped(server).config_set("port", 0)


def test_a_node_that_does_not_answer_is_left_alone_for_a_while(url: str, cluster: redis.Redis) -> None:
    assert isinstance(cluster, ClusterClient)
    tried = 0

    def freeze(node: redis.Redis) -> None:
        nonlocal tried
        tried += 1
        raise redis.TimeoutError("Timeout reading from the node")

    for _ in range(3):
        with pytest.raises(redis.TimeoutError) as caught:
            cluster.at("key", freeze)
        assert failure(caught.value).problem == "the store did not answer in time"
    assert tried == 1


def test_a_cluster_that_does_not_answer_is_named() -> None:
    with connect(f"redis+cluster://127.0.0.1:{free_port()}") as client, pytest.raises(SilentNodes) as caught:
        client.ping()
    assert "nothing accepts connections at its address" in failure(caught.value).problem
