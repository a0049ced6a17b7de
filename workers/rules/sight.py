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

#: How many sights are kept; more than the threads of a worker process have turns under way.
KEPT = 64

ACTORS = ("contact", "staff", "rule", "us", "unknown")


class Sight:
    """The ticket as read, one change of the turn, and the time of the turn; what is looked at twice is found once."""

    __slots__ = ("_found", "_texts", "change", "now", "ticket")

    def __init__(self, ticket: TicketRead, change: Change, now: datetime) -> None:
        self.ticket, self.change, self.now = ticket, change, now
        self._found: dict[str, tuple[frozenset[str | int], str]] = {}
        self._texts: dict[str, tuple[str, str]] = {}

    def found(self, word: "Word") -> tuple[frozenset[str | int], str]:
        """Gives the keys of what a word finds, and what may be shown of it."""
        found = self._found.get(word.label)
        if found is None:
            things = list(word.found(self))
            keys = frozenset([key(each.name) for each in things] + [each.id for each in things if each.id is not None])
            shown = " or ".join(each.name or "none" for each in things) or "none" if word.shown else ""
            found = self._found[word.label] = (keys, shown)
        return found

    def subject(self) -> tuple[str, str]:
        """Gives the subject, and the same without its case."""
        return self._text("subject", lambda: self.ticket.subject)

    def text(self) -> tuple[str, str]:
        """Gives the text of `text`, and the same without its case."""
        return self._text("text", lambda: text(self))

    def _text(self, name: str, read: Callable[[], str]) -> tuple[str, str]:
        both = self._texts.get(name)
        if both is None:
            plain = read()
            both = self._texts[name] = (plain, fold(plain))
        return both


class Sights:
    """The sights of the turns under way, so that hundreds of rules which look at the same thing find it once."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Event, TicketRead, datetime, list[Sight]]] = {}

    def of(self, ticket: TicketRead, event: Event, now: datetime) -> list[Sight]:
        """Gives the sight of each change that an event matched, the newest first."""
        kept = self._kept.get(id(event))  # no other event's, for what is kept is alive
        if kept is None or kept[1] is not ticket or kept[2] is not now:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            sights = [Sight(ticket, change, now) for change in reversed(event.matched)]
            kept = self._kept[id(event)] = (event, ticket, now, sights)
        return kept[3]


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
