"""Escalate: a ticket that nobody answered for two hours gets a higher priority, and its category's staff hear of it.

    [router.escalate]
    after = "2h"
    priority = "Critical"

Each message of the contact winds the timer again, an answer of the staff or a closed ticket stops it.
"""

from dataclasses import dataclass

from workers import Context, Event, Router, Ticket


@dataclass(frozen=True)
class Escalate:
    """The table of this router."""

    after: str = "2h"
    priority: str = "High"


router = Router("escalate", settings=Escalate)


@router.on("ticket-created", "contact-replied")
def watch(ticket: Ticket, event: Event, ctx: Context[Escalate]) -> None:
    ctx.later(ctx.settings.after, "unanswered", unless="staff-replied")


@router.on("later", name="unanswered", when=lambda ticket: not ticket.status.closed)
def escalate(ticket: Ticket, event: Event, ctx: Context[Escalate]) -> None:
    ticket.set(priority=ctx.settings.priority)
    ticket.note(f"Nobody has answered for {ctx.settings.after}.", alert="c")
