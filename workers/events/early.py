"""Early: a property's change that was told by its difference, before the row that tells of it could be read. Pure.

Rows may become visible late. When the row comes, it must not be told a second time.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC

import msgspec

from workers.models.reference import Named
from workers.models.row import Row

#: How much later (ms) than it was told a change may be dated: clocks differ.
MARGIN = 120_000


class Early(msgspec.Struct, frozen=True, array_like=True):
    """A change told at ``at`` (ms): of which property, from which id or day to which, empty where there was none."""

    at: int
    name: str
    old: str
    new: str


def differences(old: dict[str, str], new: dict[str, str], at: int) -> tuple[Early, ...]:
    """Gives what differs between two snapshots' properties."""
    return tuple(Early(at, name, old[name], now) for name, now in new.items() if old.get(name, now) != now)


def sift(rows: Iterable[Row], told: Sequence[Early]) -> tuple[dict[int, frozenset[str]], tuple[Early, ...]]:
    """Gives for each row the properties whose change in it was told already, and what still waits for its row.

    A difference may stand for several rows: each that goes on from where it began is a part of it.
    """
    waiting = {early.name: early for early in told}
    covered: dict[int, frozenset[str]] = {}
    for row in rows if waiting else ():
        for name, change in row.changes.items():
            early = waiting.get(name)
            if early is None or _text(change.old) != early.old or _after(row, early):
                continue
            covered[row.id] = covered.get(row.id, frozenset()) | {name}
            waiting[name] = msgspec.structs.replace(early, old=_text(change.new))
            if _text(change.new) == early.new:
                del waiting[name]
    return covered, tuple(waiting.values())


def _after(row: Row, early: Early) -> bool:
    return row.at is not None and row.at.astimezone(UTC).timestamp() * 1000 > early.at + MARGIN


def _text(side: Named | None) -> str:
    if side is None:
        return ""
    return str(side.id) if side.id is not None else side.name
