"""Fixtures for the tests of plug-ins, which pytest finds by itself where foxhooks is installed.

Nothing runs unless a test asks for it; `-p no:foxhooks` leaves them out. pytest is not needed for anything else.
"""

from collections.abc import Iterator

import pytest
import redis

from workers.simulator import Simulator
from workers.store.embedded import running, valkey
from workers.testing.desk import Clock, Desk


@pytest.fixture(scope="session")
def foxhooks_store() -> Iterator[str]:
    """Return the URL of a store for the tests, which runs from the first test that needs it to the last."""
    with running(valkey()) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until the test moves it with `clock.advance("2h")`."""
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    """Return a simulated HappyFox on that clock, in memory: tickets, contacts, staff, and their actions."""
    return Simulator(clock.seconds)


@pytest.fixture
def desk(foxhooks_store: str, clock: Clock, simulator: Simulator) -> Iterator[Desk]:
    """Return a help desk: the real engine on an empty store, with that simulator and that clock."""
    with redis.Redis.from_url(foxhooks_store) as client:
        client.flushall()
        yield Desk(client, clock, simulator)
