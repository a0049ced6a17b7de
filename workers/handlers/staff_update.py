"""Sets status, priority, assignee, due date and custom fields, and may answer the contact.

    [router.staff-update]
    match = [{ on = "contact-replied", status = "Closed", set.status = "In Progress", reply = "We are on it again." }]

Every entry that holds is done, the last wins where two set the same. An empty assignee clears it. A reply is mailed and
needs the grant staff-update:reply. `on`: the kinds of event; without it, a new ticket and a reply of the contact.
"""

from dataclasses import dataclass, field
from datetime import date

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class Properties:
    """What an entry sets; None leaves as it is."""

    status: str | int | None = None
    priority: str | int | None = None
    assignee: str | int | None = None
    due_date: date | None = None
    fields: dict[str, str | int | float | bool | list[str]] | None = None


@dataclass(frozen=True)
class Update:
    """What an entry does."""

    set: Properties = Properties()
    reply: str = ""

    def __post_init__(self) -> None:
        if "" in (self.set.status, self.set.priority):
            raise ValueError("an empty status or priority; name one")
        if self.set == Properties() and not self.reply.strip():
            raise ValueError('it does nothing; add set.status = "..." or reply = "..."')


@dataclass(frozen=True)
class Settings:
    """The table of this router."""

    match: Matches[Update] = field(default_factory=Matches)


router = Router("staff-update", settings=Settings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def update(ticket: Ticket, event: Event, ctx: Context[Settings]) -> None:
    for action in ctx.settings.match.held(ticket, event, ctx.now):
        wanted = {name: value for name, value in vars(action.set).items() if value is not None}
        if "assignee" in wanted:
            wanted["assignee"] = wanted["assignee"] or None
        ticket.set(**wanted)
        if action.reply.strip():
            ticket.reply(action.reply)
