import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Request, Simulator, admin


@pytest.fixture
def ask(simulator: Simulator) -> Any:
    def ask(method: str, path: str, body: Any = None, *, status: int = 200, query: str = "") -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        response = admin.handle(simulator, Request(method, f"/simulator/{path}", query, {}, content))
        assert response.status == status, response.body
        return json.loads(response.body)

    return ask


def test_people_work_over_http(ask: Any) -> None:
    assert ask("POST", "tickets", {"email": "sam@bigcorp.example", "subject": "S", "tags": ["a"]})["id"] == 1
    ask("POST", "ticket/1/contact", {"text": "hello"})
    ask("POST", "ticket/1/staff", {"staff": "Lin Wu", "text": "hi", "status": "In Progress", "fields": {"Amount": 2}})
    ask("POST", "ticket/1/rule", {"name": "R", "assignee": None, "note": "n"})
    ticket = ask("GET", "ticket/1")
    assert [row["by"]["name"] for row in ticket["updates"]] == ["Sam Reed", "Sam Reed", "Lin Wu", "R"]
    assert ticket["updates"][2]["custom_field_change"] is not None
    assert [ticket["id"] for ticket in ask("GET", "tickets")] == [1]
    assert len(ask("GET", "deliveries")) == 4


def test_tickets_are_merged_over_http(ask: Any, api: Caller) -> None:
    ask("POST", "tickets", {"email": "sam@bigcorp.example", "text": "one"})
    ask("POST", "tickets", {"email": "sam@bigcorp.example", "text": "two"})
    shown = ask("POST", "ticket/1/merge", {"into": 2})
    assert (shown["merged_tickets"], [row["update_id"] for row in shown["updates"]]) == ([1], [1, 2])
    assert api.got("ticket/1/")["merged_to"] == 2
    assert [delivery["ticket"] for delivery in ask("GET", "deliveries")] == [1, 2, 1, 2]
    assert api.post("ticket/1/staff_pvtnote/", {"staff": 1, "text": "x"}).status == 404
    ask("POST", "ticket/1/merge", {"into": 1}, status=400)


def test_faults_hooks_and_lockouts_are_set_over_http(ask: Any, api: Caller, simulator: Simulator) -> None:
    ask("POST", "faults", {"kind": "status", "status": 502, "method": "GET"})
    assert ask("GET", "faults")[0]["status"] == 502
    assert api.get("staff/").status == 502
    ask("POST", "hook-faults", {"kind": "drop", "count": None})
    assert ask("GET", "hook-faults")[0]["count"] is None
    ask("DELETE", "hook-faults")
    ask("PUT", "hooks", [{"url": "http://b.example/", "key": "k", "shape": "rest"}])
    assert [hook.shape for hook in simulator.hooks] == ["rest"]
    ask("POST", "lock", {"seconds": 5})
    assert ask("GET", "budgets") == {
        "window": 60.0,
        "get": {"used": 1, "limit": 500},
        "post": {"used": 0, "limit": 300},
        "locked_for": 5.0,
        "lockouts": 1,
    }
    assert api.get("staff/").status == 429


def test_the_logs_are_read_from_a_number_on(ask: Any, api: Caller) -> None:
    for _ in range(5):
        api.get("staff/")
    assert [call["number"] for call in ask("GET", "calls", query="after=2&limit=2")] == [3, 4]
    api.posted("tickets/", {"client": 3, "subject": "Café", "text": "T", "category": 1})
    (delivery,) = ask("GET", "deliveries")
    assert json.loads(delivery["body"])["subject"] == "Café"
    assert "X-Happyfox-Webhook-Signature" in delivery["headers"]


def test_the_overview_lists_every_call(ask: Any, simulator: Simulator, clock: FakeClock) -> None:
    shown = ask("GET", "")
    assert (shown["account"], shown["tickets"], shown["hooks"]) == ("demo", 0, ["http://hooks.example/acme"])
    assert any("/simulator/faults" in line for line in shown["paths"])


def test_reset_starts_again(ask: Any, simulator: Simulator) -> None:
    simulator.create_ticket()
    assert ask("POST", "reset") == {"done": True}
    assert ask("GET", "tickets") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "nothing", None, 404, "GET /simulator/ lists"),
        ("POST", "ticket/1/nothing", {}, 404, "GET /simulator/ lists"),
        ("GET", "ticket/9", None, 404, "There is no ticket 9"),
        ("POST", "tickets", {"category": "Nowhere"}, 404, "there are Default Category"),
        ("POST", "tickets", {"colour": "red"}, 400, "colour"),
        ("POST", "tickets", [], 400, "JSON object"),
        ("POST", "faults", {"kind": "explode"}, 400, "explode"),
        ("PUT", "hooks", [{"url": "http://b.example/", "key": "k", "spelling": "rot13"}], 400, "rot13"),
        ("GET", "calls", None, 400, "invalid literal"),
    ],
)
def test_a_mistake_is_answered_with_its_cure(
    ask: Any, method: str, path: str, body: Any, status: int, says: str
) -> None:
    query = "after=x" if path == "calls" else ""
    assert says in ask(method, path, body, status=status, query=query)["error"]
