"""Write private notes for the staff.

    [router.private-note]
    match = [{ on = "ticket-created", contact_domain = "bigcorp.example", note = "VIP: answer within the hour." }]

Every matching entry writes its note. `on` names the kinds of event an entry applies to; the default is a new ticket or
a reply from the contact. `alert` is who is notified: "s" the subscribers, "c" the category's staff, or a staff id.
"""

from dataclasses import dataclass, field

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class NoteToWrite:
    """The action of one entry."""

    note: str
    alert: str | int | None = None

    def __post_init__(self) -> None:
        if not self.note.strip():
            raise ValueError("note is empty; write its text")


@dataclass(frozen=True)
class PrivateNoteSettings:
    """The `[router.private-note]` table."""

    match: Matches[NoteToWrite] = field(default_factory=Matches)


router = Router("private-note", settings=PrivateNoteSettings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def note(ticket: Ticket, event: Event, ctx: Context[PrivateNoteSettings]) -> None:
    for action in ctx.settings.match.actions(ticket, event, ctx.now):
        ticket.note(action.note, alert=action.alert)
