"""The checks that conditions consist of.

A check evaluates one `MatchContext`: the ticket, one change and the time. A rules file can have hundreds of rules, so
whatever several checks need is computed once per context.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from workers.errors import AmbiguousField
from workers.rules.expressions import LIMIT, Expression
from workers.rules.values import Expected, expected_keys, keys_of
from workers.tickets.change import ACTOR_KINDS, NOT_LATE, Change, Event, age_of
from workers.tickets.fields import MULTIPLE, FieldValue, FieldValues
from workers.tickets.folding import fold, unify
from workers.tickets.hours import Hours
from workers.tickets.model import Attachment, Message, Named, TicketRead, comma_list
from workers.tickets.new_text import new_text
from workers.tickets.text import plain_text

#: The kinds of change that carry a message of their own.
MESSAGES = frozenset({"ticket-created", "contact-replied", "staff-replied", "note-added"})


logger = logging.getLogger(__name__)

Found = tuple[frozenset[Hashable], str]
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

    __slots__ = ("_fields", "ahead", "change", "known", "now", "texts", "ticket")

    def __init__(self, ticket: TicketRead, change: Change, now: datetime, ahead: timedelta = NOT_LATE) -> None:
        self.ticket, self.change, self.now, self.ahead = ticket, change, now, ahead
        self._fields: FieldValues | None = None
        self.known: dict[str, Found] = {}
        self.texts: dict[str, tuple[str, str]] = {}

    @property
    def fields(self) -> FieldValues:
        """The values of the ticket's custom fields."""
        if self._fields is None:
            self._fields = self.ticket.fields
        return self._fields

    def find(self, attribute: "Attribute") -> Found:
        """Return the values of an attribute, and cache them."""
        things = list(attribute.values(self))
        keys = frozenset[Hashable]().union(*map(keys_of, things))
        shown = (" or ".join(each.name or "none" for each in things) or "none") if attribute.shown else ""
        found = self.known[attribute.label] = (keys, shown)
        return found

    def read(self, name: str) -> tuple[str, str]:
        """Return a text as expressions search it and its folded form, and cache them."""
        text = TEXTS[name](self)
        both = self.texts[name] = (unify(text), fold(text))
        return both


class ContextCache:
    """The contexts of the latest turn, which all rules share: each text is read once."""

    def __init__(self) -> None:
        self._last = _TurnContexts(None, None, {}, {})

    def contexts(self, ticket: TicketRead, event: Event, now: datetime) -> list[MatchContext]:
        """Return a context for each change that the event matched, newest first."""
        last = self._last  # read once: another thread may replace it
        if last.event is event and last.ticket is ticket and last.now is now:
            return last.found
        if last.ticket is ticket and last.now is now:
            last = _TurnContexts(ticket, now, last.contexts, last.texts, event)
        else:
            last = _TurnContexts(ticket, now, {}, {}, event)
        last.found.extend(
            last.contexts.get(id(each)) or last.add(each, event.ahead) for each in reversed(event.matched)
        )
        self._last = last
        return last.found


@dataclass(frozen=True, slots=True)
class _TurnContexts:
    ticket: TicketRead | None
    now: datetime | None
    contexts: dict[int, MatchContext]
    """By the identity of their changes, which they keep."""
    texts: dict[str, tuple[str, str]]
    """Those of all changes without a message, for which the first message counts."""
    event: Event | None = None
    found: list[MatchContext] = field(default_factory=list)
    """The contexts of this event, newest first."""

    def add(self, change: Change, ahead: timedelta) -> MatchContext:
        assert self.ticket is not None
        assert self.now is not None
        context = MatchContext(self.ticket, change, self.now, ahead)
        if change.kind not in MESSAGES:
            context.texts = self.texts
        self.contexts[id(change)] = context
        return context


class WarnOnce:
    """Logs why a condition cannot be checked, each reason once; `where` names the condition."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._known: set[str] = set()

    def __call__(self, reason: str) -> None:
        if reason not in self._known:
            self._known.add(reason)
            logger.warning("A condition cannot be checked.", extra={"reason": f"{self._where}: {reason}"})


# Attributes, which are compared


@dataclass(frozen=True, slots=True)
class Attribute:
    """A value of the ticket or the change that a condition compares."""

    label: str
    values: Callable[[MatchContext], Iterable[Named | FieldValue]]
    """Its values; raises AmbiguousField if they are those of a field whose name another field has, too."""
    _: KW_ONLY
    shown: bool = False
    """Whether reasons may show its value, because no customer can choose it."""
    ids: bool = False
    """Whether it can be compared with an id."""
    empty: bool = False
    """Whether it can be compared with an empty text, which means none."""
    known: tuple[str, ...] = ()
    """All possible values, if there are few."""
    flag: bool = False
    """Whether it is compared with true or false."""
    typed: bool = False
    """Whether it can be a number or a date."""


def key(value: str | int) -> str | int:
    """Normalize a name or an id for comparison."""
    return fold(value) if isinstance(value, str) else value


class MessageText(NamedTuple):
    """The message that expressions search."""

    text: str
    html: str
    attachments: tuple[Attachment, ...]
    opening: bool
    """Whether it opened the ticket."""

    @property
    def whole(self) -> str:
        return self.text or plain_text(self.html)

    @property
    def new(self) -> str:
        return new_text(self.text, self.html, opening=self.opening)


def message_of(context: MatchContext) -> MessageText:
    """Return the message of the change, or the ticket's first message if the change has none."""
    change, ticket = context.change, context.ticket
    opening = change.kind == "ticket-created"
    if change.kind in MESSAGES and (change.text or change.html or not opening):
        return MessageText(change.text, change.html, change.attachments, opening)
    first = next((each.message for each in ticket.history[:1] if each.message and not each.message.private), Message())
    html = first.html if first.text.strip() == ticket.first_message.strip() else ""
    return MessageText(ticket.first_message, html, first.attachments or change.attachments, True)


def field_value(fields: FieldValues, name: str) -> FieldValue:
    """Return the value of a custom field; empty if there is none."""
    return fields.find(name) or FieldValue(0, name, "")


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """What has custom fields: the ticket or its contact."""

    what: str
    """What HappyFox's names of them are names of."""
    label: str
    fields: Callable[[MatchContext], FieldValues]


#: The conditions on custom fields, by their key.
FIELDS = {
    "fields": FieldOwner("field", "field", lambda context: context.fields),
    "contact_fields": FieldOwner("contact field", "contact's field", lambda context: context.ticket.contact.fields),
}


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


def _before(context: MatchContext) -> Sequence[Named | FieldValue]:
    return _plain(*context.change.removed) or [_side(context, context.change.old)]


def _after(context: MatchContext) -> Sequence[Named | FieldValue]:
    return _plain(*context.change.added) or [_side(context, context.change.new)]


def _side(context: MatchContext, thing: Named | None) -> Named | FieldValue:
    """Return the old or the new value of a change: that of a field has the type of the field."""
    value, change = thing or Named(None, ""), context.change
    if change.kind == "due-date-changed":
        return FieldValue(0, "", value.name, kind="date")
    if change.kind != "field-changed":
        return value
    own = next((each for each in context.ticket.field_values if each.name == change.field), None)
    several = tuple(comma_list(value.name)) if own and (own.choices or own.kind in MULTIPLE) else ()
    return FieldValue(0, change.field, value.name, kind=own.kind if own else "", choices=several)


def _flag(label: str, holds: Callable[[MatchContext], bool]) -> Attribute:
    """Return an attribute that is yes or no."""
    return Attribute(label, lambda context: _plain("yes" if holds(context) else "no"), shown=True, flag=True)


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
    "actor": Attribute("actor", lambda each: _plain(each.change.actor.kind), shown=True, known=ACTOR_KINDS),
    "automatic": _flag("automatic message", lambda each: each.change.automatic),
    "has_attachment": _flag("attachment", lambda each: bool(message_of(each).attachments)),
    "unresponded": _flag("unresponded", lambda each: each.ticket.unresponded),
    "sla_breached": _flag("SLA breached", lambda each: each.ticket.sla_breaches > 0),
    "rule": Attribute("smart rule", _rule, ids=True),
    "from": Attribute("old value", _before, ids=True, empty=True, typed=True),
    "to": Attribute("new value", _after, ids=True, empty=True, typed=True),
}


class Equals:
    """The attribute has one of the expected values: names in any case, integers as ids."""

    def __init__(self, attribute: Attribute, expected: tuple[Expected, ...], where: str) -> None:
        self.attribute, self.expected = attribute, expected
        self._each = [(each, expected_keys(each)) for each in expected]
        self.keys = frozenset[Hashable]().union(*(keys for _, keys in self._each))
        self._warn = WarnOnce(where)
        #: Cached by the part of the reason that varies.
        self._failures: dict[str, ConditionResult] = {}

    def check(self, context: MatchContext) -> ConditionResult:
        label = self.attribute.label
        try:
            keys, names = context.known.get(label) or context.find(self.attribute)
        except AmbiguousField as error:
            self._warn(str(error))
            return ConditionResult(None, str(error))
        if not self.keys.isdisjoint(keys):
            same = next(each for each, own in self._each if not own.isdisjoint(keys))
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
    "text": lambda context: message_of(context).new,
    "whole_text": lambda context: message_of(context).whole,
    "contact_email_matches": lambda context: context.ticket.contact.email,
}


class Expressions:
    """One of the expressions matches. If one takes too long, it is logged once and the result is unknown."""

    def __init__(self, name: str, where: str, expressions: Sequence[Expression]) -> None:
        self.name, self.label, self.expressions = name, name.removesuffix("_matches"), expressions
        patterns = _either(each.written for each in expressions)
        self._failure = ConditionResult(False, f"{self.label} does not match {patterns}")
        self._warn = WarnOnce(where)
        #: If every expression has words, a text that contains none of them matches nothing: most texts end here.
        self._words = (
            [word for each in expressions for word in each.words] if all(each.words for each in expressions) else []
        )

    def check(self, context: MatchContext) -> ConditionResult:
        text, folded = context.texts.get(self.name) or context.read(self.name)
        if self._words:
            for word in self._words:
                if word in folded:
                    break
            else:
                return self._failure
        slow = ""
        for each in self.expressions:
            try:
                if each.matches(text, folded):
                    return ConditionResult(True, f"{self.label} matches {each.written!r}")
            except TimeoutError:
                slow = f"{each.written!r} took longer than {LIMIT * 1000:.0f} ms"
                self._warn(f"{slow}; make it simpler")
        return ConditionResult(None, f"{self.label}: {slow} and was ignored") if slow else self._failure


# Hours


@dataclass(frozen=True, slots=True)
class Within:
    """The time of the turn is within one of the hours."""

    texts: tuple[str, ...]
    hours: tuple[Hours, ...]

    def check(self, context: MatchContext) -> ConditionResult:
        holds = any(each.contain(context.now) for each in self.hours)
        return ConditionResult(holds, f"the time is {'within' if holds else 'outside'} {_either(self.texts)}")


# Age


@dataclass(frozen=True, slots=True)
class Fresh:
    """The change is not older than one of the ages; the age of a timer or a schedule counts from when it was due."""

    texts: tuple[str, ...]
    ages: tuple[timedelta, ...]

    def check(self, context: MatchContext) -> ConditionResult:
        holds = age_of(context.change, context.now, context.ahead) <= max(self.ages)
        return ConditionResult(holds, f"the change is {'younger' if holds else 'older'} than {_either(self.texts)}")


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
