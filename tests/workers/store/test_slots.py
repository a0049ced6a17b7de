"""Slots of a cluster: whatever one call uses is in one slot, or a cluster refuses the call.

The server itself checks it: these tests, and one in ``test_all_or_nothing.py``, run on a cluster of one node. The keys
of an account share the slot of its name, those of all accounts the slot of ``{foxhooks}``. So a function never gets a
key of both, and never names one.
"""

from collections.abc import Iterator

import pytest
import redis
from redis.crc import key_slot

from tests.support.sample_store import SampleAccount
from workers.store.keys import SHARED, WAKE, names, prefix
from workers.store.scripts import modules

pytestmark = pytest.mark.redis


@pytest.fixture
def node(cluster_url: str) -> Iterator[redis.Redis]:
    """Client of the only node of a cluster."""
    with redis.Redis.from_url(cluster_url) as client:
        yield client


def slots(keys: Iterator[str]) -> set[int]:
    return {key_slot(key.encode()) for key in keys}


def test_the_keys_of_an_account_share_a_slot_and_so_do_the_others() -> None:
    assert slots(iter((*names("acme"), prefix("acme")))) == {key_slot(b"acme")}
    assert slots(iter((*SHARED, f"{WAKE}:1a2b"))) == {key_slot(b"foxhooks")}


def test_functions_know_only_the_keys_of_their_account() -> None:
    assert [name for name, text in modules().items() if "{foxhooks}" in text] == []


def test_a_whole_working_life_runs_in_a_cluster(node: redis.Redis) -> None:
    account = SampleAccount(node)
    account.run()
    account.work_on()


def test_a_function_that_uses_two_slots_is_refused(node: redis.Redis) -> None:
    code = """#!lua name=two
    redis.register_function("two", function(keys)
        redis.call("GET", keys[1])
        return redis.call("GET", "{foxhooks}:wake")
    end)"""
    node.function_load(code)
    with pytest.raises(redis.ResponseError, match="slot"):
        node.fcall("two", 1, prefix("acme"))
    node.function_delete("two")
