"""Set status, priority, assignee, due date and custom fields, and optionally reply to the contact.

    [router.staff-update]
    match = [{ on = "contact-replied", status = "Closed", set.status = "In Progress", reply = "We are on it again." }]

Every matching entry is applied; if two set the same property, the last one wins. An empty assignee clears it. A
reply is mailed and needs the grant staff-update:reply. `on` names the kinds of event an entry applies to; the default
is a new ticket or a reply from the contact.
"""

from dataclasses import dataclass, field
from datetime import date

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class Properties:
    """The properties an entry sets; None leaves a property unchanged."""

    status: str | int | None = None
    priority: str | int | None = None
    assignee: str | int | None = None
    due_date: date | None = None
    fields: dict[str, str | int | float | bool | list[str]] | None = None


@dataclass(frozen=True)
class StaffUpdate:
    """The actions of one entry."""

    set: Properties = Properties()
    reply: str = ""

    def __post_init__(self) -> None:
        if "" in (self.set.status, self.set.priority):
            raise ValueError("status or priority is empty; write a name or an id")
        if self.set == Properties() and not self.reply.strip():
            raise ValueError('the entry does nothing; add set.status = "..." or reply = "..."')


@dataclass(frozen=True)
class StaffUpdateSettings:
    """The `[router.staff-update]` table."""

    match: Matches[StaffUpdate] = field(default_factory=Matches)


router = Router("staff-update", settings=StaffUpdateSettings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def update(ticket: Ticket, event: Event, ctx: Context[StaffUpdateSettings]) -> None:
    for action in ctx.settings.match.actions(ticket, event, ctx.now):
        properties = {name: value for name, value in vars(action.set).items() if value is not None}
        if "assignee" in properties:
            properties["assignee"] = properties["assignee"] or None
        ticket.set(**properties)
        if action.reply.strip():
            ticket.reply(action.reply)
