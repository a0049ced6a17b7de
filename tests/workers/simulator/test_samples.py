"""Documented requests work unchanged, and their responses have every documented member."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support import documented
from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import Simulator, admin
from workers.simulator.account import StoredContact


@pytest.fixture
def simulator(clock: FakeClock) -> Simulator:
    """Return an account that fits the documented requests: their ids exist, and fields have their types."""
    simulator = Simulator(clock)
    account = simulator.account
    for number in (1, 3, 4, 41, 27662):
        account.put_contact(
            StoredContact(
                id=number,
                name=f"C{number}",
                email=f"c{number}@bigcorp.example",
                created_at=clock(),
                groups={1: False},
            )
        )
    phone = {"id": 31, "type": "w", "number": "1"}
    account.put_contact(
        StoredContact(
            id=33,
            name="James may",
            email="james@example.com",
            created_at=clock(),
            phones=(phone,),
            groups={1: False},
        )
    )
    edited = {"id": 20, "type": "mo", "number": "1"}
    account.put_contact(replace(account.contacts[4], email="jamesmay@example1.com", phones=(edited,)))
    admin.change_table(account, "contact_fields", [{"id": 4, "type": "text", "choices": None}])
    types = [(1, "text"), (2, "number"), (3, "multiple_choice"), (4, "date"), (5, "number"), (25, "text")]
    two: list[Any] = [{"id": number, "text": f"Choice {number}", "dependant_fields": []} for number in (1, 2)]
    admin.change_table(
        account,
        "ticket_fields",
        [{"id": i, "type": kind, "choices": two if kind == "multiple_choice" else None} for i, kind in types],
    )
    admin.change_table(account, "categories", [{"id": 4, "name": "Test"}])
    simulator.create_ticket(tags=("test",), due_date="2019-08-16")
    kind, body = multipart(
        {"staff": "1", "html": "x", "status": "2", "priority": "3", "due_date": "2019-08-17"},
        [("attachments", "bicycle.gif", "image/gif", b"GIF")],
    )
    assert Caller(simulator).post("ticket/1/staff_update/", body, kind).status == 200
    simulator.account.put(replace(simulator.account.tickets[1], assignee=1, subscribers=(1,)))
    return simulator


def posted(path: str) -> Callable[[Caller, Any], Any]:
    return lambda api, body: api.posted(path, body)


def got(path: str, query: str = "") -> Callable[[Caller, Any], Any]:
    return lambda api, body: api.got(path, query)


def refused(path: str, body: Any) -> Callable[[Caller, Any], Any]:
    return lambda api, _: api.refused(path, body)


def with_file(api: Caller, body: Any) -> Any:
    files = [("attachments", body.pop("attachments"), "image/png", b"\x89PNG")]
    return json.loads(api.upload("tickets/", body, files).body)


def create_many(api: Caller, body: Any) -> Any:
    ticket = {"client": 1, "subject": "S", "text": "T", "category": 1}
    return api.posted("tickets/", [ticket, ticket | {"category": None}])


def inline_attachment(api: Caller, body: Any) -> Any:
    return json.loads(api.upload("ticket-inline-attachment", {}, [("file", "a.png", "image/png", b"\x89")]).body)


def without_resolution(api: Caller, body: Any) -> Any:
    admin.change_table(api.simulator.account, "ticket_fields", [{"id": 2, "compulsory_on_completed": True}])
    return api.refused("ticket/1/staff_update/", {"staff": 1, "status": 4})


def without_company(api: Caller, body: Any) -> Any:
    fields = [{"id": 13, "required": True, "name": "A"}]
    admin.change_table(api.simulator.account, "contact_fields", fields)
    return api.refused("users/", {"email": "new@example.com", "name": "New"})


def without_product(api: Caller, body: Any) -> Any:
    admin.change_table(api.simulator.account, "ticket_fields", [{"id": 3, "required": True}])
    return api.refused("tickets/", {"client": 1, "subject": "S", "text": "T", "category": 1})


TICKET = {"client": 1, "subject": "S", "text": "T"}
CALLS: dict[str, Callable[[Caller, Any], Any]] = {
    "tickets/detail": got("ticket/1/"),
    "tickets/list-fields": got("tickets/", "fields=id,last_user_reply_at,last_staff_reply_at"),
    "tickets/custom-fields": got("ticket_custom_fields/"),
    "tickets/create": posted("tickets/"),
    "tickets/create-with-file": with_file,
    "tickets/create-many": create_many,
    "tickets/create-refused": refused("tickets/", TICKET),
    "tickets/create-refused-field": without_product,
    "tickets/inline-attachment": inline_attachment,
    "tickets/staff-update": posted("ticket/1/staff_update/"),
    "tickets/staff-update-refused": without_resolution,
    "tickets/user-reply": posted("ticket/1/user_reply/"),
    "tickets/update-tags": posted("ticket/1/update_tags/"),
    "tickets/subscribe": posted("ticket/1/subscribe/"),
    "tickets/unsubscribe": posted("ticket/1/unsubscribe/"),
    "tickets/forward": posted("ticket/1/forward/"),
    "tickets/move": posted("ticket/1/move/"),
    "tickets/delete": posted("ticket/1/delete/"),
    "users/list": got("users/"),
    "users/detail": got("user/33/"),
    "users/create": posted("users/"),
    "users/create-refused": refused("users/", {"email": "new@example.com"}),
    "users/create-refused-field": without_company,
    "users/edit": posted("user/33/"),
    "users/edit-phone": posted("users/"),
    "users/many": posted("users/"),
    "users/phones": posted("user/33/"),
    "users/primary-phone": posted("user/33/"),
    "users/enable-login": posted("user/33/"),
    "users/disable-login": posted("user/33/"),
    "users/custom-fields": got("user_custom_fields/"),
    "contact_groups/list": got("contact_groups/"),
    "contact_groups/detail": got("contact_group/1/"),
    "contact_groups/create": posted("contact_groups/"),
    "contact_groups/update-contacts": posted("contact_group/1/update_contacts/"),
    "contact_groups/delete-contacts": posted("contact_group/1/delete_contacts/"),
}
LIKE = {"tickets/create": "tickets/detail", "users/create": "users/detail", "users/edit": "users/detail"}
LIKE |= {"contact_groups/create": "contact_groups/detail", "tickets/staff-update": "tickets/detail"}
"""Calls that, according to the articles, have the same response as another."""
EQUAL = (
    *("tickets/create-refused", "tickets/create-refused-field", "tickets/staff-update-refused"),
    *("users/create-refused", "users/create-refused-field"),
)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_documented_call_is_answered_with_the_documented_members(api: Caller, name: str) -> None:
    folder = documented.FOLDER
    body = documented.request(name) if (folder / name / "request.json").exists() else None
    answered = CALLS[name](api, body)
    like = LIKE.get(name, name)
    if (folder / like / "answer.json").exists():
        assert documented.missing(documented.answer(like), answered) == []
    if name in EQUAL:
        assert answered == documented.answer(name)


def test_every_sample_is_used() -> None:
    assert sorted(CALLS) == documented.names()


def test_the_readme_lists_at_most_ten_mistakes_in_samples_that_exist() -> None:
    text = (documented.FOLDER / "README.md").read_text()
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `") and ".json`" in line]
    assert 0 < len(listed) <= 10
    assert all((documented.FOLDER / path).exists() for path in listed)


def test_the_comparison_reports_missing_members_and_other_types() -> None:
    assert documented.missing({"a": 1, "b": [{"c": "x"}]}, {"a": 2, "b": [{"c": "y", "d": 1}]}) == []
    assert documented.missing({"a": 1, "b": 2}, {"a": "1"}) == ["answer.b", "answer.a is str"]
    assert documented.missing([{"c": 1}], [{"d": 1}]) == ["answer[].c"]
    assert documented.missing({"a": True}, {"a": 1}) == ["answer.a is int"]
