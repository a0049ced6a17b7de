"""Tags tickets by what they say, who wrote them and where they are.

    [router.auto-tag]
    match = [
        { text = 'refund|chargeback', tags = ["refund"] },
        { contact_domain = "bigcorp.example", not_category = "Spam", tags = ["vip"] },
    ]

Every entry that holds adds its tags, those the ticket has already are left alone. `on` names the kinds of event that an
entry is for; without it, a new ticket and a reply of the contact.
"""

from dataclasses import dataclass, field

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class Tags:
    """What an entry does."""

    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tags or not all(tag.strip() and "," not in tag for tag in self.tags):
            raise ValueError('tags: name at least one, each a text without a comma, as tags = ["vip"]')


@dataclass(frozen=True)
class Settings:
    """The table of this router."""

    match: Matches[Tags] = field(default_factory=Matches)


router = Router("auto-tag", settings=Settings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def tag(ticket: Ticket, event: Event, ctx: Context[Settings]) -> None:
    wanted = [tag for action in ctx.settings.match.held(ticket, event, ctx.now) for tag in action.tags]
    missing = [tag for tag in dict.fromkeys(wanted) if tag not in ticket.tags]
    if missing:
        ticket.add_tags(*missing)
