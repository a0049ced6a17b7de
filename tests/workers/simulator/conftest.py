"""Fixtures: a simulated HappyFox, its clock, and a caller of its API."""

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Hook, Simulator


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def simulator(clock: FakeClock) -> Simulator:
    return Simulator(clock, [Hook("http://hooks.example/acme", "hook-key")])


@pytest.fixture
def api(simulator: Simulator) -> Caller:
    return Caller(simulator)
