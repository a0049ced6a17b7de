"""Escalate tickets that nobody answered for two hours: raise the priority and notify the category's staff.

    [router.escalate]
    after = "2h"
    priority = "Critical"

Each message from the contact restarts the timer. A reply by staff cancels it, and closed tickets are not escalated.
"""

from dataclasses import dataclass

from workers import Context, Event, Router, Ticket


@dataclass(frozen=True)
class Escalate:
    """The settings of this router."""

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
