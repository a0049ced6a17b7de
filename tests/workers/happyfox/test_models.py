"""The models have every member that the documents show, so that nobody needs ``raw``."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support import documented
from tests.support.happyfox import ClientDesk
from workers.happyfox.reference import read_field
from workers.tickets.model import Staff, read_ticket, read_updates

TICKET = read_ticket(documented.answer("tickets/detail"))
#: Members of the documented ticket with another name in the model.
RENAMED = {
    "assigned_to": "assignee",
    "user": "contact",
    "custom_fields": "field_values",
    "last_modified": "modified_at",
    "merged_tickets": "merged",
    "updates": "history",
}


@pytest.mark.parametrize("member", documented.answer("tickets/detail"))
def test_a_documented_member_of_a_ticket_is_a_member_of_the_model(member: str) -> None:
    assert hasattr(TICKET, RENAMED.get(member, member))


def test_the_members_have_the_documented_values() -> None:
    assert TICKET.last_user_reply_at == datetime(2019, 8, 13, 8, 59, 11, tzinfo=UTC)
    assert TICKET.last_staff_reply_at == TICKET.last_updated_at == datetime(2019, 8, 13, 8, 59, 42, tzinfo=UTC)
    assert (TICKET.time_spent, TICKET.messages_count, TICKET.attachments_count) == (12, 2, 1)
    assert (TICKET.sla_breaches, TICKET.visible_only_staff) == (0, False)
    assert TICKET.subscribers == (Staff(1, "Admin User", "james@example.com"),)
    (update,) = TICKET.history
    assert (update.time_spent, update.satisfaction_survey) == (12, None)
    assert update.message is not None
    assert (update.message.subject, update.message.cc_list, update.message.bcc_list) == ("", ("james@example.com",), ())
    assert (update.message.customer_updated, update.message.forward_list) == (False, ())


def test_a_thin_ticket_has_the_values_of_nothing() -> None:
    thin = read_ticket({"id": 1, "sla_breaches": None, "subscribers": None, "time_spent": None})
    assert (thin.sla_breaches, thin.subscribers, thin.time_spent, thin.messages_count) == (0, (), 0, 0)
    assert thin.last_user_reply_at is thin.last_staff_reply_at is None


@pytest.mark.parametrize(
    ("raw", "expected"), [("a@b.example, c@d.example", 2), (["a@b.example"], 1), (None, 0), ("", 0)]
)
def test_the_lists_of_a_message_are_texts_or_lists(raw: Any, expected: int) -> None:
    (update,) = read_updates([{"update_id": 1, "message": {"text": "x", "forward_list": raw, "cc_list": raw}}])
    assert update.message is not None
    assert (len(update.message.forward_list), len(update.message.cc_list)) == (expected, expected)
    assert update.message.forwarded is bool(expected)


def test_a_survey_is_returned_as_happyfox_sends_it() -> None:
    (update,) = read_updates([{"update_id": 1, "satisfaction_survey": {"rating": "good"}}])
    assert update.satisfaction_survey == {"rating": "good"}


@pytest.mark.parametrize(("raw", "expected"), [(None, None), (3, 3), ("3", 3), ({"id": 3, "text": "Red"}, 3)])
def test_a_field_knows_the_choice_it_depends_on(raw: Any, expected: int | None) -> None:
    found = read_field({"id": 1, "name": "Shade", "type": "text", "depends_on_choice": raw, "compulsory_on_move": True})
    assert found is not None
    assert (found.depends_on_choice, found.compulsory_on_move) == (expected, True)


def test_a_survey_that_a_contact_answers_is_on_the_ticket() -> None:
    desk = ClientDesk()
    n = desk.ticket()
    desk.simulator.answer_survey(n, "bad", "Too slow")
    update = desk.client.ticket(n).history[-1]
    assert (update.author, update.satisfaction_survey) == ("contact", {"rating": "bad", "comment": "Too slow"})


def test_the_simulator_fills_them() -> None:
    desk = ClientDesk()
    n = desk.ticket(category="Orders", fields={"Order number": "1"})
    desk.client.subscribe(n, 1)
    ticket = desk.client.staff_update(n, text="x", subject="S", cc=["a@b.example"], update_customer=True, time_spent=3)
    message = ticket.history[-1].message
    assert message is not None
    assert (message.subject, message.cc_list, message.customer_updated) == ("S", ("a@b.example",), True)
    assert (ticket.history[-1].time_spent, ticket.time_spent, ticket.messages_count) == (3, 3, 2)
    assert [each.name for each in ticket.subscribers] == ["Foxhooks Bot", "Ada King"]
    assert ticket.last_staff_reply_at == ticket.last_updated_at
