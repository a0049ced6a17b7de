"""No window holds more calls than allowed, whatever becomes of the calls; and the budget is used."""

import random
from collections.abc import Iterator
from itertools import chain, repeat

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.callers import Callers, Fate, used, worst_window
from workers.settings import Budget, Priority
from workers.store.permits import COUNT_GRACE, Governor

LIFE = 15_000

parts = st.floats(0, 1)
answered = st.builds(
    lambda part, latency, late: Fate(part * latency, latency, late),
    parts,
    st.floats(0, LIFE),
    st.floats(0, 40_000),
)
lost = st.builds(lambda part: Fate(part * (LIFE + COUNT_GRACE), None, 0), parts)
crashed = st.builds(lambda part: Fate(part * (LIFE + COUNT_GRACE), None, None), parts)
died_after_the_answer = st.builds(lambda part, latency: Fate(part * latency, latency, None), parts, st.floats(0, LIFE))
unsent = st.just(Fate(None, None, 0))
quick = Fate(20, 40, 1)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 6),
    window=st.sampled_from([0.5, 6.0, 60.0]),
    fates=st.lists(st.one_of(answered, lost, crashed, died_after_the_answer, unsent, st.just(quick)), max_size=40),
)
def test_no_window_of_any_alignment_contains_more_calls_than_the_limit(
    store: redis.Redis, limit: int, window: float, fates: list[Fate]
) -> None:
    store.flushall()
    governor = Governor("acme", Budget(limit, limit, window, 600, 1.0, 4))
    fleet = Callers(store, governor, LIFE)
    fleet.run(callers=6, fates=chain(fates, repeat(quick)), milliseconds=10 * window * 1000 + 100_000)
    assert worst_window(fleet.arrivals, window * 1000) <= limit
    assert len(fleet.arrivals) > limit


def latencies(seed: int) -> Iterator[Fate]:
    """Log-normal with a median of 0.25 s, and one call in a hundred between 2 and 8 s."""
    chance = random.Random(seed)
    while True:
        late = chance.random() < 0.01
        latency = 1000 * (chance.uniform(2, 8) if late else min(8.0, 0.25 * chance.lognormvariate(0, 0.5)))
        yield Fate(latency * chance.random(), latency, 2)


@pytest.mark.parametrize(("priority", "least"), [("interactive", 0.97), ("normal", 0.87), ("bulk", 0.67)])
def test_saturating_work_uses_the_budget_and_no_window_is_over_it(
    store: redis.Redis, priority: Priority, least: float
) -> None:
    fleet = Callers(store, Governor("acme", Budget(500, 300, 60, 600, 1.0, 8)), LIFE, priority=priority)
    fleet.run(callers=8, fates=latencies(7), milliseconds=8 * 60_000)
    assert worst_window(fleet.arrivals, 60_000) <= 300
    assert used(fleet.arrivals, 300, 60_000) >= least


def test_a_full_budget_after_an_idle_time_is_limited_by_calls_in_flight(store: redis.Redis) -> None:
    fleet = Callers(store, Governor("acme", Budget(500, 300, 60, 600, 1.0, 2)), LIFE)
    fleet.run(callers=50, fates=repeat(Fate(500, 1000, 0)), milliseconds=30_000)
    assert worst_window(fleet.arrivals, 1000) <= 2
    assert len(fleet.arrivals) >= 50
