"""Timers of a ticket: what a handler wants to come back to, unless something else happens before. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.events.change import Change, matches


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A timer that runs, known by its router and name. ``due`` and ``at``, when it was set, are ms.

    A change of a kind in ``unless`` ends it. ``dry`` tells that it was set in a dry run.
    """

    router: str
    name: str
    due: int
    at: int
    unless: tuple[str, ...] = ()
    dry: bool = False

    def ended_by(self, changes: Iterable[Change]) -> str:
        """Gives the kind of the first change that ends it, empty when none does."""
        kinds = frozenset(self.unless)
        return next((change.kind for change in changes if matches(kinds, change)), "")

    @property
    def words(self) -> str:
        """Which timer it is, for the trail."""
        return f"timer {self.name} of {self.router}"


@dataclass(frozen=True, slots=True)
class Rung:
    """What became of a ticket's timers: the changes that those make which are due, those that run on, and remarks."""

    changes: tuple[Change, ...]
    left: tuple[Timer, ...]
    remarks: tuple[str, ...]


def ring(
    timers: Iterable[Timer],
    changes: Sequence[Change],
    now: int,
    dry: Callable[[str], bool],
    waits: Callable[[Timer], bool] = lambda _: False,
) -> Rung:
    """Looks at the timers in a turn with these changes, at ``now`` (ms); ``dry`` tells which routers run dry.

    ``waits`` tells which of those that are due wait for a worker that knows who receives them.

    What has happened counts before what is due: a reply that came while nobody looked still ends the timer. What was
    set in a dry run ends with it, for what its handler did then was never sent.
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
    return Rung(tuple(map(_change, due)), tuple(left), tuple(remarks))


def put(timers: Sequence[Timer], new: Timer) -> tuple[Timer, ...]:
    """Adds a timer, which takes the place of the one of the same router and name."""
    return (*(each for each in timers if (each.router, each.name) != (new.router, new.name)), new)


def _change(timer: Timer) -> Change:
    at = datetime.fromtimestamp(timer.due / 1000, UTC)
    return Change(kind="later", at=at, name=timer.name, to=timer.router)
