import base64
import json
from dataclasses import replace

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import ApiFault, Hook, Simulator

NOTE = {"staff": 7, "html": "<p>hello</p>"}


def use(simulator: Simulator) -> None:
    """Make calls of several kinds, one of them with a fault."""
    api = Caller(simulator)
    simulator.create_ticket(subject="Café")
    simulator.faults.add(ApiFault("hang", seconds=3))
    api.post("ticket/1/staff_update/", NOTE | {"status": 2})
    api.post("tickets/", {"email": "x@y.example", "name": "X", "subject": "S", "text": "T", "category": 1})
    simulator.fire_rule(2, "R", priority="High")
    api.get("tickets/", "show_updates=1")


def test_the_same_calls_return_the_same_bytes() -> None:
    first, second = (Simulator(FakeClock(), [Hook("http://hooks.example/", "k")]) for _ in range(2))
    use(first)
    use(second)
    assert first.log == second.log
    assert first.deliveries == second.deliveries
    assert Caller(first).get("tickets/").body == Caller(second).get("tickets/").body


def test_a_fork_is_independent(simulator: Simulator, clock: FakeClock) -> None:
    use(simulator)
    before = Caller(simulator).get("tickets/", "show_updates=1").body
    simulator.faults.add(ApiFault("status"))
    later = FakeClock(clock.now + 1000)
    fork = simulator.fork(later)
    api = Caller(fork)
    assert [api.get("staff/").status, api.get("staff/").status] == [500, 200]
    api.post("ticket/1/delete/", {"staff_id": 7})
    fork.contact_replies(2, "only here")
    assert fork.take_deliveries()[-1].due == later.now
    assert len(simulator.faults.faults) == 1
    simulator.faults.clear()
    assert Caller(simulator).get("tickets/", "show_updates=1").body == before
    assert [call.method for call in fork.log[4:]] == ["GET", "GET", "POST"]
    assert len(simulator.log) == 5
    assert simulator.gate.used("post", clock.now) == 2
    assert len(simulator.deliveries) == len(fork.deliveries) - 1


def test_a_reset_keeps_only_hooks_and_options(simulator: Simulator) -> None:
    use(simulator)
    simulator.reset()
    assert (simulator.account.tickets, simulator.log, simulator.deliveries) == ({}, [], [])
    assert simulator.create_ticket().id == 1
    assert [delivery.hook.url for delivery in simulator.take_deliveries()] == ["http://hooks.example/acme"]


def test_a_call_from_before_a_reset_ends_in_the_old_account(api: Caller, simulator: Simulator) -> None:
    simulator.create_ticket()
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    simulator.reset()
    assert simulator.end(pending).status == 200
    assert (simulator.log, simulator.take_deliveries(), simulator.account.tickets) == ([], [], {})


def test_a_ticket_read_earlier_stays_as_it_was(simulator: Simulator) -> None:
    ticket = simulator.create_ticket()
    simulator.staff_updates(1, status="Closed", add_tags=["x"])
    assert (ticket.status, ticket.tags, len(ticket.updates)) == (1, (), 1)


@pytest.mark.parametrize(
    "auth",
    [
        "",
        "Basic",
        "Basic !!",
        "Bearer abc",
        "Basic " + base64.b64encode(b"demo-key:wrong").decode(),
        "Basic /w==",
    ],
)
def test_wrong_credentials_are_401_with_a_challenge_and_use_no_budget(api: Caller, auth: str) -> None:
    api.auth = auth
    response = api.get("staff/")
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Basic realm="API"')
    assert not api.simulator.log[-1].counted


def test_a_disabled_key_is_401(clock: FakeClock) -> None:
    assert Caller(Simulator(clock, enabled=False)).get("staff").status == 401


def test_slashes_and_misspelled_base_paths_are_accepted(api: Caller) -> None:
    for path in ("/api/1.1/json/staff/", "/api/1.1/json/staff", "/api/json/1.1/staff/"):
        request = api.request("GET", "")
        response = api.simulator.handle(replace(request, path=path))
        assert (path, response.status) == (path, 200)


@pytest.mark.parametrize("path", ["nothing/", "ticket/1/", "ticket/x/", "ticket/1/2/", "tickets/search/", "ticket/"])
def test_unknown_paths_and_tickets_are_404(api: Caller, path: str) -> None:
    response = api.get(path)
    assert (response.status, json.loads(response.body)) == (
        404,
        {"error": "Cannot find the requested object"},
    )


def test_a_known_path_with_the_wrong_method_is_405(api: Caller) -> None:
    assert api.post("staff/").status == 405
    assert api.get("ticket/1/delete/").status == 405


def test_an_unreadable_body_is_400(api: Caller) -> None:
    assert api.post("tickets/", b"{").status == 400
    assert api.post("ticket/1/move/", b"[]").status in (400, 404)


def test_responses_have_the_date_of_the_injected_clock(api: Caller, clock: FakeClock) -> None:
    clock.now = 86400.0
    assert api.get("staff/").headers["Date"] == "Fri, 02 Jan 1970 00:00:00 GMT"


def test_the_rate_limit_answers_429_and_the_log_shows_which_calls_counted(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, gets=2, retry_after=True))
    responses = [api.get("staff/") for _ in range(4)]
    assert [response.status for response in responses] == [200, 200, 429, 429]
    assert [call.counted for call in api.simulator.log] == [True, True, False, False]
    assert responses[3].headers["Retry-After"] == "600"
    clock.now += 600
    assert api.get("staff/").status == 200


def test_a_lockout_may_be_the_legacy_503_with_the_wait_in_its_text(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, gets=0, lockout_status=503))
    response = api.get("staff/")
    assert response.status == 503
    assert b"Wait for 600 seconds" in response.body
    assert "Retry-After" not in response.headers


def test_a_failed_call_counts_too(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, posts=1))
    assert api.post("tickets/", {}).status == 400
    assert api.post("tickets/", {}).status == 429


def test_the_log_holds_the_body_of_a_refused_call(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, posts=0))
    api.post("ticket/3/staff_update/", NOTE)
    call = api.simulator.log[0]
    assert (call.number, call.method, call.path) == (1, "POST", "/api/1.1/json/ticket/3/staff_update/")
    assert (call.ticket, call.body, call.status, call.applied, call.arrived) == (
        3,
        NOTE,
        429,
        False,
        clock.now,
    )


def test_overlapping_writes_to_a_ticket_are_409_and_logged(api: Caller) -> None:
    simulator = api.simulator
    simulator.create_ticket()
    simulator.create_ticket()
    first = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    second = simulator.begin(api.request("POST", "ticket/1/update_tags/", {"staff_id": 7, "add": "x"}))
    other = simulator.begin(api.request("POST", "ticket/2/staff_update/", NOTE))
    reading = simulator.begin(api.request("GET", "ticket/1/"))
    assert [simulator.end(call).status for call in (reading, second, first, other)] == [200, 409, 200, 200]
    assert [call.overlapped for call in simulator.log] == [False, True, False, False]
    assert simulator.account.tickets[1].tags == ()
    assert api.post("ticket/1/staff_update/", NOTE).status == 200


@pytest.mark.parametrize(("overlap", "status"), [("fail", 500), ("serialise", 200)])
def test_the_response_to_an_overlapping_write_is_a_switch(clock: FakeClock, overlap: str, status: int) -> None:
    api = Caller(Simulator(clock, overlap=overlap))
    api.simulator.create_ticket()
    first = api.simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    second = api.simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert [api.simulator.end(second).status, api.simulator.end(first).status] == [status, 200]
    assert api.simulator.log[1].overlapped


def test_an_overlapping_write_may_be_answered_and_lost(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, [Hook("http://hooks.example/", "k")], overlap="lose"))
    api.simulator.create_ticket()
    first = api.simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    second = api.simulator.begin(api.request("POST", "ticket/1/update_tags/", {"add": "x"}))
    assert [api.simulator.end(call).status for call in (first, second)] == [200, 200]
    assert [call.applied for call in api.simulator.log] == [True, False]
    ticket = api.simulator.account.tickets[1]
    assert (ticket.tags, len(ticket.updates), len(api.simulator.deliveries)) == ((), 2, 2)


def test_a_write_takes_effect_when_it_ends(api: Caller) -> None:
    simulator = api.simulator
    simulator.create_ticket()
    pending = simulator.begin(api.request("POST", "ticket/1/staff_update/", NOTE))
    assert len(api.got("ticket/1/")["updates"]) == 1
    simulator.end(pending)
    assert len(api.got("ticket/1/")["updates"]) == 2


def test_only_writes_have_latency(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, latency=0.3))
    api.simulator.create_ticket()
    assert api.post("ticket/1/staff_update/", NOTE).wait == 0.3
    assert api.get("ticket/1/").wait == 0.0


def test_the_log_drops_the_oldest_calls_and_keeps_counting(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, keep=3))
    for _ in range(8):
        api.get("staff/")
    assert [call.number for call in api.simulator.log] == [4, 5, 6, 7, 8]
    assert all(call.status == 200 for call in api.simulator.log)
