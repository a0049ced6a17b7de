"""Duplicates: a contact who sends the same message twice gets one conversation.

    [router.duplicates]
    within = "2h"

The first of several equal tickets stays. The others get a note and a tag and are closed; the first one gets a note,
too. There is no race: if two workers handle two equal tickets at the same moment, one of them decides again and finds
the other ticket, because `ctx.store` is written only if what was read there is still true.
"""

import hashlib
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket, TicketRead


@dataclass(frozen=True)
class Duplicates:
    """The settings of this router."""

    within: str = "2h"
    """How long after a ticket an equal one is a duplicate."""
    tag: str = "duplicate"
    status: str = "Closed"


router = Router("duplicates", settings=Duplicates)


@router.on("ticket-created")
def compare(ticket: Ticket, event: Event, ctx: Context[Duplicates]) -> None:
    name = fingerprint(ticket)
    first = ctx.store.get(name, 0)
    if first in (0, ticket.id):
        ctx.store.set(name, ticket.id, keep=ctx.settings.within)
        return
    ticket.add_tags(ctx.settings.tag)
    ticket.note(f"The same message as in ticket {first}.")
    ticket.set(status=ctx.settings.status)
    ctx.on_ticket(first).note(f"The contact has sent this message again: ticket {ticket.id} is closed.")


def fingerprint(ticket: TicketRead) -> str:
    """Return the same for equal messages of a contact, without their words."""
    words = f"{ticket.contact.email}\n{ticket.subject}\n{ticket.first_message}".casefold().split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:32]
