"""Writes private notes for the staff.

    [router.private-note]
    match = [{ on = "ticket-created", contact_domain = "bigcorp.example", note = "VIP: answer within the hour." }]

Every entry that holds writes its note. `on` names the kinds of event an entry is for; without it, a new ticket and a
reply of the contact. `alert` tells who is alerted: "s" the subscribers, "c" the staff of the category, or a staff id.
"""

from dataclasses import dataclass, field

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class Note:
    """What an entry does."""

    note: str
    alert: str | int | None = None

    def __post_init__(self) -> None:
        if not self.note.strip():
            raise ValueError("note: it is empty")


@dataclass(frozen=True)
class Settings:
    """The table of this router."""

    match: Matches[Note] = field(default_factory=Matches)


router = Router("private-note", settings=Settings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def note(ticket: Ticket, event: Event, ctx: Context[Settings]) -> None:
    for action in ctx.settings.match.held(ticket, event, ctx.now):
        ticket.note(action.note, alert=action.alert)
