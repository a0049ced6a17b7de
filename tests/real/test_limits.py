"""Saturated workers in several processes respect the limit and wait for the end of a lockout."""

import pytest

from tests.bench.deployment import POSTS, WINDOW, lockout, saturated
from tests.support.callers import worst_window

pytestmark = pytest.mark.timeout(180)


@pytest.mark.e2e
def test_three_workers_together_never_make_too_many_calls() -> None:
    with saturated(3 * POSTS) as fleet:
        fleet.wait(lambda: len(fleet.calls("POST", "staff_pvtnote")) > 2 * POSTS, "two windows are full")
        posts = [call.arrived for call in fleet.calls("POST")]
        assert worst_window(posts, WINDOW) <= POSTS
        assert not any(call.status == 429 for call in fleet.calls())


@pytest.mark.e2e
def test_after_a_429_nobody_calls_until_the_gate_opens_and_one_call_probes() -> None:
    assert lockout()
