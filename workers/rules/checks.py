"""The checks that conditions consist of.

A check evaluates one `MatchContext`: the ticket, one change and the time. A rules file can have hundreds of rules, so
whatever several checks need is computed once per context.
"""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from math import prod
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

import regex

from workers.errors import suggest
from workers.tickets.change import Change, Event
from workers.tickets.model import Named, TicketRead
from workers.tickets.text import words

#: The time limit of one search, in seconds: some expressions need exponential time for a text that a contact chose.
LIMIT = 0.1

#: The longest expression, and the most repetitions by (nested) braces: compiling takes time, too.
LONGEST = 10_000
REPEATS = 10_000

#: The kinds of change that carry a message of their own.
MESSAGES = frozenset({"ticket-created", "contact-replied", "staff-replied", "note-added"})

ACTORS = ("contact", "staff", "rule", "us", "unknown")

_COUNTS = re.compile(r"(?<!\\)\{[^{}]*?(\d+)\s*\}")
#: A character with its quantifier, if any. Only plain characters are part of a word.
_ATOM = re.compile(r"(\\.|.)([?*+])?", re.DOTALL)

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = re.compile(r"(?:([A-Za-z,\- ]+?)\s+)?(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)\s+(\S+)")

logger = logging.getLogger(__name__)

Found = tuple[frozenset[str | int], str]
"""The values of an attribute as keys to compare, and the text that a reason may show of them."""


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """Whether a condition holds, and why, in configured values, never in a customer's words."""

    holds: bool | None
    """None if that is unknown, because an expression took too long."""
    reason: str
    change: Change | None = None
    """The change for which the whole condition holds."""

    def __bool__(self) -> bool:
        return self.holds is True


class ConditionCheck(Protocol):
    """One check, or a combination."""

    def check(self, context: "MatchContext") -> ConditionResult: ...


class MatchContext:
    """The ticket as read, one change of the turn and the turn's time, with a cache of values computed from them."""

    __slots__ = ("change", "known", "now", "texts", "ticket")

    def __init__(self, ticket: TicketRead, change: Change, now: datetime) -> None:
        self.ticket, self.change, self.now = ticket, change, now
        self.known: dict[str, Found] = {}
        self.texts: dict[str, tuple[str, str]] = {}

    def find(self, attribute: "Attribute") -> Found:
        """Return the values of an attribute, and cache them."""
        things = list(attribute.values(self))
        keys = frozenset([key(each.name) for each in things] + [each.id for each in things if each.id is not None])
        shown = (" or ".join(each.name or "none" for each in things) or "none") if attribute.shown else ""
        found = self.known[attribute.label] = (keys, shown)
        return found

    def read(self, name: str) -> tuple[str, str]:
        """Return a text and its case-folded form, and cache them."""
        text = TEXTS[name](self)
        both = self.texts[name] = (text, fold(text))
        return both


class ContextCache:
    """The contexts of the latest event, which all rules share."""

    def __init__(self) -> None:
        self._last: tuple[Event | None, TicketRead | None, datetime | None, list[MatchContext]] = (None, None, None, [])

    def contexts(self, ticket: TicketRead, event: Event, now: datetime) -> list[MatchContext]:
        """Return a context for each change that the event matched, newest first."""
        last = self._last  # read once: another thread may replace it
        if last[0] is not event or last[1] is not ticket or last[2] is not now:
            contexts = [MatchContext(ticket, change, now) for change in reversed(event.matched)]
            last = self._last = (event, ticket, now, contexts)
        return last[3]


# Attributes, which are compared


@dataclass(frozen=True, slots=True)
class Attribute:
    """A value of the ticket or the change that a condition compares."""

    label: str
    values: Callable[[MatchContext], Iterable[Named]]
    _: KW_ONLY
    shown: bool = False
    """Whether reasons may show its value, because no customer can choose it."""
    ids: bool = False
    """Whether it can be compared with an id."""
    empty: bool = False
    """Whether it can be compared with an empty text, which means none."""
    known: tuple[str, ...] = ()
    """All possible values, if there are few."""


def key(value: str | int) -> str | int:
    """Normalize a name or an id for comparison."""
    return value.strip().casefold() if isinstance(value, str) else value


def message_text(context: MatchContext) -> str:
    """Return the message of the change as plain text, or the ticket's first message if the change has none."""
    change = context.change
    if change.kind not in MESSAGES:
        return context.ticket.first_message
    own = change.text or " ".join(words(change.html))
    return own or (context.ticket.first_message if change.kind == "ticket-created" else "")


def field_value(context: MatchContext, name: str) -> Named:
    """Return the value of a custom field by its name in any case; empty if the ticket does not have it."""
    values = {key.casefold(): value for key, value in context.ticket.fields.items()}
    return Named(None, values.get(name.strip().casefold(), ""))


def _plain(*names: str) -> list[Named]:
    return [Named(None, name) for name in names]


def _assignee(context: MatchContext) -> list[Named]:
    staff = context.ticket.assignee
    if staff is None:
        return _plain("")
    return [Named(staff.id, staff.name), *([Named(None, staff.email)] if staff.email else ())]


def _rule(context: MatchContext) -> list[Named]:
    actor = context.change.actor
    return [Named(actor.id, actor.name)] if actor.kind == "rule" else []


def _before(context: MatchContext) -> list[Named]:
    return _plain(*context.change.removed) or [context.change.old or Named(None, "")]


def _after(context: MatchContext) -> list[Named]:
    return _plain(*context.change.added) or [context.change.new or Named(None, "")]


#: The conditions that compare, by their key.
ATTRIBUTES = {
    "contact_domain": Attribute("contact's domain", lambda each: _plain(each.ticket.contact.domain), empty=True),
    "contact_email": Attribute("contact's e-mail", lambda each: _plain(each.ticket.contact.email), empty=True),
    "contact_group": Attribute("contact's group", lambda each: _plain(*each.ticket.contact.groups)),
    "category": Attribute("category", lambda each: [each.ticket.category], shown=True, ids=True),
    "status": Attribute("status", lambda each: [each.ticket.status], shown=True, ids=True),
    "priority": Attribute("priority", lambda each: [each.ticket.priority], shown=True, ids=True),
    "assignee": Attribute("assignee", _assignee, ids=True, empty=True),
    "tag": Attribute("tag", lambda each: _plain(*each.ticket.tags)),
    "source": Attribute("source", lambda each: _plain(each.ticket.source), shown=True, empty=True),
    "actor": Attribute("actor", lambda each: _plain(each.change.actor.kind), shown=True, known=ACTORS),
    "automatic": Attribute(
        "automatic message", lambda each: _plain("yes" if each.change.automatic else "no"), shown=True
    ),
    "rule": Attribute("smart rule", _rule, ids=True),
    "from": Attribute("old value", _before, ids=True, empty=True),
    "to": Attribute("new value", _after, ids=True, empty=True),
}


class Equals:
    """The attribute has one of the expected values: names in any case, integers as ids."""

    def __init__(self, attribute: Attribute, expected: tuple[str | int, ...]) -> None:
        self.attribute, self.expected = attribute, expected
        self.keys = frozenset(map(key, expected))
        #: Cached by the part of the reason that varies.
        self._failures: dict[str, ConditionResult] = {}

    def check(self, context: MatchContext) -> ConditionResult:
        label = self.attribute.label
        keys, names = context.known.get(label) or context.find(self.attribute)
        if not self.keys.isdisjoint(keys):
            same = next(each for each in self.expected if key(each) in keys)
            return ConditionResult(True, f"{label} is {_shown(same)}")
        if names not in self._failures:
            expected = _either(self.expected)
            reason = f"{label} is {names}, expected {expected}" if names else f"{label} is not {expected}"
            self._failures[names] = ConditionResult(False, reason)
        return self._failures[names]


# Regular expressions

#: The texts that expressions search, by the key of the condition.
TEXTS: dict[str, Callable[[MatchContext], str]] = {
    "subject": lambda context: context.ticket.subject,
    "text": message_text,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A case-insensitive regular expression.

    Most texts match none of the expressions. Searching for plain words, which is fast, excludes most expressions.
    """

    pattern: "regex.Pattern[str]"
    words: tuple[str, ...]
    """Every matching text contains one of these words; empty if there are no such words."""

    def matches(self, text: str, folded: str) -> bool:
        """Search a text, of which `folded` is the case-folded form; raise TimeoutError after LIMIT."""
        if self.words and not any(map(folded.__contains__, self.words)):
            return False
        return self.pattern.search(text, timeout=LIMIT) is not None


def expression(written: str) -> Expression:
    """Compile an expression of a rule; raise ValueError with "problem; fix"."""
    if not written:
        raise ValueError("an empty expression matches everything; write what to search for, or remove it")
    if any(ord(letter) < 32 and letter not in "\t\n" for letter in written):
        raise ValueError(
            "the expression contains a control character; write it in single quotes, '\\b' instead of \"\\b\""
        )
    if len(written) > LONGEST:
        raise ValueError(f"the expression is longer than {LONGEST} characters; split it into a list of several")
    if prod(int(count[:9]) or 1 for count in _COUNTS.findall(written)) > REPEATS:
        raise ValueError(f"the expression repeats something more than {REPEATS} times; write + or *")
    try:
        pattern = regex.compile(written, regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the expression {written!r} is broken ({error}); correct it") from None
    words = tuple(fold(_word(part)) for part in written.split("|"))
    return Expression(pattern, words if all(words) and not set(written) & set("([{") else ())


def fold(text: str) -> str:
    """Case-fold a text as `regex` does: the four Turkish letters i are equal."""
    return text.casefold().replace("\u0307", "").replace("\u0131", "i")


def _word(part: str) -> str:
    """Return the longest word that every match of this part of an expression contains."""
    best, word = "", ""
    for found in _ATOM.finditer(part):
        atom, quantifier = found[1], found[2]
        letter = atom if atom not in ".^$*+?{}()[]\\" and len(atom) == 1 else ""
        if letter and quantifier in (None, "+"):
            word += letter
            best = max(best, word, key=len)
        if not letter or quantifier:
            word = ""
    return best


class Expressions:
    """One of the expressions matches. If one takes too long, it is logged once and the result is unknown."""

    def __init__(self, label: str, where: str, expressions: Sequence[Expression]) -> None:
        self.label, self.where, self.expressions = label, where, expressions
        patterns = _either(each.pattern.pattern for each in expressions)
        self._failure = ConditionResult(False, f"{label} does not match {patterns}")
        self._slow: set[str] = set()

    def check(self, context: MatchContext) -> ConditionResult:
        text, folded = context.texts.get(self.label) or context.read(self.label)
        slow = ""
        for each in self.expressions:
            try:
                if each.matches(text, folded):
                    return ConditionResult(True, f"{self.label} matches {each.pattern.pattern!r}")
            except TimeoutError:
                slow = f"{each.pattern.pattern!r} took longer than {LIMIT * 1000:.0f} ms"
                self._log(slow)
        return ConditionResult(None, f"{self.label}: {slow} and was ignored") if slow else self._failure

    def _log(self, slow: str) -> None:
        if slow not in self._slow:
            self._slow.add(slow)
            reason = f"{self.where}: {slow}; make it simpler"
            logger.warning("An expression takes too long and is ignored.", extra={"reason": reason})


# Hours


@dataclass(frozen=True, slots=True)
class Hours:
    """Days of the week (0 is Monday) and a span in minutes of the day, without `end` itself.

    If `end` is not after `start`, it is on the next day: Fri 22:00-06:00 ends on Saturday morning.
    """

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def contain(self, now: datetime) -> bool:
        local = now.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def hours(text: str) -> Hours:
    """Parse hours; without days they apply to every day. Raise ValueError with "problem; fix"."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} cannot be read as hours; write them as Mon-Fri 09:00-17:00 Europe/Berlin")
    days, start, end = _days(found[1] or "mon-sun"), _minute(found[2]), _minute(found[3])
    if start in (end, 24 * 60):
        raise ValueError(f"{text!r} is an empty span of time; a whole day is 00:00-24:00")
    return Hours(days, start, end, _zone(found[4]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = _day(first)
        days |= {(start + step) % 7 for step in range((_day(last or first) - start) % 7 + 1)}
    return frozenset(days)


def _day(text: str) -> int:
    name = text.strip().lower()
    for number, day in enumerate(_DAYS):
        if len(name) >= 3 and day.startswith(name):
            return number
    raise ValueError(f"no day {text.strip()!r}; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"no time {text!r}; a day goes from 00:00 to 24:00")
    return hour * 60 + minute


#: A place for each common abbreviation that is no zone. Similar names are zones elsewhere: CEST is not EST.
ABBREVIATED = {
    "CEST": "Europe/Berlin",
    "BST": "Europe/London",
    "EEST": "Europe/Helsinki",
    "WEST": "Europe/Lisbon",
    "EDT": "America/New_York",
    "CDT": "America/Chicago",
    "CST": "America/Chicago",
    "MDT": "America/Denver",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "AKST": "America/Anchorage",
    "BRT": "America/Sao_Paulo",
    "IST": "Asia/Kolkata",
    "SGT": "Asia/Singapore",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "GST": "Asia/Dubai",
    "MSK": "Europe/Moscow",
    "SAST": "Africa/Johannesburg",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "AWST": "Australia/Perth",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, for example Europe
        if place := ABBREVIATED.get(name.upper()):
            raise ValueError(
                f"{name!r} is not a time zone but its abbreviation; write the zone, such as {place}"
            ) from None
        fix = suggest(name, available_timezones(), "time zones have names such as Europe/Berlin or UTC")
        raise ValueError(f"no time zone {name!r}; {fix}") from None


@dataclass(frozen=True, slots=True)
class Within:
    """The time of the turn is within one of the hours."""

    texts: tuple[str, ...]
    hours: tuple[Hours, ...]

    def check(self, context: MatchContext) -> ConditionResult:
        holds = any(each.contain(context.now) for each in self.hours)
        return ConditionResult(holds, f"the time is {'within' if holds else 'outside'} {_either(self.texts)}")


# Combinations


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a check; unknown stays unknown."""

    negated: ConditionCheck

    def check(self, context: MatchContext) -> ConditionResult:
        result = self.negated.check(context)
        if result.holds is None:
            return result
        reason = result.reason if not result.holds else f"{result.reason}, which is excluded"
        return ConditionResult(not result.holds, reason)


@dataclass(frozen=True, slots=True)
class All:
    """Every check holds."""

    checks: tuple[ConditionCheck, ...]

    def check(self, context: MatchContext) -> ConditionResult:
        reasons = []
        for each in self.checks:
            result = each.check(context)
            if not result.holds:
                return result
            reasons.append(result.reason)
        return ConditionResult(True, ", ".join(reasons) or "there is no condition")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the alternatives holds."""

    checks: tuple[ConditionCheck, ...]

    def check(self, context: MatchContext) -> ConditionResult:
        results = []
        for each in self.checks:
            result = each.check(context)
            if result.holds:
                return result
            results.append(result)
        holds = None if any(result.holds is None for result in results) else False
        return ConditionResult(holds, f"no alternative holds ({'; '.join(result.reason for result in results)})")


def _either(values: Iterable[object]) -> str:
    return " or ".join(map(_shown, values)) or "none"


def _shown(value: object) -> str:
    return str(value) if value != "" else "none"
