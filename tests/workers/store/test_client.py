"""The connections of a store: made when they are needed, gone when it is closed or forgotten."""

import gc

import redis

from tests.support.processes import wait_until
from workers.settings import Budget
from workers.store.client import Store, connect
from workers.store.permits import Governor

ASK = Governor("acme", Budget(gets=10, posts=10, window=60, lockout=600, share=1, in_flight=1)).forecast()


def opened_since(store: redis.Redis, before: set[str]) -> set[str]:
    """Return the product's connections that were opened since; earlier tests may have left some on this server."""
    return connections(store) - before


def connections(store: redis.Redis) -> set[str]:
    """Return the ids of the product's connections to the server."""
    return {each["id"] for each in store.client_list() if each["name"] == "foxhooks"}


def test_a_closed_store_leaves_no_connection_and_may_be_used_again(store: redis.Redis, valkey_url: str) -> None:
    before, client = connections(store), connect(valkey_url)
    with Store(client) as scripts:
        scripts.run(ASK)
        assert opened_since(store, before)
    wait_until(lambda: not opened_since(store, before), "the connection is closed")
    with scripts:
        scripts.run(ASK)
        scripts.run(ASK)
        assert opened_since(store, before)
    wait_until(lambda: not opened_since(store, before), "the connection is closed again")


def test_a_store_that_was_not_closed_is_closed_when_it_is_collected(store: redis.Redis, valkey_url: str) -> None:
    before, scripts = connections(store), Store(connect(valkey_url))
    scripts.run(ASK)
    assert opened_since(store, before)
    scripts.ring = scripts  # type: ignore[attr-defined]
    del scripts
    gc.collect()
    wait_until(lambda: not opened_since(store, before), "the connection is closed")
