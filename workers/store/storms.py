"""Storms: far more deliveries than usual, for example because a person edits 2,000 tickets at once.

During a storm, creations and the contacts' replies keep their pace. The events of everything else are bulk and wait for
half a minute, so that more of them share one read. A storm is over when no minute has been stormy for another one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from workers.settings import Budget
from workers.store.client import Store
from workers.store.figures import read_same_hours
from workers.store.keys import Keys
from workers.store.scripts import Script

#: A storm has this many times the arrivals of the same hour in other weeks, and uses up this part of the write budget.
TIMES, PART = 5, 0.5

#: How long (ms) arrivals are counted, and how long after the last stormy moment a storm is over.
MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Storm:
    """The last storm of an account. Times are ms of the store's clock."""

    since: int
    last: int
    """The last time at which it was stormy."""
    arrivals: int
    """Deliveries in the minute before that."""
    peak: int
    """Deliveries in its busiest minute."""
    usual: int
    """Deliveries in a usual minute of this hour."""

    def is_on(self, now: int) -> bool:
        """Return whether it is not over yet."""
        return now - self.last < MINUTE


def read_storm(client: redis.Redis, account: str) -> Storm | None:
    """Return the last storm, if there was one within a day."""
    untyped: Any = client
    return _storm(untyped.hgetall(Keys(account).storm))


def note_storm(account: str, arrivals: int, usual: int) -> Script[bool]:
    """Note that it is stormy now; return whether a new storm has begun."""
    return Script("note_storm", account, [arrivals, usual], bool)


def read_arrivals(account: str) -> Script[tuple[int, int]]:
    """Return the time (ms), and how many deliveries of the account were accepted so far."""
    return Script("read_arrivals", account, [], lambda raw: (int(raw[0]), int(raw[1])))


def _storm(stored: Mapping[bytes, bytes]) -> Storm | None:
    if not stored:
        return None
    return Storm(*(int(stored[name]) for name in (b"since", b"last", b"arrivals", b"peak", b"usual")))


def usual_arrivals(store: Store, account: str, now: int) -> int:
    """Return the deliveries in a minute of this hour: the mean of the same hour of the last weeks, 0 if unknown."""
    hours = [found for found in read_same_hours(store, account, now) if found]
    arrived = sum(each.sum("in", "accepted") + each.sum("in", "duplicate") for each in hours)
    return round(arrived / len(hours) / 60) if hours else 0


def storm_limit(budget: Budget) -> float:
    """Return how many arrivals in a minute may be a storm: those whose writes need half of the budget."""
    return PART * budget.posts * budget.share * 60 / budget.window


class StormWatch:
    """Counts the arrivals of the last minute in one process."""

    def __init__(self, account: str, limit: float, usual: Callable[[int], int]) -> None:
        self._account, self._limit, self._usual = account, limit, usual
        self._counts: deque[tuple[int, int]] = deque()

    def arrivals(self, now: int, accepted: int) -> int:
        """Return how many deliveries arrived within the last minute, as far as this process has watched."""
        while self._counts and (self._counts[0][0] <= now - MINUTE or self._counts[0][1] > accepted):
            self._counts.popleft()
        self._counts.append((now, accepted))
        return accepted - self._counts[0][1]

    def check(self, run: Callable[[Script[Any]], Any]) -> int:
        """Look at the arrivals; return how many there were in the last minute if a storm has just begun, else 0."""
        now, accepted = run(read_arrivals(self._account))
        arrivals = self.arrivals(now, accepted)
        if arrivals <= self._limit:
            return 0
        usual = self._usual(now)
        if arrivals <= TIMES * usual:
            return 0
        return arrivals if run(note_storm(self._account, arrivals, usual)) else 0
