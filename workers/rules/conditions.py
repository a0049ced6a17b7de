"""Conditions: compiled once from a table, evaluated for every ticket and event.

    condition = compile_condition({"text": "refund", "not_category": ["Billing", "Orders"]}, "rule 'refunds'")
    condition.holds(ticket, event, now).reason   # "category is Billing, which is excluded"

All keys of a table must hold, for the same change of the event. A list means any of its values, `not_` before a key
negates it, and of the tables in `any` one must hold.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

from workers.errors import suggest
from workers.plugins.loading import FitError
from workers.rules import terms
from workers.rules.checks import (
    ATTRIBUTES,
    FIELDS,
    TEXTS,
    All,
    AnyOf,
    Attribute,
    ConditionCheck,
    ConditionResult,
    Equals,
    Expressions,
    FieldOwner,
    Fresh,
    MatchContext,
    Not,
    Within,
    field_value,
)
from workers.rules.expressions import expression
from workers.rules.patterns import address_problem
from workers.rules.terms import meant
from workers.rules.values import Expected, as_list
from workers.settings import SettingProblem
from workers.tickets.change import Event, check
from workers.tickets.hours import age, hours
from workers.tickets.model import TicketRead

KEYS = (*TEXTS, *ATTRIBUTES, *FIELDS, "hours", "fresh", "any", "not")
CONDITIONS = (*KEYS, *(f"not_{key}" for key in KEYS))

#: What the names in a condition are names of; for `from` and `to` the kind of change decides.
NAMES = {
    "status": "status",
    "priority": "priority",
    "category": "category",
    "assignee": "staff member",
}
_CONDITION_NAMES = {**NAMES, "contact_group": "contact group"}
KIND_NAMES = {
    "status-changed": "status",
    "priority-changed": "priority",
    "moved": "category",
    "assigned": "staff member",
}

#: The types of values, in words.
_KINDS: Mapping[Any, str] = {
    str: "a text",
    str | int: "a text or a whole number",
    str | int | float | date: "a text, a number or a date",
}

#: The conditions on an address.
_ADDRESSES = (ATTRIBUTES["contact_email"], ATTRIBUTES["contact_domain"])

NO_CHANGE = ConditionResult(False, "no change of the requested kinds")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition."""

    check: All

    def holds(self, ticket: TicketRead, event: Event, now: datetime) -> ConditionResult:
        """Check the matched changes of an event, the newest first, until the condition holds for one."""
        return self.holds_in(MatchContext(ticket, change, now, event.ahead) for change in reversed(event.matched))

    def holds_in(self, contexts: Iterable[MatchContext]) -> ConditionResult:
        """Check these contexts until the condition holds in one."""
        result = NO_CHANGE
        for context in contexts:
            result = self.check.check(context)
            if result.holds:
                return ConditionResult(True, result.reason, context.change)
        return result


def compile_condition(table: Mapping[str, Any], where: str, beside: Collection[str] = ()) -> Condition:
    """Compile a table, or raise FitError with every problem.

    `where` names the table in messages; `beside` are other keys that it may have.
    """
    compiler = _Compiler(where, beside)
    check = compiler.all(table)
    if compiler.problems:
        raise FitError(compiler.problems)
    return Condition(check)


def all_of(checks: Iterable[ConditionCheck]) -> All:
    """Combine checks that must all hold, those first that are cheap and fail often."""
    return All(tuple(sorted(checks, key=_cost)))


class _Compiler:
    """One pass over a table that collects checks and problems."""

    def __init__(self, where: str, beside: Collection[str]) -> None:
        self.where = where
        self.beside = beside
        self.problems: list[SettingProblem] = []

    def all(self, table: Mapping[str, Any]) -> All:
        checks: list[ConditionCheck] = []
        for given, value in table.items():
            key = given.removeprefix("not_")
            if key in KEYS:
                found = self.checks(key, given, value)
                checks += map(Not, found) if given != key else found
            else:
                self.report(f"no condition {given!r}", self.suggestion(given))
        return all_of(checks)

    def suggestion(self, given: str) -> str:
        fix = meant(given.removeprefix("not_"), terms.CONDITIONS)
        fix = fix.replace("write ", "write not_", 1) if fix.startswith("write ") and given.startswith("not_") else fix
        return fix or suggest(given, (*CONDITIONS, *self.beside))

    def checks(self, key: str, given: str, value: object) -> list[ConditionCheck]:
        if key == "any":
            return [AnyOf(self.alternatives(given, value))]
        if key == "not":
            return [Not(self.table(given, value))]
        if key in FIELDS:
            return self.fields(key, given, value)
        if key in TEXTS:
            patterns = self.each(given, value, str, lambda _, one: expression(one))
            return [Expressions(key, f"{self.where}, {given}", patterns)]
        if key == "hours":
            spans = self.each(given, value, str, lambda _, one: hours(one))
            return [Within(tuple(map(str, as_list(value))), spans)]
        if key == "fresh":
            ages = self.each(given, value, str, lambda _, one: age(one))
            return [Fresh(tuple(map(str, as_list(value))), ages)] if ages else []
        attribute = ATTRIBUTES[key]
        if attribute.flag:
            if not isinstance(value, bool):
                self.report(f"{given} is not true or false", f"write {given} = true")
            return [Equals(attribute, ("yes" if value else "no",), self.where)]
        kind = str | int | float | date if attribute.typed else str | int if attribute.ids else str
        expected = self.each(given, value, kind, partial(_expected, attribute))
        return [Equals(attribute, expected, f"{self.where}, {given}")]

    def alternatives(self, given: str, value: object) -> tuple[ConditionCheck, ...]:
        if not isinstance(value, list) or not value:
            self.report(f"{given} is not a list of tables", 'write it as [{ tag = "vip" }, { status = "New" }]')
            return ()
        return tuple(self.table(f"{given} {number}", table) for number, table in enumerate(value, 1))

    def table(self, given: str, value: object) -> All:
        """Compile a table within the table, which is named `given`."""
        if not isinstance(value, Mapping) or not value:
            self.report(f"{given} is not a table with conditions", 'write it as { tag = "vip" }')
            return All(())
        where, self.where = self.where, f"{self.where}, {given}"
        found = self.all(value)
        self.where = where
        return found

    def fields(self, key: str, given: str, value: object) -> list[ConditionCheck]:
        if not isinstance(value, Mapping) or not value:
            self.report(f"{given} is not a table", f'write {given}."Name of the field" = "value"')
            return []
        return [self.field(FIELDS[key], f"{given}.{name}", name, one) for name, one in value.items()]

    def field(self, owner: FieldOwner, given: str, name: str, value: object) -> ConditionCheck:
        label = f"{owner.label} {name!r}"
        attribute = Attribute(label, lambda context: [field_value(owner.fields(context), name)], empty=True)
        expected = self.each(given, value, str | int | float | date, _finite)
        return Equals(attribute, expected, f"{self.where}, {given}")

    def each(self, given: str, value: object, kind: Any, read: Callable[[str, Any], Value]) -> tuple[Value, ...]:
        """Read one value or a list of values; report those that are invalid."""
        values = as_list(value)
        found = []
        if not values:
            self.report(f"{given} is an empty list, which never holds", "name one, or remove it")
        for one in values:
            if not isinstance(one, kind):
                expected = _KINDS[kind]
                self.report(f"{given} is not {expected} or a list of them", f'write it as {given} = "..."')
                continue
            try:
                found.append(read(given, one))
            except ValueError as error:
                problem, _, fix = str(error).rpartition("; ")
                self.report(f"{given}: {problem}", fix)
        return tuple(found)

    def report(self, problem: str, fix: str) -> None:
        self.problems.append(SettingProblem(self.where, problem, fix))


def kind_problems(kinds: list[Any]) -> Iterator[tuple[Any, str, str]]:
    """Yield each invalid kind in `on` with the problem and its fix."""
    if not kinds:
        yield None, "on is empty", 'name a kind, for example on = "ticket-created"'
    for kind in kinds:
        if not isinstance(kind, str):
            yield None, f"on: {kind!r} is not a kind", 'write it as on = "ticket-created"'
            continue
        try:
            check(kind)
        except ValueError as error:
            problem, _, fix = str(error).partition("; ")
            yield kind, f"on: {problem}", fix


def _finite(_: str, value: Expected) -> Expected:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is no number that a field can have; write a number, or remove it")
    return value


def _expected(attribute: Attribute, given: str, value: Expected) -> Expected:
    _finite(given, value)
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a name; write a name in quotes, or a number as an id")
    if not attribute.empty and isinstance(value, str) and not value.strip():
        raise ValueError("an empty text never holds; name one, or remove it")
    if attribute.known and value not in attribute.known:
        raise ValueError(f"no {given.removeprefix('not_')} {value!r}; {suggest(str(value), attribute.known)}")
    if attribute is ATTRIBUTES["assignee"] and (advice := terms.no_person(value, given)):
        raise ValueError("; ".join(advice))
    if isinstance(value, str) and attribute in _ADDRESSES:
        key = given.removeprefix("not_")
        if advice := address_problem(key, value):
            raise ValueError("; ".join(advice))
    return value.lstrip("@") if attribute is ATTRIBUTES["contact_domain"] and isinstance(value, str) else value


def _cost(check: ConditionCheck) -> int:
    """Rank a check: expressions are the most expensive, and negated checks rarely fail."""
    if isinstance(check, Not):
        return 2 + _cost(check.negated)
    if isinstance(check, Expressions):
        return 1 if all(each.words for each in check.expressions) else 3
    return 0


# Names in a condition


@dataclass(frozen=True, slots=True)
class NameUse:
    """A tag, or a name or an id that HappyFox must know, and the key under which it is written."""

    what: str
    """What it names: a status, a staff member, a tag and so on."""
    name: str | int
    path: tuple[str, ...]
    values: tuple[Any, ...] = ()
    """Of a field: the values to which it is set or compared."""


def uses(path: tuple[str, ...], given: str, value: Any, kinds: tuple[str, ...]) -> Iterator[NameUse]:
    """Yield the names and tags in a valid condition that is written under `path`."""
    key = given.removeprefix("not_")
    if key == "any":
        for table in value:
            for inner, one in table.items():
                yield from uses(path, inner, one, kinds)
        return
    if key == "not":
        for inner, one in value.items():
            yield from uses(path, inner, one, kinds)
        return
    if key in FIELDS:
        for name, one in value.items():
            yield NameUse(FIELDS[key].what, name, (*path, name), tuple(as_list(one)))
        return
    what = "tag" if key == "tag" else _CONDITION_NAMES.get(key, "")
    if key in ("from", "to") and len(kinds) == 1:
        what = KIND_NAMES.get(kinds[0], "")
    if what:
        yield from (NameUse(what, one, path) for one in as_list(value) if one != "")
