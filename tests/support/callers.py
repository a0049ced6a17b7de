"""Callers of many processes on one virtual clock that use the real scripts in a real store."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import redis

from workers.settings import Priority
from workers.store.client import Store
from workers.store.permits import Governor, Grant, PermitOutcome


@dataclass(frozen=True)
class Fate:
    """What happens to one call, in ms after its permit was granted.

    `arrives`: when HappyFox counts it, or None if it never left; `answered`: when its answer is there, or
    None; `settled`: how long after that the caller settles it, or None if it died before.
    """

    arrives: float | None
    answered: float | None
    settled: float | None


@dataclass
class Callers:
    """Callers that ask for permits again and again, as soon as they may."""

    client: redis.Redis
    governor: Governor
    life: int
    now: float = 1_700_000_000_000.0
    method: str = "POST"
    priority: Priority = "interactive"
    arrivals: list[float] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.client, lambda: int(self.now))
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def run(self, callers: int, fates: Iterator[Fate], milliseconds: float) -> None:
        """Run the callers for a time; a caller whose process died is replaced when its call expires."""
        end = self.now + milliseconds

        def ask(caller: str) -> None:
            self.asked += 1
            grant: Grant = self.store.run(self.governor.permit(self.method, caller, self.priority, self.life))
            if grant.wait:
                self._at(self.now + grant.wait, lambda: ask(caller))
                return
            fate = next(fates)
            if fate.arrives is not None:
                self.arrivals.append(self.now + fate.arrives)
            self._call(caller, fate, then=lambda: ask(self._name()))

        for _ in range(callers):
            self._at(self.now, lambda: ask(self._name()))
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, action = heapq.heappop(self._agenda)
            action()

    def _call(self, permit: str, fate: Fate, then: Callable[[], None]) -> None:
        over = self.life if fate.answered is None else fate.answered

        def settle() -> None:
            age = int(fate.settled or 0)
            unanswered: PermitOutcome = "unsent" if fate.arrives is None else "doubt"
            outcome = unanswered if fate.answered is None else "answered"
            self.store.run(self.governor.release(self.method, permit, outcome, age))
            then()

        if fate.settled is None:
            self._at(self.now + self.life, then)
        else:
            self._at(self.now + over + fate.settled, settle)

    def _name(self) -> str:
        self._number += 1
        return f"call-{self._number}"

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (time, self._number, action))


def worst_window(arrivals: Sequence[float], window: float) -> int:
    """Return the most arrivals in any window, wherever it begins."""
    ordered = sorted(arrivals)
    worst = first = 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= window:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def used(arrivals: Sequence[float], limit: int, window: float) -> float:
    """Return the share of the budget that saturating work used: a window divided by the time of `limit` calls."""
    ordered = sorted(arrivals)
    spans = [later - earlier for earlier, later in zip(ordered, ordered[limit:], strict=False)]
    return window * len(spans) / sum(spans)
