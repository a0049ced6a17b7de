import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import ApiRequest, Simulator, admin


@pytest.fixture
def ask(simulator: Simulator) -> Any:
    def ask(method: str, path: str, body: Any = None, *, status: int = 200, query: str = "") -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = ApiRequest(method, f"/simulator/{path}", query=query, headers=headers, body=content)
        response = admin.handle(simulator, request)
        assert response.status == status, response.body
        return json.loads(response.body)

    return ask


def test_people_can_be_simulated_over_http(ask: Any) -> None:
    assert ask("POST", "tickets", {"email": "sam@bigcorp.example", "subject": "S", "tags": ["a"]})["id"] == 1
    ask("POST", "ticket/1/contact", {"text": "hello"})
    ask("POST", "ticket/1/staff", {"staff": "Lin Wu", "text": "hi", "status": "In Progress", "fields": {"Amount": 2}})
    ask("POST", "ticket/1/rule", {"name": "R", "assignee": None, "note": "n"})
    ticket = ask("GET", "ticket/1")
    assert [update["by"]["name"] for update in ticket["updates"]] == ["Sam Reed", "Sam Reed", "Lin Wu", "R"]
    assert ticket["updates"][2]["custom_field_change"] is not None
    assert [ticket["id"] for ticket in ask("GET", "tickets")] == [1]
    assert len(ask("GET", "deliveries")) == 4


def test_tickets_can_be_merged_over_http(ask: Any, api: Caller) -> None:
    ask("POST", "tickets", {"email": "sam@bigcorp.example", "text": "one"})
    ask("POST", "tickets", {"email": "sam@bigcorp.example", "text": "two"})
    shown = ask("POST", "ticket/1/merge", {"into": 2})
    assert (shown["merged_tickets"], [update["update_id"] for update in shown["updates"]]) == ([1], [1, 2])
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


def test_the_logs_can_be_read_in_parts(ask: Any, api: Caller) -> None:
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


def test_reset_returns_to_the_seeded_account(ask: Any, simulator: Simulator) -> None:
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
def test_an_error_says_how_to_fix_it(ask: Any, method: str, path: str, body: Any, status: int, says: str) -> None:
    query = "after=x" if path == "calls" else ""
    assert says in ask(method, path, body, status=status, query=query)["error"]


def test_contacts_assets_and_files_show_more_than_the_api(ask: Any, api: Caller) -> None:
    api.simulator.create_ticket()
    kind, body = multipart({"user": "1", "text": "x"}, [("attachments", "a.txt", "text/plain", b"abc")])
    assert api.post("ticket/1/user_reply/", body, kind).status == 200
    assert ask("GET", "contacts")[0]["is_login_enabled"] is True
    assert [one["display_id"] for one in ask("GET", "assets")] == ["LT-1", "RT-1"]
    (file,) = ask("GET", "files")
    assert (file["filename"], file["size"]) == ("a.txt", 3)
    assert api.follow(file["url"]).body == b"abc"


def test_api_calls_can_be_made_without_credentials_rate_limit_or_log(ask: Any, simulator: Simulator) -> None:
    made = ask("POST", "json/users/", {"name": "N", "email": "n@new.example"})
    assert ask("GET", f"json/user/{made['id']}/") == made
    ask("POST", "json/tickets/", {"client": 1, "subject": "S", "text": "T", "category": 1})
    assert [delivery.label for delivery in simulator.take_deliveries()] == ["ticket-created"]
    assert ask("PUT", "json/asset/1/", {"updated_by": 1, "name": "N"})["name"] == "N"
    assert "error" in ask("POST", "json/tickets/", {}, status=400)
    ask("GET", "json/nothing/", status=404)
    assert (simulator.log, simulator.gate.used("post", simulator.clock())) == ([], 0)


def test_breaches_of_agreements_can_be_added(ask: Any) -> None:
    ask("POST", "tickets", {"email": "sam@bigcorp.example"})
    assert ask("POST", "ticket/1/breach", {"count": 2})["sla_breaches"] == 2


def test_table_entries_can_be_added_and_changed(ask: Any, api: Caller) -> None:
    entries = [{"id": 5, "name": "Solved", "behavior": "completed", "default": False}, {"id": 2, "name": "Working"}]
    ask("PUT", "tables/statuses", entries)
    assert [entry["name"] for entry in ask("GET", "tables/statuses")] == [
        "New",
        "Working",
        "On Hold",
        "Closed",
        "Solved",
    ]
    assert api.got("status/5/")["color"] == "FF9900"
    ask("PUT", "tables/categories", [{"id": 9, "name": "New one"}])
    ticket = api.posted("tickets/", {"client": 1, "subject": "S", "text": "T", "category": 9})
    assert ticket["category"]["name"] == "New one"
    ask("PUT", "tables/groups", [{"id": 8, "name": "Eight"}])
    assert api.posted("contact_groups/", {"name": "Nine"})["id"] == 9


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("tables/nothing", [], 404, "there are categories"),
        ("tables/statuses", [{"name": "x"}], 400, "with an `id`"),
        ("tables/statuses", {}, 400, "a list of entries"),
        ("tables/statuses", [{"id": 1, "colour": "red"}], 400, "have no colour"),
    ],
)
def test_an_invalid_table_change_is_refused(ask: Any, path: str, body: Any, status: int, says: str) -> None:
    assert says in ask("PUT", path, body, status=status)["error"]
