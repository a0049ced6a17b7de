"""Pausing: what a person has stopped runs no handler until it is resumed; what comes meanwhile waits, or is skipped.

The ticket is read and remembered all the same, so that nothing is lost and everything stays in order. What waits is
kept once for all handlers that it concerns. A plan that is stored is carried out: it was decided before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.events.change import Change
from workers.lanes.pauses import Pause
from workers.models.ticket import TicketRead
from workers.turns.plan.owed import Letter, Owed
from workers.turns.state import State

#: The end of a pause makes its lanes due, and so does the webhook of a tag that was removed. Should it be lost, they
#: are looked at again after so long (ms).
LOOK = 86_400_000

#: So many changes wait for the handlers of a ticket; then they become a dead letter, which can be replayed.
MOST = 500


@dataclass(frozen=True, slots=True)
class Halt:
    """Why handlers do not run, and whether what comes meanwhile is skipped."""

    why: str
    skip: bool


@dataclass(frozen=True, slots=True)
class Halts:
    """What is paused for a ticket: everything, or the routers named."""

    everything: Halt | None
    routers: dict[str, Halt]


def halts(state: State, ticket: TicketRead) -> Halts:
    """Tells what is paused for a ticket as it was read; where pauses meet, one that waits counts: it loses nothing."""
    pauses, terms = state.held.pauses, state.terms
    found = []
    if pauses.account:
        found.append(_halt("the account", pauses.account))
    if pauses.ticket:
        found.append(_halt("the ticket", pauses.ticket))
    if tagged(ticket.tags, terms.off_tag):
        found.append(Halt(f"the ticket is paused by its tag {terms.off_tag}", terms.off_skips))
    routers = {name: _halt(f"the router {name}", pause) for name, pause in pauses.routers.items()}
    return Halts(min(found, key=lambda halt: halt.skip, default=None), routers)


def tagged(ticket_tags: Iterable[str], off_tag: str) -> bool:
    """Tells whether a ticket has the tag that pauses it, in any case; an empty one pauses none."""
    off = off_tag.strip().casefold()
    return bool(off) and any(tag.strip().casefold() == off for tag in ticket_tags)


def told(what: str, pause: Pause) -> str:
    """Says that something is paused, since when and by whom."""
    since = datetime.fromtimestamp(pause.since / 1000, UTC)
    return f"{what} is paused since {since:%Y-%m-%d %H:%M} UTC by {pause.by}"


def _halt(what: str, pause: Pause) -> Halt:
    return Halt(told(what, pause), pause.skip)


def keep(
    name: str, before: Owed | None, halt: Halt, changes: Sequence[Change], now: int, turn: str
) -> tuple[Owed | None, Letter | None]:
    """Gives what is owed to those that ``name`` stands for while they wait, or the letter of more than can wait.

    ``before`` is what they were owed already, ``changes`` is new; a pause that skips lets only the former wait.
    """
    waiting = (*(before.changes if before else ()), *(() if halt.skip else changes))
    if not waiting:
        return None, None
    if len(waiting) > MOST:
        reason = f"{halt.why}, and {len(waiting)} changes wait: replay this when it is resumed"
        return None, Letter(id=f"{turn}.{name}", handler=name, reason=reason, changes=waiting)
    first = before or Owed(name, (), 0, now, "", "", 0)
    return msgspec.structs.replace(wait(first, now), changes=waiting), None


def wait(debt: Owed, now: int) -> Owed:
    """Lets what is owed wait for the end of a pause; no attempt is used."""
    return msgspec.structs.replace(debt, look=now + LOOK, paused=True, missing=0)
