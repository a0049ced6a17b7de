import json

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Fault, Simulator

NOTE = {"staff": 7, "html": "<p>hello</p>"}


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    simulator.create_ticket()
    return simulator


def rows(simulator: Simulator) -> int:
    return len(simulator.world.tickets[1].rows)


def test_a_fault_strikes_only_the_calls_it_names_and_only_so_often(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("status", method="POST", path="ticket/*/staff_update", count=2, status=502))
    assert api.get("ticket/1/").status == 200
    assert api.post("ticket/1/staff_pvtnote/", NOTE).status == 200
    assert [api.post("ticket/1/staff_update", NOTE).status for _ in range(3)] == [502, 502, 200]
    assert [call.fault for call in simulator.log] == [None, None, "status", "status", None]


def test_a_fault_without_count_stays_until_cleared(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("status", count=None))
    assert [api.get("staff").status for _ in range(3)] == [500] * 3
    simulator.faults.clear()
    assert api.get("staff").status == 200


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", ["status", "html", "empty", "broken", "cut", "trickle"])
def test_a_fault_before_leaves_no_row_and_one_after_leaves_one(
    api: Caller, simulator: Simulator, kind: str, before: bool
) -> None:
    simulator.faults.add(Fault(kind, before=before))  # type: ignore[arg-type]
    api.post("ticket/1/staff_update/", NOTE)
    assert rows(simulator) == (1 if before else 2)
    assert simulator.log[0].applied is not before


@pytest.mark.parametrize("kind", ["status", "html", "cut"])
def test_errors_and_cuts_strike_before_unless_told_otherwise(api: Caller, simulator: Simulator, kind: str) -> None:
    simulator.faults.add(Fault(kind))  # type: ignore[arg-type]
    api.post("ticket/1/staff_update/", NOTE)
    assert rows(simulator) == 1


def test_a_503_tells_how_long_to_wait(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("status", status=503, seconds=30))
    response = api.get("staff/")
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert "30 seconds" in response.body.decode()


def test_a_429_out_of_the_blue_locks_nothing(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("status", status=429))
    assert [api.get("staff/").status for _ in range(2)] == [429, 200]


def test_a_broken_body_is_no_json_an_empty_one_is_nothing_and_a_page_is_html(api: Caller, simulator: Simulator) -> None:
    for kind in ("broken", "empty", "html"):
        simulator.faults.add(Fault(kind, status=200))
    broken, empty, page = (api.get("staff/") for _ in range(3))
    assert broken.body
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.body)
    assert (empty.status, empty.body) == (200, b"")
    assert page.headers["Content-Type"] == "text/html"


def test_a_call_that_hangs_before_lands_when_it_ends(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("hang", seconds=20, before=True))
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert (pending.delay, rows(simulator)) == (20, 1)
    assert simulator.end(pending).wait == 0
    assert rows(simulator) == 2


def test_a_call_that_hangs_after_has_landed_already(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("hang", seconds=20))
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert pending.delay == 0
    assert simulator.end(pending).wait == 20


def test_a_cut_and_a_trickle_are_told_to_the_socket(api: Caller, simulator: Simulator) -> None:
    simulator.faults.add(Fault("cut"))
    simulator.faults.add(Fault("trickle", seconds=0.5))
    assert api.get("staff/").cut
    assert api.get("staff/").pace == 0.5


def test_a_ticket_whose_row_is_late_is_not_found_until_then(
    api: Caller, simulator: Simulator, clock: FakeClock
) -> None:
    simulator.faults.add(Fault("late-row", seconds=5))
    api.posted("tickets/", {"client": 1, "subject": "S", "text": "T", "category": 1})
    assert api.get("ticket/2/").status == 404
    clock.now += 5
    assert api.get("ticket/2/").status == 200


def test_a_late_row_appears_after_rows_with_higher_ids(api: Caller, simulator: Simulator, clock: FakeClock) -> None:
    simulator.faults.add(Fault("late-row", seconds=5))
    api.post("ticket/1/staff_update/", NOTE)
    simulator.contact_replies(1, "hello")
    assert [row["update_id"] for row in api.got("ticket/1/")["updates"]] == [1, 3]
    clock.now += 5
    assert [row["update_id"] for row in api.got("ticket/1/")["updates"]] == [1, 2, 3]
