"""Tests of `card_numbers.py`; the numbers are the card companies' own test numbers."""

import pytest
from card_numbers import redact, router

from workers.testing import Desk, run, ticket


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("My card 4111 1111 1111 1111 fails", "My card (card ending in 1111) fails"),
        ("3782-822463-10005, 5555555555554444.", "(card ending in 0005), (card ending in 4444)."),
        ("Order 4111111111111112", "Order 4111111111111112"),
        ("Call +49 30 1234567", "Call +49 30 1234567"),
        ("0000 0000 0000 0000", "0000 0000 0000 0000"),
    ],
)
def test_only_numbers_with_a_right_check_digit_are_replaced(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("crash", [False, True])
def test_a_new_ticket_is_replaced_by_a_copy_without_the_number(desk: Desk, crash: bool) -> None:
    desk.use(router, allow=["card-numbers:create", "card-numbers:delete"])
    desk.crash = crash
    number = desk.simulator.create_ticket("sam@bigcorp.example", subject="Paid", text="With 4111111111111111").id
    desk.advance("10m")
    [left] = desk.simulator.account.tickets.values()
    assert left.id != number
    copy = desk.ticket(left.id)
    assert (copy.subject, copy.first_message.strip()) == ("Paid", "With (card ending in 1111)")
    assert copy.contact.email == "sam@bigcorp.example"
    assert copy.tags == {"card-number-removed"}


def test_a_later_message_is_left_to_a_person() -> None:
    result = run(router, ticket(), "contact-replied", text="Take 4111 1111 1111 1111")
    assert result.tags_added == {"card-number"}
    assert "4111" not in result.notes[0]
