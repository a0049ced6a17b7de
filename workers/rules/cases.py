"""Cases: the conditions of a rule without `any`, so that they can be compared with others before any ticket exists.

What only HappyFox can tell, such as whether a name and an id are the same status, excludes nothing for certain.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any

from workers.rules.checks import FIELDS, key
from workers.rules.values import as_list
from workers.tickets.change import KINDS
from workers.tickets.folding import fold
from workers.tickets.hours import Hours, age, hours

Table = Mapping[str, Any]
Pairs = tuple[tuple[str, Any], ...]
"""Conditions that must all hold, by their keys."""

#: Attributes of which a ticket may have several values.
_SEVERAL = {"tag", "contact_group", "text", "whole_text", "subject", "contact_email_matches"}

#: More combinations of `any` than this are not examined.
_MOST = 100

#: A week without a change to or from daylight saving time, for comparing hours.
_WINTER = datetime(2026, 1, 5)


@dataclass(frozen=True, slots=True)
class Case:
    """Conditions without `any` that must all hold."""

    pairs: Pairs
    allowed: Mapping[str, tuple[frozenset[Any], ...]]
    """The values that each condition on an attribute accepts."""
    banned: Mapping[str, frozenset[Any]]

    def excludes(self, other: "Case") -> bool:
        """Return whether the conditions of both can probably never hold together."""
        return bool(self.conflict(other, certain=False))

    def conflict(self, other: "Case", *, certain: bool) -> str:
        """Return an attribute of which both require different values, or "not"; empty if there is none.

        If it has to be certain, attributes that may have several values, or names beside ids, do not count.
        """
        names = self.allowed.keys() & (other.allowed.keys() | other.banned.keys())
        names |= other.allowed.keys() & self.banned.keys()
        for name in sorted(names, key="hours".__eq__):  # the largest sets last
            allowed = self.allowed.get(name, ()) + other.allowed.get(name, ())
            banned = self.banned.get(name, frozenset()) | other.banned.get(name, frozenset())
            if any(each <= banned for each in allowed):
                return name
            alone = name not in _SEVERAL and not (certain and (_may_differ(name) or _mixed(allowed)))
            if alone and frozenset.intersection(*allowed) <= banned:
                return name
        pairs = self.pairs + other.pairs
        tables = [table for name, value in pairs if name == "not_any" for table in value]
        return "not" if any(all(each in pairs for each in table.items()) for table in tables) else ""


@dataclass(frozen=True, slots=True)
class Situation:
    """When a rule runs."""

    occasions: frozenset[str]
    """The kinds of change, or the search."""
    cases: tuple[Case, ...]
    """One of them must hold."""

    def overlaps(self, other: "Situation") -> bool:
        """Return whether both can run for the same change."""
        if self.occasions.isdisjoint(other.occasions) or len(self.cases) * len(other.cases) > _MOST:
            return False
        return not all(one.excludes(another) for one in self.cases for another in other.cases)


def situation(rule: Table) -> Situation:
    """Return when a rule runs, of which this is the table."""
    occasions = {" ".join(rule["find"].split())} if "find" in rule else set(as_list(rule["on"]))
    if "ticket-updated" in occasions:
        occasions |= set(KINDS) - {"ticket-created"}
    return Situation(frozenset(occasions), tuple(map(case_of, alternatives(rule.get("when", {})))))


def _may_differ(name: str) -> bool:
    """Return whether two different values of an attribute can hold together: two choices, a name and an address."""
    return name in ("assignee", "from", "to") or name.startswith(tuple(FIELDS))


def _mixed(values: tuple[frozenset[Any], ...]) -> bool:
    return len({isinstance(one, str) for each in values for one in each}) > 1


def case_of(pairs: Pairs) -> Case:
    allowed: dict[str, tuple[frozenset[Any], ...]] = {}
    banned: dict[str, frozenset[Any]] = {}
    for name, value in pairs:
        if name in ("not_any", "not_not"):
            continue
        attribute = name.removeprefix("not_")
        values = _SPANS[attribute](tuple(as_list(value))) if attribute in _SPANS else keys(value)
        if name == attribute:
            allowed[name] = (*allowed.get(name, ()), values)
        else:
            banned[attribute] = banned.get(attribute, frozenset()) | values
    return Case(pairs, allowed, banned)


def alternatives(when: Table) -> list[Pairs]:
    """Return conditions without `any`: the combinations of which one must hold."""
    fields = [f"{prefix}{name}" for name in FIELDS for prefix in ("", "not_")]
    plain = tuple((name, value) for name, value in when.items() if name not in ("any", "not", *fields))
    plain += (("not_any", [when["not"]]),) if "not" in when else ()
    for name in fields:
        plain += tuple((f"{name}.{fold(field)}", value) for field, value in when.get(name, {}).items())
    choices = [alternatives(each) for each in when.get("any", [])]
    return [plain + chosen for each in choices for chosen in each] if choices else [plain]


def keys(value: Any) -> frozenset[Any]:
    return frozenset(map(key, as_list(value)))


@cache
def _minutes(spans: tuple[str, ...]) -> frozenset[int]:
    """Return the minutes of a week, in UTC and in winter, that are within one of the spans."""
    return frozenset(minute for span in spans for minute in _of_week(hours(span)))


def _ages(texts: tuple[str, ...]) -> frozenset[int]:
    """Return the minutes that a change may be old, up to a week."""
    return frozenset(range(min(int(max(map(age, texts)).total_seconds() / 60) + 1, 10_080)))


#: How to read conditions on the time, whose values overlap.
_SPANS: Mapping[str, Callable[[tuple[str, ...]], frozenset[int]]] = {"hours": _minutes, "fresh": _ages}


def _of_week(span: Hours) -> Iterator[int]:
    length = (span.end - span.start) % 1440 or 1440
    offset = span.zone.utcoffset(_WINTER)
    shift = int(offset.total_seconds() // 60) if offset else 0
    for day, minute in product(span.days, range(length)):
        yield (day * 1440 + span.start + minute - shift) % 10_080
