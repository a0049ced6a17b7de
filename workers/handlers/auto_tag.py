"""Tag tickets by their text, contact and category.

    [router.auto-tag]
    match = [
        { text = 'refund|chargeback', tags = ["refund"] },
        { contact_domain = "bigcorp.example", not_category = "Spam", tags = ["vip"] },
    ]

Every matching entry adds its tags; tags that the ticket already has are not added again. `on` names the kinds of event
an entry applies to; the default is a new ticket or a reply from the contact.
"""

from dataclasses import dataclass, field

from workers import Context, Event, Matches, Router, Ticket


@dataclass(frozen=True)
class TagsToAdd:
    """The action of one entry."""

    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tags or not all(tag.strip() and "," not in tag for tag in self.tags):
            raise ValueError('tags must be non-empty and without commas; write them as tags = ["vip"]')


@dataclass(frozen=True)
class AutoTagSettings:
    """The `[router.auto-tag]` table."""

    match: Matches[TagsToAdd] = field(default_factory=Matches)


router = Router("auto-tag", settings=AutoTagSettings)


@router.on(
    "ticket-created",
    "ticket-updated",
    when=lambda ticket, event, now, settings: settings.match.holds(ticket, event, now),
)
def tag(ticket: Ticket, event: Event, ctx: Context[AutoTagSettings]) -> None:
    tags = [tag for action in ctx.settings.match.actions(ticket, event, ctx.now) for tag in action.tags]
    missing = [tag for tag in dict.fromkeys(tags) if tag not in ticket.tags]
    if missing:
        ticket.add_tags(*missing)
