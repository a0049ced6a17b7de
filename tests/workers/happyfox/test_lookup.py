"""Names are looked up in lists that are read when needed, kept for an hour, and read again on a miss."""

from typing import Any

import pytest
import redis

from tests.support.happyfox import ClientDesk, FakeClock
from workers.errors import UnknownName
from workers.happyfox.client import NameLookup
from workers.happyfox.messages import Request
from workers.store.client import Store

LISTS = 6


class Reading:
    """A lookup on a simulated account, and how many lists it read."""

    def __init__(self, client: redis.Redis) -> None:
        self.desk, self.clock, self.calls = ClientDesk(), FakeClock(), 0
        store = Store(client, lambda: int(self.clock.now * 1000))
        self.names = NameLookup(self.call, "acme", store, lambda: self.clock.now)

    def call(self, request: Request) -> Any:
        self.calls += 1
        return self.desk.client.call(request)

    def rename(self, name: str) -> None:
        """Somebody renames a category."""
        world = self.desk.simulator.account
        world.categories = {**world.categories, 2: {**world.categories[2], "name": name}}


def test_lists_are_read_once_and_only_when_needed(store: redis.Redis) -> None:
    reading = Reading(store)
    assert reading.calls == 0
    assert [reading.names.category("billing") for _ in range(3)] == [2, 2, 2]
    assert reading.calls == LISTS


def test_lists_are_read_again_after_an_hour(store: redis.Redis) -> None:
    reading = Reading(store)
    reading.names.category("billing")
    reading.clock.now += 3_599
    reading.names.category("billing")
    assert reading.calls == LISTS
    reading.clock.now += 1
    reading.names.category("billing")
    assert reading.calls == 2 * LISTS


def test_an_unknown_name_rereads_the_lists_once_a_minute(store: redis.Redis) -> None:
    reading = Reading(store)
    reading.names.category("billing")
    reading.rename("Invoices")
    with pytest.raises(UnknownName):
        reading.names.category("invoices")
    reading.clock.now += 60
    assert reading.names.category("invoices") == 2
    for _ in range(5):
        with pytest.raises(UnknownName, match="did you mean 'Invoices'"):
            reading.names.category("invoice")
    assert reading.calls == 2 * LISTS


def test_lists_in_a_store_are_shared(store: redis.Redis) -> None:
    first, second = Reading(store), Reading(store)
    first.names.category("billing")
    assert second.names.contact_fields({"Plan": "gold"}) == {"c-cf-3": 3}
    assert (first.calls, second.calls) == (LISTS, 0)
    with pytest.raises(UnknownName):
        second.names.category("invoice")
    assert second.calls == 0, "the lists are younger than a minute"
