import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import ApiFault, Simulator
from workers.simulator.faults import RateGate
from workers.simulator.options import Options

NOTE = {"staff": 7, "html": "<p>hello</p>"}


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    simulator.create_ticket()
    return simulator


def updates_of(simulator: Simulator) -> int:
    return len(simulator.account.tickets[1].updates)


def test_a_fault_applies_to_matching_calls_up_to_its_count(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("status", method="POST", path="ticket/*/staff_update", count=2, status=502))
    assert api.get("ticket/1/").status == 200
    assert api.post("ticket/1/staff_pvtnote/", NOTE).status == 200
    assert [api.post("ticket/1/staff_update", NOTE).status for _ in range(3)] == [502, 502, 200]
    assert [call.fault for call in simulator.log] == [None, None, "status", "status", None]


def test_a_fault_without_count_stays_until_cleared(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("status", count=None))
    assert [api.get("staff").status for _ in range(3)] == [500] * 3
    simulator.faults.clear()
    assert api.get("staff").status == 200


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", ["status", "html", "empty", "broken", "cut", "trickle"])
def test_a_fault_before_leaves_no_update_and_one_after_leaves_one(
    api: Caller, simulator: Simulator, kind: str, before: bool
) -> None:
    simulator.faults.add(ApiFault(kind, before=before))  # type: ignore[arg-type]
    api.post("ticket/1/staff_update/", NOTE)
    assert updates_of(simulator) == (1 if before else 2)
    assert simulator.log[0].applied is not before


@pytest.mark.parametrize("kind", ["status", "html", "cut"])
def test_errors_and_cuts_strike_before_the_call_by_default(api: Caller, simulator: Simulator, kind: str) -> None:
    simulator.faults.add(ApiFault(kind))  # type: ignore[arg-type]
    api.post("ticket/1/staff_update/", NOTE)
    assert updates_of(simulator) == 1


def test_a_503_says_how_long_to_wait(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("status", status=503, seconds=30))
    response = api.get("staff/")
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert "30 seconds" in response.body.decode()


def test_a_429_from_a_fault_starts_no_lockout(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("status", status=429))
    assert [api.get("staff/").status for _ in range(2)] == [429, 200]


def test_broken_empty_and_html_bodies(api: Caller, simulator: Simulator) -> None:
    for kind in ("broken", "empty", "html"):
        simulator.faults.add(ApiFault(kind, status=200))
    broken, empty, page = (api.get("staff/") for _ in range(3))
    assert broken.body
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.body)
    assert (empty.status, empty.body) == (200, b"")
    assert page.headers["Content-Type"] == "text/html"


def test_a_call_that_hangs_before_is_applied_when_it_ends(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("hang", seconds=20, before=True))
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert (pending.delay, updates_of(simulator)) == (20, 1)
    assert simulator.end(pending).wait == 0
    assert updates_of(simulator) == 2


def test_a_call_that_hangs_after_is_applied_at_once(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("hang", seconds=20))
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert pending.delay == 0
    assert simulator.end(pending).wait == 20


def test_cut_and_trickle_are_passed_to_the_server(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(ApiFault("cut"))
    simulator.faults.add(ApiFault("trickle", seconds=0.5))
    assert api.get("staff/").cut
    assert api.get("staff/").pace == 0.5


def test_a_ticket_whose_update_is_late_is_not_found_until_then(
    api: Caller, simulator: Simulator, clock: FakeClock
) -> None:
    simulator.faults.add(ApiFault("late-update", seconds=5))
    api.posted("tickets/", {"client": 1, "subject": "S", "text": "T", "category": 1})
    assert api.get("ticket/2/").status == 404
    clock.now += 5
    assert api.get("ticket/2/").status == 200


def test_a_late_update_appears_after_updates_with_higher_ids(
    api: Caller, simulator: Simulator, clock: FakeClock
) -> None:
    simulator.faults.add(ApiFault("late-update", seconds=5))
    api.post("ticket/1/staff_update/", NOTE)
    simulator.contact_replies(1, "hello")
    assert [update["update_id"] for update in api.got("ticket/1/")["updates"]] == [1, 3]
    clock.now += 5
    assert [update["update_id"] for update in api.got("ticket/1/")["updates"]] == [1, 2, 3]


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


def test_gets_and_posts_have_separate_limits_and_other_methods_count_as_posts() -> None:
    rates = gate()
    assert all(rates.admit("GET", 0.0) for _ in range(3))
    assert rates.admit("PUT", 0.0)
    assert rates.admit("DELETE", 0.0)
    assert not rates.admit("POST", 0.0)


def test_a_lockout_may_cover_only_its_class() -> None:
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


def test_a_fixed_window_restarts_with_each_minute() -> None:
    rates = gate(window_shape="fixed")
    assert [rates.admit("GET", at) for at in (58.0, 59.0, 60.0, 61.0, 62.0)] == [True] * 5
    assert not rates.admit("GET", 119.9)


def test_calls_in_a_lockout_may_extend_it() -> None:
    for extends in (True, False):
        rates = gate(gets=0, lockout_extends=extends)
        assert not rates.admit("GET", 0.0)
        assert not rates.admit("POST", 500.0)
        assert rates.admit("POST", 700.0) is not extends
