"""Matches: entries of a settings table, each with kinds of event, conditions and what to do when they hold.

    match = [{ on = "contact-replied", status = "Closed", reply = "We are on it again." }]

`on` and the conditions are the same for every router; the rest of the entry is the router's own, given as a dataclass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from workers.events.change import Event, event_for
from workers.events.kinds import check
from workers.models.ticket import TicketRead
from workers.rules.conditions import Condition, Finding, compile
from workers.rules.uses import Name, acted, asked
from workers.settings import SettingProblem as Complaint
from workers.turns.plugin.fitting import FitError, fit

Action = TypeVar("Action")

#: The kinds an entry without `on` asks for: whenever the contact has said something.
SAID = ("ticket-created", "contact-replied")

#: So many entries have their reasons told when none holds.
MOST = 3


@dataclass(frozen=True, slots=True)
class Match(Generic[Action]):
    """One entry."""

    kinds: frozenset[str]
    condition: Condition
    action: Action
    names: tuple[Name, ...] = ()
    """Those that HappyFox must know."""

    def holds(self, ticket: TicketRead, event: Event, now: datetime) -> Finding:
        """Tells whether a change of the turn is of the kinds asked for and fulfils the conditions, and why."""
        asked = event_for(event.account, self.kinds, event.changes, replay=event.replay)
        if asked is None:
            return Finding(False, f"no change is {' or '.join(sorted(self.kinds))}")
        return self.condition.holds(ticket, asked, now)


class Matches(Generic[Action]):
    """A list of entries, as the type of a member of a router's settings: `match: Matches[Tags]`.

    The router should ask for `ticket-created` and `ticket-updated`, so that it is called whatever an entry asks for,
    and for `holds` in its `when`, so that everybody is told why it did not run.
    """

    def __init__(self, *matches: Match[Action]) -> None:
        self.matches = matches

    @classmethod
    def from_settings(cls, value: object, where: str, action: type[Action]) -> "Matches[Action]":
        """Reads the list; raises FitError with the complaints of all entries."""
        if not isinstance(value, list):
            raise FitError([Complaint(where, "is not a list of tables", 'write it as [{ status = "New", ... }]')])
        found: list[Match[Action]] = []
        complaints: list[Complaint] = []
        for number, entry in enumerate(value, 1):
            try:
                found.append(_match(entry, f"{where} {number}", action))
            except FitError as unfit:
                complaints += unfit.complaints
        if complaints:
            raise FitError(complaints)
        return cls(*found)

    def holds(self, ticket: TicketRead, event: Event, now: datetime) -> Finding:
        """Tells whether any entry holds, and why, or of the first ones why not; made for a handler's `when`."""
        reasons: list[str] = []
        for number, match in enumerate(self.matches, 1):
            found = match.holds(ticket, event, now)
            if found:
                return found
            reasons.append(f"match {number}: {found.reason}")
        more = [f"and {len(reasons) - MOST} more"] if len(reasons) > MOST else []
        return Finding(False, "; ".join([*reasons[:MOST], *more]) or "its table has no match")

    def held(self, ticket: TicketRead, event: Event, now: datetime) -> Iterator[Action]:
        """Gives the actions of all entries that hold, in order."""
        return (match.action for match in self.matches if match.holds(ticket, event, now))


def _match(entry: object, where: str, action: type[Action]) -> Match[Action]:
    if not isinstance(entry, Mapping):
        raise FitError([Complaint(where, "is not a table", 'write it as { status = "New", ... }')])
    own = {each.name for each in fields(action)}  # type: ignore[arg-type]
    complaints: list[Complaint] = []
    kinds = _kinds(entry.get("on", list(SAID)), where, complaints)
    made: list[Any] = []
    for make in (
        lambda: compile({key: entry[key] for key in entry if key not in {"on", *own}}, where, {"on", *own}),
        lambda: fit({key: entry[key] for key in entry if key in own}, action, where),
    ):
        try:
            made.append(make())
        except FitError as unfit:
            complaints += unfit.complaints
    if complaints:
        raise FitError(complaints)
    condition, does = made
    return Match(kinds, condition, does, tuple(_names(entry, kinds, own, does)))


def _names(entry: Mapping[str, Any], kinds: frozenset[str], own: set[str], action: object) -> Iterator[Name]:
    for key, value in entry.items():
        if key not in {"on", *own}:
            yield from (each for each in asked((key,), key, value, tuple(kinds)) if isinstance(each, Name))
    yield from acted(action)


def _kinds(value: object, where: str, complaints: list[Complaint]) -> frozenset[str]:
    kinds = value if isinstance(value, list) else [value]
    if not kinds:
        complaints.append(Complaint(where, "on is empty", 'name a kind, as on = "ticket-created"'))
    for kind in kinds:
        try:
            check(kind if isinstance(kind, str) else "")
        except ValueError as error:
            problem, _, cure = str(error).partition("; ")
            complaints.append(Complaint(where, f"on: {problem}", cure))
    return frozenset(map(str, kinds))
