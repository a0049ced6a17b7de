"""Permits: the right to make one call now, within an account's budget.

A permit occupies a slot until one window and a guard after the call's answer, so that no window of any alignment
contains more calls than HappyFox allows (500 reads and 300 writes in a minute, KB 1148). Every call that is not a read
counts as a write; KB 1148 does not mention PUT and DELETE.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from workers.settings import Budget
from workers.store.client import Store
from workers.store.scripts import Script

#: Interactive calls may use every slot, normal ones leave 10 % of them, bulk ones 30 %.
Priority = Literal["interactive", "normal", "bulk"]

#: How a call ended, for its permit; ``permits.release`` in ``lua/permits.lua`` explains each value.
PermitOutcome = Literal["answered", "failed", "limited", "throttled", "denied", "forbidden", "unsent", "doubt"]

#: How long (ms) after its deadline HappyFox may still count a call without an answer. Assumed, like the default of
#: HAPPYFOX_DOUBT_SECONDS.
COUNT_GRACE = 30_000


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a request for a permit."""

    wait: int
    """0 if the permit is granted, else the ms until it is worth asking again."""
    why: str
    """Why it is not granted: ``budget``, ``gate``, ``flight``, ``probe`` or ``denied``."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How much of an account's budget is used, and whether it may call now."""

    gets_used: int
    gets: int
    """Reads allowed now, after a lowered share."""
    posts_used: int
    posts: int
    """Writes allowed now, after a lowered share."""
    in_flight: int
    gate: str
    """``open``, ``locked``, ``denied`` or ``probing``."""
    why: str
    """What closed the gate last."""
    reopens: float
    """Seconds until it opens."""
    epoch: int
    """How often it was closed."""
    share: float
    """The part of our limits that we may use: 1; each lockout halves it for an hour."""

    @property
    def gets_free(self) -> int:
        """Reads that are allowed now if the gate is open."""
        return max(0, self.gets - self.gets_used)

    @property
    def posts_free(self) -> int:
        """Writes that are allowed now if the gate is open."""
        return max(0, self.posts - self.posts_used)

    def drained(self, reads: int, writes: int, window: float) -> float:
        """Return the seconds until these calls are granted at the current limits.

        Free slots are used at once; each further window of ``window`` seconds grants the limit again.
        """
        behind_reads = max(0, reads - self.gets_free) / max(1, self.gets)
        behind_writes = max(0, writes - self.posts_free) / max(1, self.posts)
        return self.reopens + window * max(math.ceil(behind_reads), math.ceil(behind_writes))


class Governor:
    """Build the scripts that manage one account's permits; ``budget`` is their argument, as other scripts need it."""

    def __init__(self, account: str, budget: Budget) -> None:
        self.account = account
        self.budget = argument(budget)
        self.in_flight = budget.in_flight
        self.lockout = budget.lockout
        self.window = budget.window

    def permit(self, method: str, call: str, priority: Priority, life: int) -> Script[Grant]:
        """Ask for a permit for a call that certainly ends within ``life`` ms.

        ``call`` identifies the call: a repeated request gets the same answer, a repeated call needs a new name.
        """
        return self._script(
            "permit", lambda raw: Grant(int(raw[0]), raw[1].decode()), _kind(method), call, priority, life
        )

    def release(self, method: str, call: str, outcome: PermitOutcome, age: int = 0, wait: int = 0) -> Script[None]:
        """Settle a permit: the answer came ``age`` ms ago and asked us to wait ``wait`` ms."""
        return self._script("release", lambda _: None, _kind(method), call, outcome, age, wait)

    def close_gates(self) -> Script[None]:
        """Close the gate for one window, because the store's clock or data cannot be trusted."""
        return self._script("close_gate", lambda _: None)

    def forecast(self) -> Script[Forecast]:
        """Return what is used and free, without changing anything."""
        return self._script("forecast", _forecast)

    def _script(self, name: str, read: Any, *args: str | int) -> Script[Any]:
        return Script(name, self.account, (self.budget, *args), read)


def argument(budget: Budget) -> bytes:
    """Return a budget as scripts read it: JSON, limits after the share, times in milliseconds.

    The guard is 1 % of the window, at least 50 ms; that of the lockout is 1 %, from 0.5 s to 5 s.
    """
    window, lockout = math.ceil(budget.window * 1000), math.ceil(budget.lockout * 1000)
    numbers = {
        "get": _share(budget.gets, budget.share),
        "post": _share(budget.posts, budget.share),
        "window": window,
        "guard": max(50, math.ceil(window / 100)),
        "lockout": lockout,
        "lockguard": min(5000, max(500, math.ceil(lockout / 100))),
        "in_flight": max(1, int(budget.in_flight)),
        "grace": COUNT_GRACE,
    }
    return msgspec.json.encode(numbers)


def _share(limit: int, share: float) -> int:
    return min(limit, max(1, math.floor(limit * share + 1e-9)))


def _kind(method: str) -> str:
    return "get" if method.lower() == "get" else "post"


def _forecast(raw: Any) -> Forecast:
    gets_used, gets, posts_used, posts, in_flight, gate, why, reopens, epoch, share = raw
    used = gets_used, gets, posts_used, posts, in_flight
    return Forecast(*used, gate.decode(), why.decode(), reopens / 1000, epoch, share / 1000)


#: How many lanes are checked for planned calls; the others are assumed to be similar.
SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Outlook:
    """An account's budget and backlog. Every lane costs a read."""

    forecast: Forecast
    lanes: int
    due: int
    planned: int
    """Writes of turns that have a plan, including those that have begun; undecided lanes are not included."""
    drained: float
    """Seconds until the backlog is processed at the current limits."""


def outlook(store: Store, governor: Governor) -> Outlook:
    """Return an account's outlook with two calls of the store, however long the backlog is."""
    forecast = store.run(governor.forecast())
    backlog: Script[list[int]] = Script("backlog", governor.account, [SAMPLE], list)
    lanes, due, sampled, planned = store.run(backlog)
    planned = round(planned * lanes / sampled) if sampled else 0
    drained = forecast.drained(lanes, planned, governor.window) if lanes else 0.0
    return Outlook(forecast, lanes, due, planned, drained)
