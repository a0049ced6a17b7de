"""The occasion of a rule: kinds of change, or a search that runs time and again.

on = ["ticket-created", "contact-replied"]

every = "1d"
find = 'status:"On Hold"'
older_than = "14d"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.events.kinds import CALLS, check
from workers.rules.values import Complain
from workers.turns.plugin.schedule import Schedule, schedule

#: The keys that make a schedule; `every` is the one it cannot do without.
SCHEDULE_KEYS = ("every", "find", "older_than")

#: What a rule writes for the kinds that a handler asks for in another way.
INSTEAD = {
    "scheduled": 'write every = "1d" and find = \'status:"On Hold"\' instead of on',
    "later": "a rule sets no timer; write a handler in Python, or every and find",
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a rule is asked: the kinds of change, or ``scheduled`` alone with its schedule."""

    kinds: tuple[str, ...] = ()
    every: Schedule | None = None


def read(table: Mapping[str, Any], complain: Complain) -> Occasion:
    """Reads the occasion of a rule's table; tells every mistake."""
    given = [key for key in SCHEDULE_KEYS if key in table]
    if not given:
        return Occasion(_kinds(table, complain))
    if "on" in table:
        complain((given[0],), f"{given[0]} cannot stand beside on", "remove one of them, or make two rules of it")
        return Occasion(_kinds(table, complain))
    for key, example in (("every", 'every = "1d"'), ("find", "find = 'status:\"On Hold\"'")):
        if key not in table:
            complain((given[0],), f"{key} is missing", f"add {example}")
    if "every" not in table or "find" not in table:
        return Occasion(("scheduled",))
    try:
        made = schedule(_duration(table["every"]), table["find"], _duration(table.get("older_than")))
    except ValueError as error:
        problem, _, cure = str(error).partition("; ")
        complain((next((key for key in SCHEDULE_KEYS if key in problem), "every"),), problem, cure)
        return Occasion(("scheduled",))
    return Occasion(("scheduled",), made)


def _duration(value: object) -> object:
    """Gives a value as it stands; a bare number is no duration here, for nobody could tell of what."""
    return str(value) if isinstance(value, bool | int | float) else value


def _kinds(table: Mapping[str, Any], complain: Complain) -> tuple[str, ...]:
    given = table.get("on")
    kinds = given if isinstance(given, list) else [given]
    if given is None:
        complain(
            (),
            "on is missing",
            'say when it is asked, as on = ["ticket-created", "contact-replied"], or every = "1d" with find',
        )
        return ()
    if not kinds:
        complain(("on",), "on is empty", 'name a kind, as on = "ticket-created"')
    for kind in kinds:
        if not isinstance(kind, str):
            complain(("on",), f"on: {kind!r} is no kind", 'write it as on = "ticket-created"')
            continue
        try:
            check(kind)
        except ValueError as error:
            problem, _, cure = str(error).partition("; ")
            complain(("on",), f"on: {problem}", INSTEAD[kind] if kind in CALLS else cure)
    return tuple(dict.fromkeys(kind for kind in kinds if isinstance(kind, str)))
