"""If HappyFox refuses, fails, hangs or sends nonsense, that is reported, and nothing is lost or duplicated."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fleet import Fleet, P
from tests.support.plugins import FAITHFUL, NOTING
from tests.support.processes import free_port

pytestmark = pytest.mark.timeout(180)

#: Faults of a read, and what the ticket's history says about each.
READS: dict[str, tuple[dict[str, Any], str]] = {
    "not found": ({"kind": "status", "status": 404}, "HappyFox does not know the ticket (404)"),
    "server error": ({"kind": "status", "status": 500}, "something other than a ticket (500)"),
    "a page of html": ({"kind": "html", "status": 200}, "something other than a ticket (200)"),
    "an empty answer": ({"kind": "empty"}, "something other than a ticket (200)"),
    "half an answer": ({"kind": "broken"}, "something other than a ticket (200)"),
    "a cut connection": ({"kind": "cut"}, "the ticket could not be read"),
    "silence": ({"kind": "hang", "seconds": 600.0}, "the ticket could not be read"),
    "a trickle": ({"kind": "trickle", "seconds": 0.5}, "the ticket could not be read"),
}

#: Faults of a note; half of them occur after it has been written.
WRITES: dict[str, dict[str, Any]] = {
    "not found": {"kind": "status", "status": 404},
    "server error": {"kind": "status", "status": 500},
    "server error, written": {"kind": "status", "status": 500, "before": False},
    "a page of html, written": {"kind": "html", "status": 200, "before": False},
    "an empty answer, written": {"kind": "empty"},
    "half an answer, written": {"kind": "broken"},
    "a cut connection": {"kind": "cut"},
    "a cut connection, written": {"kind": "cut", "before": False},
    "silence, written": {"kind": "hang", "seconds": 600.0},
    "silence, written later": {"kind": "hang", "seconds": 3.0, "before": True},
}


def started(fleet: Fleet, **environ: str) -> Fleet:
    fleet.start_web()
    fleet.ready_worker(**environ)
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    return fleet


def gate(fleet: Fleet) -> str:
    with fleet.redis() as client:
        state: bytes = client.hget(f"{P}gate", "state") or b"open"
    return state.decode()


def readiness(fleet: Fleet) -> str:
    shown = fleet.http.get(f"{fleet.url}/readyz")
    assert shown.status_code == 200
    return shown.text


@pytest.mark.e2e
def test_failed_calls_are_reported_and_repeated_with_a_permit_each(deploy: Callable[..., Fleet]) -> None:
    """With a long window no permit becomes free, so in the end there is exactly one for each call that arrived."""
    fleet = deploy(NOTING, latency=0.01)
    fleet.start_web()
    for _ in range(3):
        fleet.start_worker(HAPPYFOX_WINDOW_SECONDS="600")
    fleet.wait(lambda: fleet.answers() == 200, "web is ready")
    numbers = {name: number for number, name in enumerate([*READS, *(f"note: {name}" for name in WRITES)], 1)}
    for name, (fault, _) in READS.items():
        fleet.fault(**fault, method="GET", path=f"ticket/{numbers[name]}")
    for name, fault in WRITES.items():
        fleet.fault(**fault, method="POST", path=f"ticket/{numbers[f'note: {name}']}/staff_pvtnote")
    for number in numbers.values():
        fleet.open_ticket(text=f"words of ticket {number}")
        fleet.reply(number, f"more words of ticket {number}")
    fleet.settle()
    for name, number in numbers.items():
        noted = [f"noted: {words} of ticket {number}" for words in ("words", "more words")]
        assert fleet.notes(number) == noted, (name, fleet.history(number))
    for name, (_, line) in READS.items():
        assert line in fleet.history(numbers[name]), name
    with fleet.redis() as client:
        assert client.zcard(f"{P}in_flight") == 0
        permits = {kind: client.zcard(f"{P}permits:{kind}") for kind in ("get", "post")}
    assert permits == {kind: len(fleet.calls(kind.upper())) for kind in ("get", "post")}


@pytest.mark.e2e
def test_a_wrong_404_is_checked_again_and_the_note_is_written_once(deploy: Callable[..., Fleet]) -> None:
    fleet = started(deploy(FAITHFUL))
    fleet.fault("status", status=404, method="POST", path="ticket/1/staff_pvtnote")
    fleet.open_ticket(text="words of the first")
    fleet.settle()
    assert fleet.notes(1) == ["noted: words of the first", "answer to: words of the first"]
    assert "HappyFox does not know the ticket (404)" in fleet.history(1)


@pytest.mark.e2e
def test_a_deleted_ticket_stops_only_its_own_plan(deploy: Callable[..., Fleet]) -> None:
    fleet = started(deploy(FAITHFUL))
    (fleet.folder / "hold-1").touch()
    fleet.open_ticket(text="words of the first")
    fleet.wait((fleet.folder / "deciding-1").exists, "a handler has the ticket")
    fleet.simulator.account.remove(1)
    (fleet.folder / "hold-1").unlink()
    fleet.wait(lambda: "HappyFox does not know the ticket (404)" in fleet.history(1), "the history says so")
    fleet.open_ticket(text="words of the second")
    fleet.wait(lambda: "answer to: words of the second" in fleet.notes(2), "the other ticket is answered")
    assert fleet.notes(2) == ["noted: words of the second", "answer to: words of the second"]
    [tried] = fleet.calls("POST", ticket=1)
    assert tried.status == 404


@pytest.mark.parametrize(
    ("status", "method", "state"),
    [
        (401, "GET", "denied"),
        pytest.param(429, "GET", "locked", marks=pytest.mark.e2e),
        pytest.param(429, "POST", "locked", marks=pytest.mark.e2e),
    ],
)
def test_the_gate_closes_while_every_call_is_refused_and_opens_again(
    deploy: Callable[..., Fleet], status: int, method: str, state: str
) -> None:
    fleet = started(deploy(NOTING))
    fleet.fault("status", status=status, method=method, path="ticket/*")
    for number in range(1, 5):
        fleet.open_ticket(text=f"words of ticket {number}")
    fleet.wait(lambda: gate(fleet) == state, "the gate closes")
    refused = next(call for call in fleet.calls() if call.status == status)
    reason = "rejects the API key" if state == "denied" else "locked out"
    fleet.wait(lambda: reason in readiness(fleet), "the health check, which is renewed every second, says so")
    fleet.settle()
    assert gate(fleet) == "open"
    for number in range(1, 5):
        assert fleet.notes(number) == [f"noted: words of ticket {number}"]
    # A call that was already sent may still arrive; after that, there is no call until the probe.
    assert refused.answered is not None
    later = [call.arrived for call in fleet.calls() if call.arrived > refused.answered + 0.5]
    assert min(later) >= refused.answered + 2.0
    assert str(status) in fleet.workers[0].output


@pytest.mark.e2e
def test_an_unreachable_happyfox_is_reported(deploy: Callable[..., Fleet]) -> None:
    fleet = started(deploy(NOTING), HAPPYFOX_URL=f"http://127.0.0.1:{free_port()}")
    fleet.open_ticket(text="words for nobody yet")
    fleet.wait(lambda: "cannot be reached (ConnectionRefusedError)" in fleet.history(1), "the history says so")
    fleet.wait(lambda: gate(fleet) == "unreachable", "no waiting lane calls it any more")
    fleet.wait(lambda: "HappyFox does not answer" in readiness(fleet), "the health check says so")
    fleet.workers[0].terminate()
    fleet.ready_worker()
    fleet.settle()
    assert fleet.notes(1) == ["noted: words for nobody yet"]


@pytest.mark.e2e
def test_no_window_holds_more_calls_than_allowed_whichever_worker_dies(deploy: Callable[..., Fleet]) -> None:
    """Set limits at which the simulator locks the account out."""
    fleet = deploy(NOTING, gets=60, posts=40, window=1.5, latency=0.02)
    limits = {
        "HAPPYFOX_GETS_PER_MINUTE": "60",
        "HAPPYFOX_POSTS_PER_MINUTE": "40",
        "HAPPYFOX_WINDOW_SECONDS": "1.5",
        "HAPPYFOX_BUDGET_SHARE": "1",
    }
    fleet.start_web()
    for _ in range(3):
        fleet.start_worker(**limits)
    for number in range(1, 81):
        fleet.open_ticket(text=f"words of ticket {number}")
        if number in (40, 60):
            fleet.workers[number // 20 - 2].kill()
            fleet.start_worker(**limits)
    fleet.settle(100)
    assert [fleet.notes(number) for number in range(1, 81)] == [[f"noted: words of ticket {n}"] for n in range(1, 81)]
    assert fleet.simulator.gate.lockouts == 0
    assert not [call for call in fleet.calls() if call.status == 429]
