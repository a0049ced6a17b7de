"""Keep card numbers out of the help desk: replace a new ticket that contains one by a copy without it.

    [permissions]
    card-numbers = ["create", "delete"]

HappyFox's API cannot edit a message. So a new ticket with a card number is created again without it, and the original
is deleted. Of a later message, only a person can delete the number: it gets a note and a tag. Numbers count only if
their check digit is right, so that order numbers and phone numbers stay.
"""

import re

from workers import Context, Event, Router, Ticket

router = Router("card-numbers")

CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")


@router.on("ticket-created", when=lambda ticket: has_card(ticket.subject + "\n" + ticket.first_message))
def copy(ticket: Ticket, event: Event, ctx: Context) -> None:
    ctx.create_ticket(
        client=ticket.contact.id,
        subject=redact(ticket.subject),
        text=redact(ticket.first_message),
        category=ticket.category.name,
        priority=ticket.priority.name,
        tags=["card-number-removed"],
    )
    ticket.delete()
    ctx.veto("the ticket contains a card number")


def names_card(ticket: Ticket, event: Event) -> bool:
    return any(has_card(change.text) for change in event.matched)


@router.on("contact-replied", when=names_card)
def warn(ticket: Ticket, event: Event) -> None:
    ticket.note("The last message contains a card number. Please delete that message in HappyFox.", alert="c")
    ticket.add_tags("card-number")


def has_card(text: str) -> bool:
    """Return whether a text contains a card number."""
    return redact(text) != text


def redact(text: str) -> str:
    """Replace card numbers by their last four digits."""
    return CARD.sub(lambda found: f"(card ending in {found[0][-4:]})" if is_card(found[0]) else found[0], text)


def is_card(number: str) -> bool:
    """Check the last digit (Luhn): every second one from the right counts double, 14 counts as 1 + 4."""
    digits = [int(sign) for sign in reversed(number) if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
