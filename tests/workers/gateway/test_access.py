"""Which permission each call needs, and that nothing else reaches HappyFox."""

from typing import Any

import pytest
import redis

from tests.support.clients import ClientDesk, client
from workers.gateway.access import ENDPOINTS, Denied, find_operation
from workers.happyfox.endpoints import ENDPOINTS as DOCUMENTED
from workers.happyfox.messages import File, Request
from workers.settings.clients import CLIENT_PERMISSIONS
from workers.testing.desk import SimulatedDeployment

TICKET = {"email": "sam@example.com", "name": "Sam", "subject": "x", "text": "y", "category": 1}

#: Method, path, body, and the permissions that it needs.
CALLS: list[tuple[str, str, Any, str]] = [
    ("GET", "/tickets/", None, "tickets:read"),
    ("GET", "/ticket/1/", None, "tickets:read"),
    ("GET", "/ticket/1", None, "tickets:read"),
    ("POST", "/tickets/", TICKET, "tickets:create"),
    ("POST", "/tickets/", {**TICKET, "tags": "a", "t-cf-3": "b", "c-cf-4": "c"}, "tickets:create"),
    ("POST", "/tickets/", [TICKET, TICKET], "tickets:create"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "hi"}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "plaintext": "hi"}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "html": "hi", "update_customer": True}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": " "}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": ["hi"]}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "cc": "a@b.c", "status": 2}, "tickets:reply tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "hi", "time_spent": 5}, "tickets:reply"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "hi", "status": 2}, "tickets:reply tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "hi", "tags": "a"}, "tickets:reply tickets:tag"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "hi", "t-cf-3": "a"}, "tickets:reply tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "status": 2}, "tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "text": "", "priority": 2}, "tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "time_spent": 5}, "tickets:update"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1, "tags": "a"}, "tickets:tag"),
    ("POST", "/ticket/1/staff_update/", {"staff": 1}, "tickets:update"),
    ("POST", "/ticket/1/staff_pvtnote/", {"staff": 1, "text": "hi"}, "tickets:note"),
    ("POST", "/ticket/1/staff_pvtnote/", {"staff": 1, "text": "hi", "status": 2}, "tickets:note tickets:update"),
    ("POST", "/ticket/1/staff_pvtnote/", {"staff": 1, "text": "hi", "tags": "a"}, "tickets:note tickets:tag"),
    ("POST", "/ticket/1/user_reply/", {"user": 1, "text": "hi"}, "tickets:reply-as-contact"),
    ("POST", "/ticket/1/update_custom_fields/", {"staff": 1, "t-cf-3": "a"}, "tickets:update"),
    ("POST", "/ticket/1/update_tags/", {"staff_id": 1, "add": "a"}, "tickets:tag"),
    ("POST", "/ticket/1/move/", {"staff_id": 1, "target_category_id": 2}, "tickets:move"),
    ("POST", "/ticket/1/forward/", {"staff_id": 1, "to": "a@b.c", "subject": "x"}, "tickets:forward"),
    ("POST", "/ticket/1/subscribe/", {"staff_id": 1}, "tickets:subscribe"),
    ("POST", "/ticket/1/unsubscribe/", {"staff_id": 1}, "tickets:subscribe"),
    ("POST", "/ticket/1/delete/", {"staff_id": 1}, "tickets:delete"),
    ("GET", "/users/", None, "contacts:read"),
    ("GET", "/user/3/", None, "contacts:read"),
    ("GET", "/user/sam%40example.com/", None, "contacts:read"),
    ("POST", "/users/", {"name": "Sam", "email": "sam@example.com"}, "contacts:write"),
    ("POST", "/users/", [{"name": "Sam", "email": "sam@example.com"}], "contacts:write"),
    ("POST", "/user/3/", {"name": "Sam", "c-cf-3": "a"}, "contacts:write"),
    ("GET", "/contact_groups/", None, "groups:read"),
    ("GET", "/contact_group/3/", None, "groups:read"),
    ("POST", "/contact_groups/", {"name": "x"}, "groups:write"),
    ("POST", "/contact_group/3/", {"description": "x"}, "groups:write"),
    ("POST", "/contact_group/3/update_contacts/", [{"contact": 1}], "groups:write"),
    ("POST", "/contact_group/3/delete_contacts/", {"contacts": [1]}, "groups:write"),
    ("GET", "/assets/", None, "assets:read"),
    ("GET", "/asset_types/", None, "assets:read"),
    ("POST", "/assets/", {"name": "x", "display_id": "x", "created_by": 1}, "assets:write"),
    ("POST", "/assets/", {"name": "x", "contacts": [{"name": "Sam"}]}, "assets:write contacts:write"),
    ("PUT", "/asset/3/", {"updated_by": 1}, "assets:write"),
    ("DELETE", "/asset/3/", None, "assets:write"),
    ("GET", "/reports/", None, "reports:read"),
    ("GET", "/report/3/tabulardata/", None, "reports:read"),
    ("GET", "/kb/internal-articles/", None, "kb:read"),
    ("GET", "/kb/article/3", None, "kb:read"),
    ("GET", "/staff/", None, "reference:read"),
    ("GET", "/ticket_custom_fields/", None, "reference:read"),
    ("PUT", "/ticket_custom_field/3/", {"choices": []}, "*"),
]


@pytest.fixture
def desk(store: redis.Redis) -> ClientDesk:
    return ClientDesk(SimulatedDeployment(store))


@pytest.mark.parametrize(("method", "path", "body", "needs"), CALLS)
def test_a_call_needs_these_permissions(method: str, path: str, body: Any, needs: str) -> None:
    assert find_operation(Request(method, path, body=body)).needs == tuple(needs.split())


def test_files_make_a_staff_update_a_reply() -> None:
    files = (File("a.txt", member="attachments"),)
    operation = find_operation(Request("POST", "/ticket/1/staff_update/", body={"staff": "1"}, files=files))
    assert operation.needs == ("tickets:reply",)


def test_every_permission_is_needed_by_a_call_and_no_other() -> None:
    assert {each for *_, needs in CALLS for each in needs.split()} == set(CLIENT_PERMISSIONS)


def test_every_documented_call_is_known() -> None:
    known = {(each.method, "/".join(each.pattern)) for each in ENDPOINTS}
    documented = {(each.method, each.path.strip("/")) for each in DOCUMENTED}
    numbers = {(method, path.replace("<id>", "<n>").replace("<id or e-mail>", "<who>")) for method, path in documented}
    assert {each for each in numbers if each[1] != "user/<n>"} <= known


def test_200_denied_calls_of_each_kind_never_arrive(desk: ClientDesk) -> None:
    desk.world.simulator.create_ticket()
    for method, path, body, needs in CALLS:
        for missing in needs.split():
            others = tuple(each for each in CLIENT_PERMISSIONS if each not in (missing, "*"))
            who = client("triage", others)
            for _ in range(200):
                reply = desk.call(who, method, path, body)
                assert (reply.status, reply.result) == (403, "denied")
            assert f"allow {missing}" in reply.why
            assert f'"{missing}"' in reply.body.decode().replace('\\"', '"')
    assert list(desk.world.simulator.log) == []
    assert desk.world.client.keys("*permits*") == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/new_ticket/", None),
        ("GET", "/ticket/1/updates/", None),
        ("GET", "/ticket/x/", None),
        ("GET", "/ticket/1/2/", None),
        ("GET", "/status/1/", None),
        ("DELETE", "/ticket/1/", None),
        ("PATCH", "/ticket/1/", {"status": 2}),
        ("POST", "/ticket/1/", {"status": 2}),
        ("HEAD", "/tickets/", None),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "private": True}),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "t-cf-x": 1}),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "t-cf-3-4": 1}),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "Text": "hi"}),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "text ": "hi"}),
        ("POST", "/ticket/1/staff_update/", {"staff": 1, "_method": "DELETE"}),
        ("POST", "/ticket/1/staff_update/", [{"staff": 1, "text": "hi"}]),
        ("POST", "/ticket/1/delete/", {"staff_id": 1, "force": True}),
        ("POST", "/tickets/", [TICKET, {**TICKET, "status": 4}]),
        ("POST", "/tickets/", [TICKET, "x"]),
        ("POST", "/tickets/", [TICKET] * 101),
        ("POST", "/user/a@b.c%2f..%2f/", {"name": "x"}),
    ],
)
def test_what_is_not_documented_is_denied_to_everybody(desk: ClientDesk, method: str, path: str, body: Any) -> None:
    reply = desk.call(client("admin"), method, path, body)
    assert (reply.status, reply.result) == (403, "denied")
    assert list(desk.world.simulator.log) == []


def test_an_unknown_parameter_is_denied_with_the_nearest() -> None:
    with pytest.raises(Denied, match=r"documents no parameter of tickets categry: did you mean 'category'\?"):
        find_operation(Request("GET", "/tickets/", {"categry": "1"}))


def test_a_denial_names_no_words_of_the_client(desk: ClientDesk) -> None:
    reply = desk.call(client("admin"), "POST", "/ticket/1/staff_update/", {"staff": 1, "sam@example.com <b>": 1})
    assert b"sam@example" not in reply.body
    assert "sam" not in reply.why
