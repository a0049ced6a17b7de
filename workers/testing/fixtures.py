"""Fixtures for the tests of plug-ins, which pytest finds by itself where foxhooks is installed.

Nothing runs unless a test asks for it; `-p no:foxhooks` leaves them out. pytest is not needed for anything else.
"""

from collections.abc import Iterator

import pytest
import redis

from workers.simulator import Simulator
from workers.testing.desk import Clock, Desk
from workers.testing.stores import flush, running, valkey


@pytest.fixture(scope="session")
def foxhooks_store() -> Iterator[str]:
    """URL of a store of the tests' own; it starts with the first test that needs it and ends with the last."""
    with running(valkey()) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test moves it, as by `clock.advance("2h")`."""
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    """A simulated HappyFox on that clock, in memory: tickets, contacts, staff, and what people do to them."""
    return Simulator(clock.seconds)


@pytest.fixture
def desk(foxhooks_store: str, clock: Clock, simulator: Simulator) -> Iterator[Desk]:
    """A help desk: the real engine on an empty store, with that simulated HappyFox and that clock."""
    flush(foxhooks_store)
    with redis.Redis.from_url(foxhooks_store) as client:
        yield Desk(client, clock, simulator)
