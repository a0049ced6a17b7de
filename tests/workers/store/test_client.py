"""The connections of a store: opened when needed, closed with the store."""

import gc

import redis

from tests.support.processes import wait_until
from workers.settings import Budget
from workers.store.client import Store, connect
from workers.store.permits import Governor

ASK = Governor("acme", Budget(gets=10, posts=10, window=60, lockout=600, share=1, in_flight=1)).forecast()


def ours(store: redis.Redis) -> int:
    """How many connections are open that are not the test's own."""
    return sum(each["name"] == "foxhooks" for each in store.client_list())


def test_a_closed_store_leaves_no_connection_and_may_be_used_again(store: redis.Redis, valkey_url: str) -> None:
    client = connect(valkey_url)
    with Store(client) as scripts:
        scripts.run(ASK)
        assert ours(store)
    wait_until(lambda: ours(store) == 0, "the connection is closed")
    with scripts:
        scripts.run(ASK)
        scripts.run(ASK)
        assert ours(store)
    wait_until(lambda: ours(store) == 0, "the connection is closed again")


def test_an_unclosed_store_is_closed_when_it_is_collected_even_in_a_cycle(store: redis.Redis, valkey_url: str) -> None:
    scripts = Store(connect(valkey_url))
    scripts.run(ASK)
    scripts.ring = scripts  # type: ignore[attr-defined]
    del scripts
    gc.collect()
    wait_until(lambda: ours(store) == 0, "the connection is closed")
