import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.simulator.limits import RateGate
from workers.simulator.options import Options


def gate(**changes: object) -> RateGate:
    return RateGate(Options(**{"gets": 3, "posts": 2, "window": 60.0, "lockout": 600.0, **changes}))  # type: ignore[arg-type]


def test_the_call_after_the_last_allowed_one_is_refused_and_locks_everything() -> None:
    rates = gate()
    assert [rates.admit("GET", float(at)) for at in range(4)] == [True, True, True, False]
    assert not rates.admit("POST", 4.0)
    assert not rates.admit("POST", 602.999)
    assert rates.admit("POST", 603.0)


def test_a_call_leaves_the_window_exactly_one_window_after_it_arrived() -> None:
    assert not _fourth_call_at(59.999)
    assert _fourth_call_at(60.0)


def _fourth_call_at(at: float) -> bool:
    rates = gate()
    for _ in range(3):
        rates.admit("GET", 0.0)
    return rates.admit("GET", at)


def test_calls_during_a_lockout_neither_count_nor_extend_it() -> None:
    rates = gate(window=60.0, lockout=10.0)
    for at in (0.0, 1.0, 2.0, 3.0):
        rates.admit("GET", at)
    for at in range(4, 13):
        assert not rates.admit("GET", float(at))
    assert rates.used("get", 60.0) == 2
    assert rates.admit("GET", 60.0)


def test_gets_and_posts_have_budgets_of_their_own_and_other_methods_count_with_posts() -> None:
    rates = gate()
    assert all(rates.admit("GET", 0.0) for _ in range(3))
    assert rates.admit("PUT", 0.0)
    assert rates.admit("DELETE", 0.0)
    assert not rates.admit("POST", 0.0)


def test_a_lockout_may_cover_its_class_alone() -> None:
    rates = gate(lockout_scope="class")
    assert not all(rates.admit("POST", 0.0) for _ in range(3))
    assert rates.admit("GET", 1.0)


@pytest.mark.parametrize("window", [0.5, 6.0, 60.0])
@given(gaps=st.lists(st.floats(0, 20), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(window: float, gaps: list[float]) -> None:
    counted: list[float] = []
    rates, at = gate(window=window, lockout=window / 3), 0.0
    for gap in gaps:
        at += gap
        inside = [arrival for arrival in counted if arrival > at - window]
        locked = at < rates.locked_until["get"]
        admitted = rates.admit("GET", at)
        assert admitted == (not locked and len(inside) < 3)
        if admitted:
            counted.append(at)


def test_a_fixed_window_starts_anew_with_each_minute() -> None:
    rates = gate(window_shape="fixed")
    assert [rates.admit("GET", at) for at in (58.0, 59.0, 60.0, 61.0, 62.0)] == [True] * 5
    assert not rates.admit("GET", 119.9)


def test_calls_in_a_lockout_may_extend_it() -> None:
    for extends in (True, False):
        rates = gate(gets=0, lockout_extends=extends)
        assert not rates.admit("GET", 0.0)
        assert not rates.admit("POST", 500.0)
        assert rates.admit("POST", 700.0) is not extends
