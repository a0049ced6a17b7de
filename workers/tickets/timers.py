"""Timers of a ticket: a handler is called again later, unless something else happens first."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from workers.tickets.change import Change, matches


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A running timer, identified by its router and name."""

    router: str
    name: str
    due: int
    """When it is due (ms)."""
    at: int
    """When it was set (ms)."""
    unless: tuple[str, ...] = ()
    """The kinds of changes that end it."""
    dry: bool = False
    """Whether it was set in a dry run."""

    def ended_by(self, changes: Iterable[Change]) -> str:
        """Return the kind of the first change that ends it, or ""."""
        kinds = frozenset(self.unless)
        return next((change.kind for change in changes if matches(kinds, change)), "")

    @property
    def words(self) -> str:
        """The description for the ticket history."""
        return f"timer {self.name} of {self.router}"


class DueTimers(NamedTuple):
    """The timers of a ticket after a check."""

    changes: tuple[Change, ...]
    """A change for each timer that is due, in the order of their times."""
    left: tuple[Timer, ...]
    """The timers that keep running."""
    remarks: tuple[str, ...]
    """Lines for the history: which timers ended, and why."""


def split_due(
    timers: Iterable[Timer],
    changes: Sequence[Change],
    now: int,
    dry: Callable[[str], bool],
    waits: Callable[[Timer], bool] = lambda _: False,
) -> DueTimers:
    """Split timers into due, running and ended ones.

    ``changes`` are those of the turn, ``now`` is in ms, ``dry`` says which routers run dry, and ``waits`` which due
    timers wait for a worker that knows their recipient.

    A change ends a timer even if the timer is due already: a late turn must still see the reply that came in time. A
    timer that was set in a dry run ends with the dry run, because what its handler did then was never sent.
    """
    due: list[Timer] = []
    left: list[Timer] = []
    remarks: list[str] = []
    for timer in timers:
        if kind := timer.ended_by(changes):
            remarks.append(f"{timer.words}: ended by {kind}")
        elif timer.dry and not dry(timer.router):
            remarks.append(f"{timer.words}: ended with the dry run in which it was set")
        else:
            (left if timer.due > now or waits(timer) else due).append(timer)
    due.sort(key=lambda timer: timer.due)
    return DueTimers(tuple(map(_change, due)), tuple(left), tuple(remarks))


def _change(timer: Timer) -> Change:
    return Change(kind="later", at=datetime.fromtimestamp(timer.due / 1000, UTC), name=timer.name, to=timer.router)


def replace_timer(timers: Sequence[Timer], new: Timer) -> tuple[Timer, ...]:
    """Add a timer in place of the one with the same router and name, if any."""
    return (*(each for each in timers if (each.router, each.name) != (new.router, new.name)), new)
