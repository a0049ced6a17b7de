"""Any input gets a response, and the counters of the account stay correct."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Hook, Simulator
from workers.simulator.routes import ENDPOINTS

NAMES = (
    *("staff", "staff_id", "user", "client", "name", "email", "subject", "text", "html", "plaintext", "category"),
    *("priority", "status", "assignee", "tags", "add", "remove", "due_date", "created_at", "time_spent", "data"),
    *("to", "target_category_id", "assign_to", "move_note", "t-cf-1", "t-cf-2", "t-cf-3", "t-cf-4", "t-cf-5"),
    *("phones", "is_login_enabled", "contacts", "contact", "access_tickets", "tagged_domains", "choices", "updated_by"),
    *("display_id", "created_by", "contact_ids", "contact_group_ids", "custom_fields", "last_staff_message"),
    *("t-cf-99", "c-cf-1", "ccf-4", "t-cf-", "t-cf-²", "update_customer"),
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1", "--5", "2", "7"])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
VALID = {
    "staff": 7,
    "staff_id": 7,
    "user": 1,
    "client": 1,
    "subject": "s",
    "text": "t",
    "category": 1,
    "to": "a@b.example",
}
VALID |= {"target_category_id": 2, "status": 2, "add": "x", "name": "N", "email": "n@new.example", "display_id": "D"}
VALID |= {"created_by": 7, "updated_by": 7}
wrong = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
bodies = wrong.map(lambda members: VALID | members) | wrong | values | st.lists(wrong, max_size=2)
writes = st.sampled_from(
    [(method, path.replace("*", "1")) for path, methods in ENDPOINTS.items() for method in methods if method != "GET"]
)
reads = st.sampled_from([path.replace("*", "1") for path, methods in ENDPOINTS.items() if "GET" in methods])
queries = st.text(alphabet='idtagq=:"&+%, _-aN/1', max_size=30)


def unlimited() -> Caller:
    api = Caller(Simulator(FakeClock(), [Hook("http://hooks.example/", "k", shape="rest")], gets=10**6, posts=10**6))
    api.simulator.create_ticket(tags=["a"])
    return api


@settings(max_examples=120)
@given(calls=st.lists(st.tuples(writes, bodies), max_size=6), after=reads)
def test_any_json_is_answered_and_a_refused_call_changes_nothing(
    calls: list[tuple[tuple[str, str], Any]], after: str
) -> None:
    api = unlimited()
    for (method, path), body in calls:
        before = state(api)
        response = api.send(method, path, msgspec.json.encode(body), query="deleted_by=7")
        assert response.status in (200, 400, 403, 404)
        if response.status != 200:
            msgspec.json.decode(response.body)
            assert state(api) == before
    assert api.get(after).status in (200, 404)
    check_counters(api.simulator)


def state(api: Caller) -> tuple[Any, ...]:
    account = api.simulator.account
    return dict(account.tickets), dict(account.contacts), account.assets, account.groups, account.ticket_fields


@given(
    query=queries,
    raw=st.binary(max_size=40),
    kind=st.sampled_from(
        ["", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
    ),
)
def test_any_query_and_any_bytes_are_answered(query: str, raw: bytes, kind: str) -> None:
    api = unlimited()
    for path in ("tickets/", "users/", "assets/", "report/1/tabulardata/", "asset_custom_fields/"):
        assert api.get(path, query).status in (200, 400, 404)
    assert api.post("ticket/1/staff_update/", raw, kind).status in (200, 400)


def check_counters(simulator: Simulator) -> None:
    account = simulator.account
    ids = sorted(update.update_id for ticket in account.tickets.values() for update in ticket.updates)
    assert len(ids) == len(set(ids))
    assert all(update_id <= account.last_update for update_id in ids)
    for contact in account.contacts:
        owned = [ticket for ticket in account.tickets.values() if ticket.contact == contact]
        assert account.tickets_of[contact] == len(owned)
        assert account.pending_of[contact] == sum(not account.completed(ticket.status) for ticket in owned)
