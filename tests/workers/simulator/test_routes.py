"""Every documented endpoint responds, with and without a slash at the end of its path."""

import json
from typing import Any

import pytest

from tests.support.happyfox import Caller, multipart
from workers.simulator import Simulator
from workers.simulator.routes import ENDPOINTS, OPEN_ENDPOINTS

STAFF = {"staff_id": 7}
TICKET = {"client": 1, "subject": "S", "text": "T", "category": 1}
CALLS: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "tickets/", None, {"page_info", "data", "filters"}),
    ("POST", "tickets/", TICKET, {"id", "display_id", "updates", "user"}),
    ("POST", "new_ticket/", TICKET, {"id"}),
    ("GET", "ticket/1/", None, {"id", "updates", "custom_fields"}),
    ("POST", "ticket/1/staff_update/", {"staff": 7, "html": "x"}, {"updates"}),
    ("POST", "ticket/1/staff_pvtnote/", {"staff": 7, "html": "x"}, {"updates"}),
    ("POST", "ticket/1/user_reply/", {"user": 1, "text": "x"}, {"updates"}),
    ("POST", "ticket/1/update_tags/", STAFF | {"add": "x"}, {"tags"}),
    ("POST", "ticket/1/update_custom_fields/", {"staff": 7, "t-cf-1": "x"}, {"custom_fields"}),
    ("POST", "ticket/1/move/", STAFF | {"target_category_id": 2}, {"status_code", "message"}),
    ("POST", "ticket/1/forward/", STAFF | {"to": "a@b.example", "subject": "s"}, {"message"}),
    ("POST", "ticket/1/subscribe/", STAFF, {"message"}),
    ("POST", "ticket/1/unsubscribe/", STAFF, {"message"}),
    ("POST", "ticket/1/delete/", STAFF, {"deleted_ticket"}),
    ("GET", "users/", None, {"page_info", "data"}),
    ("POST", "users/", {"name": "N", "email": "n@new.example"}, {"id", "phones", "contact_groups"}),
    ("GET", "user/1/", None, {"id", "primary_phone", "custom_fields"}),
    ("GET", "user/sam@bigcorp.example/", None, {"id"}),
    ("POST", "user/1/", {"name": "N"}, {"id"}),
    ("POST", "user/sam@bigcorp.example/", {"is_login_enabled": "FALSE"}, {"id"}),
    ("GET", "contact_groups/", None, {"id", "name", "description", "tagged_domains"}),
    ("POST", "contact_groups/", {"name": "G"}, {"id", "contacts"}),
    ("GET", "contact_group/1/", None, {"id", "contacts"}),
    ("POST", "contact_group/1/", {"description": "d"}, {"id", "contacts"}),
    ("POST", "contact_group/1/update_contacts/", [{"contact": 2}], {"data", "success"}),
    ("POST", "contact_group/1/delete_contacts/", {"contacts": [1]}, {"data", "success"}),
    ("GET", "assets/", None, {"page_info", "data"}),
    ("POST", "assets/", {"name": "A", "display_id": "A-1", "created_by": 7}, {"id", "created_at", "updated_at"}),
    ("GET", "asset/1/", None, {"id", "asset_type", "contacts", "contact_groups", "custom_fields"}),
    ("PUT", "asset/1/", {"name": "A", "updated_by": 7}, {"id", "asset_type", "updated_at"}),
    ("GET", "asset_types/", None, {"page_info", "data"}),
    ("GET", "asset_type/1/", None, {"id", "name", "description", "settings"}),
    ("GET", "asset_custom_fields/", None, {"page_info", "data"}),
    ("GET", "asset_custom_fields/1/", None, {"id", "type", "asset_type", "name", "choices"}),
    ("GET", "asset_custom_field/1/", None, {"id", "type", "asset_type", "name", "choices"}),
    ("GET", "reports/", None, {"rows", "last_index", "page_count", "start_index", "end_index"}),
    (
        "GET",
        "report/1/",
        None,
        {"ticket_count", "completed_count", "assigned_count", "pending_count", "unassigned_count"},
    ),
    ("GET", "report/1/tabulardata/", None, {"rows", "sort_key", "sort_order", "page_count", "last_index"}),
    ("GET", "report/1/tabularview/", None, {"rows"}),
    ("GET", "report/1/responsestats/", None, {"avg", "unit", "average_first_response_time"}),
    ("GET", "report/1/staffperformance/", None, {"staff_performance", "sort_key"}),
    ("GET", "report/1/staffactivity/", None, {"staff_activity", "sort_order"}),
    ("GET", "report/1/customeractivity/", None, {"customer_activity"}),
    ("GET", "report/1/slaentries/", None, {"name", "target", "achieved", "ticketsChecked", "ticketsBreached"}),
    ("GET", "kb/articles/", None, {"id", "title", "contents"}),
    ("GET", "kb/internal-articles/", None, {"id", "title"}),
    ("GET", "kb/sections/", None, {"id", "name", "articles"}),
    ("GET", "kb/article/1", None, {"id", "title", "contents"}),
    ("GET", "kb/section/1", None, {"id", "name", "articles"}),
    ("GET", "staff/", None, {"id", "name", "email", "role", "permissions"}),
    ("GET", "staff/7/", None, {"id"}),
    ("GET", "staff/lin@support.example/", None, {"id"}),
    ("GET", "statuses/", None, {"id", "behavior", "color"}),
    ("GET", "status/4/", None, {"id"}),
    ("GET", "priorities/", None, {"id", "order"}),
    ("GET", "priority/1/", None, {"id"}),
    ("GET", "categories/", None, {"id", "time_spent_mandatory"}),
    ("GET", "category/1/", None, {"id"}),
    ("GET", "ticket_custom_fields/", None, {"id", "compulsory_on_completed", "categories"}),
    ("GET", "ticket_custom_field/3/", None, {"id", "choices"}),
    ("PUT", "ticket_custom_field/3/", {"choices": [{"id": None, "text": "New"}]}, {"id", "choices"}),
    ("GET", "user_custom_fields/", None, {"id", "order"}),
    ("GET", "user_custom_field/1/", None, {"id"}),
]
OTHERWISE = {("DELETE", "asset/*"), ("POST", "ticket-inline-attachment")}
"""Covered by other tests."""


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    simulator.create_ticket()
    return simulator


@pytest.mark.parametrize(("method", "path", "body", "members"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS])
def test_an_endpoint_answers_with_its_documented_members(
    api: Caller, method: str, path: str, body: Any, members: set[str]
) -> None:
    for spelling in (path, path.rstrip("/")):
        response = api.simulator.fork().handle(api.request(method, spelling, body))
        assert response.status == 200, response.body
        answered = json.loads(response.body)
        assert members <= (answered[0] if isinstance(answered, list) else answered).keys()


def test_every_route_is_tested() -> None:
    tried = {(method, _pattern(path)) for method, path, _, _ in CALLS}
    known = {(method, path) for path, methods in ENDPOINTS.items() for method in methods}
    assert known - tried == OTHERWISE


def _pattern(path: str) -> str:
    return "/".join("*" if part.isdecimal() or "@" in part else part for part in path.strip("/").split("/"))


@pytest.mark.parametrize("path", sorted(path for path in ENDPOINTS if "*" in path))
def test_an_unknown_object_is_404(api: Caller, path: str) -> None:
    for method in ENDPOINTS[path]:
        response = api.send(method, path.replace("*", "99999"), {"staff": 7, "staff_id": 7, "updated_by": 7})
        assert (response.status, json.loads(response.body)) == (404, {"error": "Cannot find the requested object"})


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_the_wrong_method_is_405(api: Caller, path: str) -> None:
    assert api.send("PATCH", path.replace("*", "1")).status == 405


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_every_endpoint_requires_credentials(api: Caller, path: str) -> None:
    api.auth = ""
    assert api.get(path.replace("*", "1")).status == 401


def test_only_files_need_no_credentials() -> None:
    assert sorted(OPEN_ENDPOINTS) == ["attachments/*/*", "get_hdp_temporarily_attachment/*"]


def test_an_inline_attachment_is_one_image(api: Caller) -> None:
    answered = json.loads(api.upload("ticket-inline-attachment", {}, [("file", "a.png", "image/png", b"\x89")]).body)
    assert api.follow(answered["url"]).body == b"\x89"
    assert api.follow(answered["url"]).headers["Content-Type"] == "image/png"
    kind, body = multipart({}, [])
    assert api.post("ticket-inline-attachment", body, kind).status == 400
    for files in ([("file", "a.txt", "text/plain", b"x")], [("file", "a.png", "image/png", b"x")] * 2):
        assert api.upload("ticket-inline-attachment", {}, files).status == 400
