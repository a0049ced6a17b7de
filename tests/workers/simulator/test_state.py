import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, multipart
from workers.simulator import Request, Simulator, admin


@pytest.fixture
def ask(simulator: Simulator) -> Any:
    def ask(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        response = admin.handle(simulator, Request(method, f"/simulator/{path}", "", headers, content))
        assert response.status == status, response.body
        return json.loads(response.body)

    return ask


def test_contacts_assets_and_files_are_read_with_what_the_api_hides(ask: Any, api: Caller) -> None:
    api.simulator.create_ticket()
    kind, body = multipart({"user": "1", "text": "x"}, [("attachments", "a.txt", "text/plain", b"abc")])
    assert api.post("ticket/1/user_reply/", body, kind).status == 200
    assert ask("GET", "contacts")[0]["is_login_enabled"] is True
    assert [one["display_id"] for one in ask("GET", "assets")] == ["LT-1", "RT-1"]
    (file,) = ask("GET", "files")
    assert (file["filename"], file["size"]) == ("a.txt", 3)
    assert api.follow(file["url"]).body == b"abc"


def test_any_call_is_made_without_credentials_budget_or_log(ask: Any, simulator: Simulator) -> None:
    made = ask("POST", "json/users/", {"name": "N", "email": "n@new.example"})
    assert ask("GET", f"json/user/{made['id']}/") == made
    ask("POST", "json/tickets/", {"client": 1, "subject": "S", "text": "T", "category": 1})
    assert [delivery.label for delivery in simulator.take_deliveries()] == ["ticket-created"]
    assert ask("PUT", "json/asset/1/", {"updated_by": 1, "name": "N"})["name"] == "N"
    assert "error" in ask("POST", "json/tickets/", {}, status=400)
    ask("GET", "json/nothing/", status=404)
    assert (simulator.log, simulator.gate.used("post", simulator.clock())) == ([], 0)


def test_a_ticket_may_break_agreements(ask: Any) -> None:
    ask("POST", "tickets", {"email": "sam@bigcorp.example"})
    assert ask("POST", "ticket/1/breach", {"count": 2})["sla_breaches"] == 2


def test_tables_are_added_to_and_changed(ask: Any, api: Caller) -> None:
    rows = [{"id": 5, "name": "Solved", "behavior": "completed", "default": False}, {"id": 2, "name": "Working"}]
    ask("PUT", "tables/statuses", rows)
    assert [row["name"] for row in ask("GET", "tables/statuses")] == ["New", "Working", "On Hold", "Closed", "Solved"]
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
        ("tables/statuses", {}, 400, "a list of rows"),
        ("tables/statuses", [{"id": 1, "colour": "red"}], 400, "have no colour"),
    ],
)
def test_a_mistake_about_tables_is_told(ask: Any, path: str, body: Any, status: int, says: str) -> None:
    assert says in ask("PUT", path, body, status=status)["error"]
