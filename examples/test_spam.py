"""Tests of `spam.py`."""

from typing import Any

import pytest
from spam import router

from workers import Event, Router, Ticket
from workers.testing import Desk, run, ticket

SPAM = {"subject": "GUARANTEED BACKLINKS", "text": "Best SEO and casino backlinks: https://bit.ly/x"}


@pytest.mark.parametrize(
    ("values", "spam"),
    [
        (SPAM, True),
        ({**SPAM, "email": "sam@bigcorp.example"}, False),
        ({**SPAM, "groups": ["Partners"]}, False),
        ({"subject": "Loan of a device", "text": "We need one https://example.com/a"}, False),
        ({"subject": "MY ORDER IS LATE", "text": "Where is it?"}, False),
    ],
)
def test_several_signs_together_are_spam(values: dict[str, Any], spam: bool) -> None:
    settings = {"trusted_domains": ["bigcorp.example"]}
    result = run(router, ticket(**values), "ticket-created", settings=settings)
    assert (result.tags_added == {"spam"}) is spam
    assert bool(result.notes) is spam


def test_nobody_answers_spam(desk: Desk) -> None:
    answering = Router("answering")

    @answering.on("ticket-created")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you for your message.")

    desk.use(router, answering, allow=["answering:reply"])
    number = desk.simulator.create_ticket("new@shop.example", **SPAM).id
    desk.advance("1m")
    assert desk.replies(number) == []
    assert desk.ticket(number).tags == {"spam"}
