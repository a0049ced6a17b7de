"""Conditions: compiled once from a table, asked for every ticket and event.

    condition = compile({"text": "refund", "not_category": ["Billing", "Orders"]}, "rule 'refunds'")
    condition.holds(ticket, event, now).reason   # "category is Billing, which is not wanted"

All keys of a table must hold, for one and the same of the changes that the event matched. A list means any of its
values, `not_` before a key turns it round, `any` lists tables of which one must hold.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from workers.events.change import Change, Event
from workers.models.ticket import TicketRead
from workers.rules.checks import All, Answer, AnyOf, Check, Equals, Expressions, Not, Within
from workers.rules.expression import expression
from workers.rules.hours import hours
from workers.rules.sight import WORDS, Sight, Word, field, text
from workers.settings import SettingProblem as Complaint
from workers.turns.plugin.fitting import FitError, near

EXPRESSIONS: dict[str, Callable[[Sight], str]] = {"subject": lambda sight: sight.ticket.subject, "text": text}
KEYS = (*EXPRESSIONS, *WORDS, "fields", "hours", "any")

NOTHING = Answer(False, "no change was asked for")

Value = TypeVar("Value")


class ConditionError(FitError):
    """A condition cannot be understood; `complaints` says everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a condition holds, and why, in words made of configured values, never of a customer's.

    `change` is the change it holds for.
    """

    holds: bool
    reason: str
    change: Change | None = None

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition."""

    check: All

    def holds(self, ticket: TicketRead, event: Event, now: datetime) -> Finding:
        """Tells whether one of the matched changes, with the ticket and the time (aware), fulfils the condition.

        The newest is asked first.
        """
        return self.look(Sight(ticket, change, now) for change in reversed(event.matched))

    def look(self, sights: Iterable[Sight]) -> Finding:
        """Tells whether one of the sights fulfils the condition."""
        answer = NOTHING
        for sight in sights:
            answer = self.check.look(sight)
            if answer.holds:
                return Finding(True, answer.reason, sight.change)
        return Finding(False, answer.reason)


def compile(table: Mapping[str, Any], where: str, beside: Collection[str] = ()) -> Condition:
    """Compiles a table; `where` names it in complaints, `beside` are keys that may stand next to the conditions.

    Raises ConditionError with every complaint.
    """
    compiler = _Compiler(where, beside)
    check = compiler.all(table)
    if compiler.complaints:
        raise ConditionError(compiler.complaints)
    return Condition(check)


def together(checks: Iterable[Check]) -> All:
    """Makes one check of several that must all hold; those that cost little and refuse often are asked first."""
    return All(tuple(sorted(checks, key=_cost)))


class _Compiler:
    """One pass over a table, which collects checks and complaints."""

    def __init__(self, where: str, beside: Collection[str]) -> None:
        self.where = where
        self.beside = beside
        self.complaints: list[Complaint] = []

    def all(self, table: Mapping[str, Any]) -> All:
        checks: list[Check] = []
        for given, value in table.items():
            key = given.removeprefix("not_")
            wrap: Callable[[Check], Check] = Not if given != key else _same
            if key in KEYS:
                checks += map(wrap, self.checks(key, given, value))
            else:
                cure = near(given, (*KEYS, *(f"not_{each}" for each in KEYS), *self.beside))
                self.complain(f"no condition {given!r}", cure)
        return together(checks)

    def checks(self, key: str, given: str, value: object) -> list[Check]:
        if key == "any":
            return [AnyOf(self.alternatives(given, value))]
        if key == "fields":
            return self.fields(given, value)
        if key in EXPRESSIONS:
            patterns = self.each(given, value, str, lambda _, one: expression(one))
            return [Expressions(key, f"{self.where}, {given}", EXPRESSIONS[key], patterns)]
        if key == "hours":
            spans = self.each(given, value, str, lambda _, one: hours(one))
            return [Within(tuple(value) if isinstance(value, list) else (str(value),), spans)]
        return [Equals(WORDS[key], self.wanted(given, value, WORDS[key]))]

    def alternatives(self, given: str, value: object) -> tuple[Check, ...]:
        if not isinstance(value, list) or not value:
            self.complain(f"{given} is not a list of tables", 'write it as [{ tag = "vip" }, { status = "New" }]')
            return ()
        found = []
        where = self.where
        for number, table in enumerate(value, 1):
            self.where = f"{where}, {given} {number}"
            if isinstance(table, Mapping) and table:
                found.append(self.all(table))
            else:
                self.complain("is not a table with conditions", 'write it as { tag = "vip" }')
        self.where = where
        return tuple(found)

    def fields(self, given: str, value: object) -> list[Check]:
        if not isinstance(value, Mapping) or not value:
            self.complain(f"{given} is not a table", f'write {given}."Name of the field" = "value"')
            return []
        return [self.field(f"{given}.{name}", name, one) for name, one in value.items()]

    def field(self, given: str, name: str, value: object) -> Check:
        word = Word(f"field {name!r}", lambda sight: [field(sight, name)], empty=True)
        wanted = self.each(given, value, str | int | float, lambda _, one: _field_text(one))
        return Equals(word, wanted)

    def wanted(self, given: str, value: object, word: Word) -> tuple[str | int, ...]:
        return self.each(given, value, str | int if word.ids else str, partial(self.value, word))

    def value(self, word: Word, given: str, value: str | int) -> str | int:
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is no name; write a name in quotes, or a number as an id")
        if not word.empty and isinstance(value, str) and not value.strip():
            raise ValueError("an empty text never holds; name one, or remove it")
        if word.known and value not in word.known:
            raise ValueError(f"no {given.removeprefix('not_')} {value!r}; {near(str(value), word.known)}")
        return value.lstrip("@") if word is WORDS["contact_domain"] and isinstance(value, str) else value

    def each(self, given: str, value: object, kind: Any, read: Callable[[str, Any], Value]) -> tuple[Value, ...]:
        """Reads one value, or each of a list; what cannot be read becomes a complaint."""
        values = value if isinstance(value, list) else [value]
        found = []
        if not values:
            self.complain(f"{given} is an empty list, which never holds", "name one, or remove it")
        for one in values:
            if not isinstance(one, kind):
                wanted = "a text" if kind is str else "a text or a number"
                self.complain(f"{given} is not {wanted} or a list of them", f'write it as {given} = "..."')
                continue
            try:
                found.append(read(given, one))
            except ValueError as error:
                problem, _, cure = str(error).rpartition("; ")
                self.complain(f"{given}: {problem}", cure)
        return tuple(found)

    def complain(self, problem: str, cure: str) -> None:
        self.complaints.append(Complaint(self.where, problem, cure))


def _same(check: Check) -> Check:
    return check


def _cost(check: Check) -> int:
    """What a check costs: one that is turned round seldom refuses, and an expression costs the most by far."""
    if isinstance(check, Not):
        return 2 + _cost(check.check)
    return check.cost if isinstance(check, Expressions) else 0


def _field_text(value: str | int | float) -> str:
    """A value as it stands on a ticket: HappyFox gives every field's value as a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
