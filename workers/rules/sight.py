"""What a condition looks at: the ticket, one change, the time; and how each word of a condition is found there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from workers.events.change import Change, Event
from workers.events.words import words
from workers.models.reference import Named
from workers.models.ticket import TicketRead
from workers.rules.expression import fold

#: The kinds of change that carry a message of their own.
MESSAGES = frozenset({"ticket-created", "contact-replied", "staff-replied", "note-added"})

ACTORS = ("contact", "staff", "rule", "us", "unknown")


#: The keys of what was found, to compare with, and what of it may be shown in a reason.
Found = tuple[frozenset[str | int], str]


class Sight:
    """The ticket as read, one change of the turn, and the time of the turn; what is looked at twice is found once."""

    __slots__ = ("change", "known", "now", "texts", "ticket")

    def __init__(self, ticket: TicketRead, change: Change, now: datetime) -> None:
        self.ticket, self.change, self.now = ticket, change, now
        self.known: dict[str, Found] = {}
        self.texts: dict[str, tuple[str, str]] = {}

    def find(self, word: "Word") -> Found:
        """Finds what a word means here, and keeps it as known."""
        things = list(word.found(self))
        keys = frozenset([key(each.name) for each in things] + [each.id for each in things if each.id is not None])
        shown = (" or ".join(each.name or "none" for each in things) or "none") if word.shown else ""
        found = self.known[word.label] = (keys, shown)
        return found

    def read(self, name: str, text: "Callable[[Sight], str]") -> tuple[str, str]:
        """Reads a text, and the same without its case, and keeps both."""
        plain = text(self)
        both = self.texts[name] = (plain, fold(plain))
        return both


class Sights:
    """The sights of the event that was asked for last, so that hundreds of rules which look at one find it once."""

    def __init__(self) -> None:
        self._last: tuple[Event | None, TicketRead | None, datetime | None, list[Sight]] = (None, None, None, [])

    def of(self, ticket: TicketRead, event: Event, now: datetime) -> list[Sight]:
        """Gives the sight of each change that an event matched, the newest first."""
        last = self._last  # of another thread, perhaps, and then not used
        if last[0] is not event or last[1] is not ticket or last[2] is not now:
            sights = [Sight(ticket, change, now) for change in reversed(event.matched)]
            last = self._last = (event, ticket, now, sights)
        return last[3]


def key(value: str | int) -> str | int:
    """Gives what a name or an id is compared by."""
    return value.strip().casefold() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Word:
    """A condition that compares: how its values are found.

    `shown`: what was found may stand in a reason, for it is no word of a customer. `ids`: integers are ids. `empty`: an
    empty text is a value too, namely none. `known`: all values there are, when they are few.
    """

    label: str
    found: Callable[[Sight], Iterable[Named]]
    shown: bool = False
    ids: bool = False
    empty: bool = False
    known: tuple[str, ...] = ()


def text(sight: Sight) -> str:
    """The message that is the change, else the ticket's first; of a message in HTML alone its words."""
    change = sight.change
    if change.kind not in MESSAGES:
        return sight.ticket.first_message
    own = change.text or " ".join(words(change.html))
    return own or (sight.ticket.first_message if change.kind == "ticket-created" else "")


def field(sight: Sight, name: str) -> Named:
    """The value of a custom field, empty when the ticket has none of this name; any case."""
    values = {key.casefold(): value for key, value in sight.ticket.fields.items()}
    return Named(None, values.get(name.strip().casefold(), ""))


def _plain(*names: str) -> list[Named]:
    return [Named(None, name) for name in names]


def _assignee(sight: Sight) -> list[Named]:
    staff = sight.ticket.assignee
    if staff is None:
        return _plain("")
    return [Named(staff.id, staff.name), *([Named(None, staff.email)] if staff.email else ())]


def _rule(sight: Sight) -> list[Named]:
    actor = sight.change.actor
    return [Named(actor.id, actor.name)] if actor.kind == "rule" else []


def _before(sight: Sight) -> list[Named]:
    return _plain(*sight.change.removed) or [sight.change.old or Named(None, "")]


def _after(sight: Sight) -> list[Named]:
    return _plain(*sight.change.added) or [sight.change.new or Named(None, "")]


#: The conditions that compare, by their key; those of the change speak of one and the same change.
WORDS = {
    "contact_domain": Word("contact's domain", lambda sight: _plain(sight.ticket.contact.domain), empty=True),
    "contact_email": Word("contact's e-mail", lambda sight: _plain(sight.ticket.contact.email), empty=True),
    "contact_group": Word("contact's group", lambda sight: _plain(*sight.ticket.contact.groups)),
    "category": Word("category", lambda sight: [sight.ticket.category], shown=True, ids=True),
    "status": Word("status", lambda sight: [sight.ticket.status], shown=True, ids=True),
    "priority": Word("priority", lambda sight: [sight.ticket.priority], shown=True, ids=True),
    "assignee": Word("assignee", _assignee, ids=True, empty=True),
    "tag": Word("tag", lambda sight: _plain(*sight.ticket.tags)),
    "source": Word("source", lambda sight: _plain(sight.ticket.source), shown=True, empty=True),
    "actor": Word("actor", lambda sight: _plain(sight.change.actor.kind), shown=True, known=ACTORS),
    "rule": Word("smart rule", _rule, ids=True),
    "from": Word("old value", _before, ids=True, empty=True),
    "to": Word("new value", _after, ids=True, empty=True),
}
