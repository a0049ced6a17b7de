"""Fixtures for tests of plug-ins, which pytest finds wherever foxhooks is installed.

Nothing runs unless a test requests it; `-p no:foxhooks` disables them. Only this module needs pytest.
"""

from collections.abc import Iterator

import pytest

from workers.simulator import Simulator
from workers.store.client import connect
from workers.store.embedded import running, valkey
from workers.testing.desk import Clock, Desk


@pytest.fixture(scope="session")
def foxhooks_store() -> Iterator[str]:
    """Yield the URL of a store, which runs from the first test that needs it to the last."""
    with running(valkey()) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """Return a clock that only moves with `clock.advance("2h")`."""
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    """Return a simulated HappyFox on that clock, in memory: tickets, contacts, staff, and what they do."""
    return Simulator(clock.seconds)


@pytest.fixture
def desk(foxhooks_store: str, clock: Clock, simulator: Simulator) -> Iterator[Desk]:
    """Yield a help desk: the real engine on an empty store, with that simulator and that clock."""
    with connect(foxhooks_store) as client:
        client.flushall()
        yield Desk(client, clock, simulator)
