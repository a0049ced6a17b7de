"""Arguments that HappyFox would misread are refused before anything is sent, with the right ones."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.happyfox import ClientDesk, asked
from workers.errors import Refused, Unfit
from workers.happyfox import File, search, search_contacts, tickets
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, read

DRAFT: tickets.NewTicket = {"client": 1, "subject": "S", "text": "T", "category": 1}
KARACHI = timezone(timedelta(hours=5))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (datetime(2026, 3, 1, 3, 4, tzinfo=KARACHI), "2026-02-28T22:04:00"),
        (datetime(2026, 3, 1, 3, 4, 5, 678_900), "2026-03-01T03:04:05.678"),
        ("2026-03-01T03:04:00+05:00", "2026-02-28T22:04:00"),
        ("2026-03-01T03:04:00Z", "2026-03-01T03:04:00"),
        ("2026-03-01T03:04:00", "2026-03-01T03:04:00"),
    ],
)
def test_a_creation_time_is_sent_in_utc(given: datetime | str, sent: str) -> None:
    desk = ClientDesk()
    made = desk.client.create_ticket({**DRAFT, "created_at": given})
    assert desk.asked[0].body["created_at"] == sent
    assert made.created_at == datetime.fromisoformat(sent).replace(tzinfo=UTC, microsecond=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda hf: hf.create_ticket({**DRAFT, "due_date": NOON}),
        lambda hf: hf.staff_update(1, due_date=NOON),
        lambda hf: hf.staff_update(1, due_date="tomorrow"),
        lambda hf: hf.private_note(1, text="x", due_date="2026-03-01T00:00:00"),
        lambda hf: hf.update_custom_fields(1, {"t-cf-5": NOON}),
        lambda hf: hf.edit_contact(1, fields={"c-cf-5": NOON}),
        lambda hf: hf.tabular_data(1, start=NOON, end=NOON),
        lambda hf: search(created_on=NOON),
        lambda hf: search(fields={"Delivery date": NOON}),
        lambda hf: search_contacts(updated_since=NOON),
        lambda hf: hf.create_ticket({**DRAFT, "created_at": "yesterday"}),
    ],
)
def test_a_time_is_not_sent_as_a_day_nor_words_as_a_time(call: Callable[[Client], object]) -> None:
    with pytest.raises(Unfit, match=r"day|date|time"):
        asked(call)


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (lambda hf: hf.tickets(category="Billing"), "hf.names.category('Billing')"),
        (lambda hf: hf.tickets(category=["Billing"]), "hf.names.category('Billing')"),
        (lambda hf: hf.tickets(category=True), "is not an id"),
        (lambda hf: hf.tickets(status="Nwe"), "hf.names.status('Nwe')"),
        (lambda hf: list(hf.all_tickets(status="New")), "hf.names.status('New')"),
        (lambda hf: hf.staff_update(1, status="Closed"), "hf.names.status('Closed')"),
        (lambda hf: hf.staff_update(1, assignee="Ada King"), "hf.names.staff_member('Ada King')"),
        (lambda hf: hf.staff_update(1, staff="Ada", html="x"), "hf.names.staff_member('Ada')"),
        (lambda hf: hf.private_note(1, text="x", priority="High"), "hf.names.priority('High')"),
        (lambda hf: hf.private_note(1, text="x", alert="all"), "alert"),
        (lambda hf: hf.private_note(1, text="x", time_spent="1h"), "whole number of minutes"),
        (lambda hf: hf.staff_update(1, time_spent=-5), "whole number of minutes"),
        (lambda hf: hf.create_ticket({**DRAFT, "category": "Billing"}), "hf.names.category('Billing')"),
        (lambda hf: hf.move_ticket(1, "Billing"), "hf.names.category('Billing')"),
        (lambda hf: hf.move_ticket(1, 2, assign_to="Ada"), "hf.names.staff_member('Ada')"),
        (lambda hf: hf.subscribe(1, "Ada"), "hf.names.staff_member('Ada')"),
        (lambda hf: hf.unsubscribe(1, "Ada"), "hf.names.staff_member('Ada')"),
        (lambda hf: hf.contact_reply(1, contact="sam@bigcorp.example", text="x"), "the contact"),
        (lambda hf: hf.contact("Sam Reed"), "hf.contacts(q=...)"),
        (lambda hf: hf.asset("LT-1"), "is not an id"),
        (lambda hf: hf.ticket("#DC00000001"), "search(id='DC00000001')"),
        (lambda hf: hf.private_note("DC00000001", text="x"), "search(id='DC00000001')"),
        (lambda hf: hf.private_note(1, text="x", files=[b"x"]), "File('report.pdf'"),
        (lambda hf: hf.private_note(1, text="x", files=b"x"), "File('report.pdf'"),
    ],
)
def test_a_name_where_an_id_is_needed_is_refused_with_the_way_to_its_id(
    call: Callable[[Any], object], fix: str
) -> None:
    with pytest.raises(Unfit, match=re.escape(fix)):
        asked(call)


def test_one_text_is_never_split_into_its_characters() -> None:
    assert asked(lambda hf: hf.tickets(category=(1, 23))).query["category"] == ("1", "23")
    assert asked(lambda hf: hf.tickets(category="23")).query["category"] == ("23",)  # type: ignore[arg-type]
    assert asked(lambda hf: hf.tickets(fields="subject, tags")).query["fields"] == "id,subject,tags"
    forwarded = tickets.forward(1, staff_id=7, to="a@b.example", subject="S", message="M", ticket_attachments="12")  # type: ignore[arg-type]
    assert forwarded.body["ticket_attachments"] == [12]
    assert asked(lambda hf: hf.remove_contacts_from_group(1, "12")).body == {"contacts": [12]}  # type: ignore[arg-type]


def test_a_list_has_the_groups_of_statuses() -> None:
    for status in ("_all", "_pending", "_completed", 3, "3"):
        assert asked(lambda hf, status=status: hf.tickets(status=status)).query["status"] == str(status)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("call", "ours"),
    [
        (lambda hf: hf.contact_reply(1, user=5, text="x"), "contact"),
        (lambda hf: hf.contact_reply(1, contact=5, text="x", attachments=[]), "files"),
        (lambda hf: hf.subscribe(1, 2, staff_id=7), "staff"),
        (lambda hf: hf.move_ticket(1, target_category_id=2), "category"),
        (lambda hf: hf.move_ticket(1, 2, move_note="x"), "note"),
        (lambda hf: hf.update_tags(ticket_id=1, add=["x"]), "n"),
        (lambda hf: hf.delete_asset(1, deleted_by=7), "staff"),
        (lambda hf: hf.staff_update(1, staff_id=7), "staff"),
        (lambda hf: hf.staff_update(1, plaintext="x"), "text"),
        (lambda hf: hf.private_note(1, attachments=["a"]), "files"),
        (lambda hf: hf.tickets(show_updates=True), "updates"),
        (lambda hf: hf.tickets(sze=5), "size"),
        (lambda hf: hf.contact(wo=5), "who"),
    ],
)
def test_an_argument_by_happyfoxs_name_is_told_its_name_here(call: Callable[[Any], object], ours: str) -> None:
    with pytest.raises(TypeError, match=rf"there is no '\w+' here; .*'{ours}'"):
        asked(call)


NOT_A_CHOICE = "Select a valid choice. That choice is not one of the available choices."
UNFILLED = "This field should be filled before marking this ticket as completed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"error": [{"field": "category", "errors": ["This field is required."]}]},
            "category: This field is required.",
        ),
        ({"error": {"t-cf-2": UNFILLED}}, f"t-cf-2: {UNFILLED}"),
        ({"error": {"display_id": ["This field is required."]}}, "display_id: This field is required."),
        ({"error": {"custom_fields": {"1": "Enter a list of values."}}}, "custom_fields.1: Enter a list of values."),
        ({"error": "Nothing to update"}, "Nothing to update"),
        ([{"errors": [{"field": "contact", "errors": [NOT_A_CHOICE]}]}], f"contact: {NOT_A_CHOICE}"),
    ],
)
def test_a_refusal_says_why(body: Any, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read(Answer(400, {}, json.dumps(body).encode()))
    assert said in str(caught.value)
    assert "`problems`" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"error": [{"field": "subject", "errors": ["'Dear Sam, my card is 4111' is too long."]}]},
        {"error": {"Dear Sam": "This field is required."}},
        {"error": "No contact sam@bigcorp.example"},
        {"error": "This field is required. Dear Sam"},
    ],
)
def test_a_refusal_quotes_no_customer(body: Any) -> None:
    with pytest.raises(Refused) as caught:
        read(Answer(400, {}, json.dumps(body).encode()))
    assert re.search("Sam|sam|4111", str(caught.value)) is None
    assert "Sam" in str(caught.value.problems) or "sam" in str(caught.value.problems)
    assert "`problems`" in str(caught.value) or "This field is required" in str(caught.value)


def test_everything_a_reply_and_a_note_can_have_is_accepted(tmp_path: Path) -> None:
    desk = ClientDesk()
    n = desk.ticket()
    (tmp_path / "plan.txt").write_text("plan")
    reply: dict[str, Any] = {
        "html": "<p>x</p>",
        "subject": "Your printer",
        "send_survey": True,
        "update_customer": True,
        "time_spent": 5,
        "parent_update": 1,
        "last_staff_message": 1,
        "due_date": date(2026, 3, 1),
        "fields": {"t-cf-4": [1, 4], "ccf-1": "Acme"},
        "cc": ["a@b.example"],
    }
    ticket = desk.client.staff_update(n, **reply)
    assert (ticket.time_spent, ticket.history[-1].message.subject) == (5, "Your printer")  # type: ignore[union-attr]
    alerts: tuple[Any, ...] = ("s", "c", 2)
    for alert in alerts:
        desk.client.private_note(n, text="x", alert=alert, time_spent=1, files=[File("a.txt", content=b"a")])
    ticket = desk.client.staff_update(n, **{**reply, "files": [tmp_path / "plan.txt"]})
    assert (ticket.time_spent, ticket.attachments_count) == (13, 4)
    desk.client.contact_reply(n, contact=1, text="x", files=[tmp_path / "plan.txt"])
    made = desk.client.create_ticket({**DRAFT, "fields": {"t-cf-4": [1], "c-cf-1": "Acme"}}, [tmp_path / "plan.txt"])
    assert made.attachments_count == 1


def test_a_category_that_requires_time_accepts_it_in_every_call_that_has_it() -> None:
    desk = ClientDesk()
    n = desk.ticket()
    account = desk.simulator.account
    account.categories = {**account.categories, 1: account.categories[1] | {"time_spent_mandatory": True}}
    for call in (desk.client.staff_update, desk.client.private_note):
        with pytest.raises(Refused, match="time_spent: This field is required"):
            call(n, html="x")
        call(n, html="x", time_spent=5)
        call(n, status=2, time_spent=0)
