"""Tests of `auto_responder.py`."""

import pytest
from auto_responder import router

from workers import Event, Router, Ticket
from workers.testing import Desk, run, ticket


@pytest.mark.parametrize(
    ("email", "subject", "automatic"),
    [
        ("noreply@shop.example", "Your order", True),
        ("no-reply+7@shop.example", "Your order", True),
        ("sam@example.com", "Automatic reply: Help", True),
        ("sam@example.com", "Out of office", True),
        ("sam@example.com", "The reply was automatic", False),
        ("norah@example.com", "Help", False),
    ],
)
def test_messages_of_programs_are_recognized(email: str, subject: str, automatic: bool) -> None:
    result = run(router, ticket(email=email, subject=subject), "ticket-created")
    assert (result.tags_added == {"automatic"}) is automatic
    assert (result.properties == {"status": "Closed"}) is automatic


def test_no_later_handler_answers_an_automatic_message(desk: Desk) -> None:
    answering = Router("answering")

    @answering.on("ticket-created")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you for your message.")

    desk.use(router, answering, allow=["answering:reply"])
    machine = desk.simulator.create_ticket("noreply@shop.example").id
    person = desk.simulator.create_ticket("sam@bigcorp.example").id
    desk.advance("1m")
    assert (desk.replies(machine), desk.ticket(machine).status.name) == ([], "Closed")
    assert desk.replies(person) == ["Thank you for your message."]
    assert "vetoed by auto-responder.guard" in desk.explain(machine)
