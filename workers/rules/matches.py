"""Matches: entries in a router's settings, each with kinds of event, conditions and an action.

    match = [{ on = "contact-replied", status = "Closed", reply = "We are on it again." }]

Every router has the same `on` and conditions; the other keys of an entry are a dataclass of the router.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from workers.plugins.loading import FitError, fit
from workers.rules.checks import ConditionResult, ContextCache
from workers.rules.conditions import (
    NAMES,
    Condition,
    NameUse,
    compile_condition,
    kind_problems,
    uses,
)
from workers.rules.values import as_list
from workers.settings import SettingProblem
from workers.tickets.change import Event, event_for
from workers.tickets.model import TicketRead

EntryAction = TypeVar("EntryAction")

#: The kinds of an entry without `on`: the contact wrote something.
DEFAULT_KINDS = ("ticket-created", "contact-replied")

#: The number of entries whose reasons are shown when none holds.
MOST_REASONS = 3

_MEMBER_NAMES = {**NAMES, "alert": "staff member"}
#: Whom a note may alert besides a staff member: the subscribers, or the staff of the category (KB 1039).
_GROUPS = ("s", "c")


@dataclass(frozen=True, slots=True)
class Match(Generic[EntryAction]):
    """One entry."""

    kinds: frozenset[str]
    condition: Condition
    action: EntryAction
    names: tuple[NameUse, ...] = ()
    """The names that HappyFox must know."""
    table: Mapping[str, Any] = field(default_factory=dict)
    """The entry as a rule would be written, as far as it matters for what it emails."""

    def holds(
        self, ticket: TicketRead, event: Event, now: datetime, cache: ContextCache | None = None
    ) -> ConditionResult:
        """Return whether the conditions hold for a change of one of the kinds, and why; entries may share a cache."""
        own = event_for(event.account, self.kinds, event.changes, replay=event.replay, now=now, ahead=event.ahead)
        if own is None:
            return ConditionResult(False, f"no change is {' or '.join(sorted(self.kinds))}")
        return self.condition.holds_in((cache or ContextCache()).contexts(ticket, own, now))


class Matches(Generic[EntryAction]):
    """A list of entries, as the type of a field in a router's settings: `match: Matches[Tags]`.

    The router should register for `ticket-created` and `ticket-updated`, which include the kinds of every entry, and
    call `holds` in its `when`, so that the history shows why it did not run.
    """

    def __init__(self, *matches: Match[EntryAction]) -> None:
        self.matches = matches

    @classmethod
    def from_settings(cls, value: object, where: str, action: type[EntryAction]) -> "Matches[EntryAction]":
        """Read the list; raise FitError with the problems of all entries."""
        if not isinstance(value, list):
            raise FitError([SettingProblem(where, "is not a list of tables", 'write it as [{ status = "New", ... }]')])
        found: list[Match[EntryAction]] = []
        problems: list[SettingProblem] = []
        for number, entry in enumerate(value, 1):
            try:
                found.append(_match(entry, f"{where} {number}", action))
            except FitError as unfit:
                problems += unfit.problems
        if problems:
            raise FitError(problems)
        return cls(*found)

    def holds(self, ticket: TicketRead, event: Event, now: datetime) -> ConditionResult:
        """Return whether any entry holds, and the reason, for a handler's `when`."""
        reasons: list[str] = []
        cache = ContextCache()
        for number, match in enumerate(self.matches, 1):
            found = match.holds(ticket, event, now, cache)
            if found:
                return found
            reasons.append(f"match {number}: {found.reason}")
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        return ConditionResult(False, "; ".join([*reasons[:MOST_REASONS], *more]) or "its table has no match")

    def actions(self, ticket: TicketRead, event: Event, now: datetime) -> Iterator[EntryAction]:
        """Return the actions of the entries that hold, in order."""
        cache = ContextCache()
        return (match.action for match in self.matches if match.holds(ticket, event, now, cache))


def _match(entry: object, where: str, action: type[EntryAction]) -> Match[EntryAction]:
    if not isinstance(entry, Mapping):
        raise FitError([SettingProblem(where, "is not a table", 'write it as { status = "New", ... }')])
    own = {each.name for each in fields(action)}  # type: ignore[arg-type]
    given = as_list(entry.get("on", list(DEFAULT_KINDS)))
    problems = [SettingProblem(where, problem, fix) for _, problem, fix in kind_problems(given)]
    kinds = frozenset(map(str, given))
    conditions = {key: value for key, value in entry.items() if key not in {"on", *own}}
    made: list[Any] = []
    for make in (
        lambda: compile_condition(conditions, where, {"on", *own}),
        lambda: fit({key: value for key, value in entry.items() if key in own}, action, where),
    ):
        try:
            made.append(make())
        except FitError as unfit:
            problems += unfit.problems
    if problems:
        raise FitError(problems)
    condition, does = made
    used = (each for key, value in conditions.items() for each in uses((key,), key, value, tuple(kinds)))
    names = (*(each for each in used if each.what != "tag"), *_action_names(does))
    emails = {key: entry[key] for key, kind in (("reply", str), ("set", Mapping)) if isinstance(entry.get(key), kind)}
    return Match(kinds, condition, does, names, {"on": given, "when": conditions, **emails})


def _action_names(action: object, path: tuple[str, ...] = ()) -> Iterator[NameUse]:
    """Yield the names in an action, recognized by the names of its fields."""
    for member in fields(action) if is_dataclass(action) else ():
        value, where = getattr(action, member.name), (*path, member.name)
        if member.name == "fields" and isinstance(value, Mapping):
            for name, one in value.items():
                yield NameUse("field", name, (*where, name), (one,))
        elif member.name in _MEMBER_NAMES and isinstance(value, str | int) and value not in ("", *_GROUPS):
            yield NameUse(_MEMBER_NAMES[member.name], value, where)
        else:
            yield from _action_names(value, where)
