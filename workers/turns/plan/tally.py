"""Tallies: what handlers wanted now and then, held against each other, and what it costs. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field

from workers.turns.plan.deeds import Deed


@dataclass(slots=True)
class Tally:
    """What became of one handler: deeds that are the same now and then, that are new, that are gone; and why not.

    ``acted`` counts turns; ``skipped``, ``denied`` and ``failed`` count reasons, the last two as in verdicts.
    """

    acted: int = 0
    same: int = 0
    added: list[Deed] = field(default_factory=list)
    missing: list[Deed] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def compare(now: Sequence[Deed], then: Sequence[Deed], tallies: MutableMapping[str, Tally]) -> None:
    """Adds to the tally of each handler which of its deeds are the same, added or missing."""
    left = Counter(deed.key for deed in then)
    for deed in now:
        tally = tallies.setdefault(deed.handler, Tally())
        if left[deed.key]:
            left[deed.key] -= 1
            tally.same += 1
        else:
            tally.added.append(deed)
    for deed in then:
        if left[deed.key]:
            left[deed.key] -= 1
            tallies.setdefault(deed.handler, Tally()).missing.append(deed)


def peak(times: Iterable[int], window: float) -> int:
    """Gives the most of these times (ms, ascending) that fall into any window of so many seconds."""
    most, waiting = 0, deque[int]()
    for at in times:
        waiting.append(at)
        while waiting[0] <= at - window * 1000:
            waiting.popleft()
        most = max(most, len(waiting))
    return most
