"""Warn before a promised answer is late: one hour before eight working hours are over.

    [router.sla-warning]
    promised = "8h"
    warn_before = "1h"
    hours = "Mon-Fri 09:00-17:00 Europe/Berlin"

A new message of the contact starts the time, an answer of the staff ends it. Nights and weekends do not count.
"""

from dataclasses import dataclass

from workers import Context, Event, Hours, Router, Ticket
from workers.errors import seconds


@dataclass(frozen=True)
class Promise:
    """The settings of this router."""

    promised: str
    hours: Hours
    warn_before: str = "1h"


router = Router("sla-warning", settings=Promise)


@router.on("ticket-created", "contact-replied")
def start(ticket: Ticket, event: Event, ctx: Context[Promise]) -> None:
    wait = seconds(ctx.settings.promised) - seconds(ctx.settings.warn_before)
    ctx.later(wait, "warn", unless=["staff-replied"], hours=ctx.settings.hours)


@router.on("later", name="warn", when=lambda ticket: ticket.unresponded and not ticket.status.closed)
def warn(ticket: Ticket, event: Event, ctx: Context[Promise]) -> None:
    # "c" notifies the staff of the category, if nobody is assigned.
    alert = ticket.assignee.id if ticket.assignee else "c"
    ticket.note(f"{ticket.contact.name} was promised an answer, due in {ctx.settings.warn_before}.", alert=alert)
    ticket.set(priority="High")
    ticket.add_tags("sla-risk")
