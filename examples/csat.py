"""Follow up on bad ratings: reopen the ticket, raise it, and show it to a team lead.

    [router.csat]
    bad = ["Bad", "1", "2"]
    lead = "Ada King"

HappyFox documents no list of ratings: write yours as a survey sends them (`foxhooks explain` shows what was received).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers import Context, Event, Router, Ticket


@dataclass(frozen=True)
class Csat:
    """The settings of this router."""

    lead: str
    bad: Sequence[str] = ("Bad", "1", "2")


router = Router("csat", settings=Csat)


def is_rated(ticket: Ticket, event: Event) -> bool:
    return any(change.survey for change in event.matched)


@router.on("ticket-updated", when=is_rated)
def follow_up(ticket: Ticket, event: Event, ctx: Context[Csat]) -> None:
    answer = [change.survey for change in event.matched if change.survey][-1]
    if answer.rating.casefold() not in {each.casefold() for each in ctx.settings.bad}:
        return
    who = ticket.assignee.name if ticket.assignee else "nobody"
    ticket.note(f"{ticket.contact.name} rated this ticket {answer.rating!r} (it was with {who}):\n\n{answer.comment}")
    ticket.set(status="In Progress", priority="High", assignee=ctx.settings.lead)
    ticket.add_tags("bad-rating")
