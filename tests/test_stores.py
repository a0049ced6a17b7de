"""The stores the other tests stand on."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.replicas import ReplicatedStore
from tests.support.stores import Server

ROOT = Path(__file__).parents[1]
PROGRAM = """
from tests.support import stores
with stores.running("valkey") as url:
    print(url, flush=True)
    input()
"""


def test_a_store_starts_empty_for_each_test(either_store: redis.Redis) -> None:
    assert either_store.dbsize() == 0
    either_store.set("left", "behind")


def test_a_store_is_emptied_between_tests(either_store: redis.Redis) -> None:
    assert either_store.dbsize() == 0
    either_store.set("left", "behind")


def test_a_store_keeps_an_append_only_file_and_opens_no_port(either_store: redis.Redis) -> None:
    assert either_store.config_get("appendonly") == {"appendonly": "yes"}
    assert either_store.config_get("port") == {"port": "0"}


def test_a_store_ends_when_the_test_process_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        with redis.Redis.from_url(url, socket_timeout=20) as client, client.pubsub() as listener:
            listener.subscribe("nothing")
            assert listener.get_message(timeout=5) is not None
            child.kill()
            with pytest.raises(redis.ConnectionError):
                listener.get_message(timeout=20)


def test_a_copy_takes_a_server_back() -> None:
    server = Server()
    try:
        server.start()
        with server.client() as client:
            client.set("name", "old")
            copy = server.copy()
            client.set("name", "new")
        server.kill()
        server.put_back(copy)
        server.start()
        with server.client() as client:
            assert client.get("name") == b"old"
    finally:
        server.remove()


def test_a_sentinel_fails_over_to_a_replica_that_lags() -> None:
    store = ReplicatedStore()
    try:
        store.start()
        with redis.Redis.from_url(store.url) as client:
            client.set("name", "old")
            store.wait_until_in_step()
            store.lag()
            client.set("name", "new")
            store.fail_over()
            assert client.get("name") == b"old"
            store.recover()
            client.set("name", "newest")
            store.wait_until_in_step()
            with store.replica.client() as replica:
                assert replica.get("name") == b"newest"
    finally:
        store.remove()


def test_a_switch_over_leaves_open_connections_on_the_demoted_server() -> None:
    store = ReplicatedStore()
    try:
        store.start()
        url = f"{store.url}?client_name=foxhooks"
        with redis.Redis.from_url(url) as old, redis.Redis.from_url(url) as new:
            old.set("name", "old")
            store.switch_over()
            with pytest.raises(redis.ReadOnlyError):
                old.set("name", "lost")
            assert len(store.clients_of_replica()) == 1
            new.set("name", "new")
            store.wait_until_in_step()
            assert old.get("name") == b"new"
            store.lag()
            store.fail_over()
            store.recover()
            assert new.get("name") == b"new"
    finally:
        store.remove()
