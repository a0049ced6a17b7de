"""Permits: the right to make one call now, within an account's budget.

A permit occupies a slot until one window and a guard after the call's answer, so that no window of any alignment
contains more calls than HappyFox allows (500 reads and 300 writes in a minute, KB 1148). Every call that is not a read
counts as a write; KB 1148 does not mention PUT and DELETE.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from workers.settings import Budget, Priority
from workers.store.client import Store
from workers.store.scripts import Script

#: The part of the slots that calls of normal priority may use.
NORMAL = 0.9

#: The class of a call. A call of a gateway's client comes after those of turns of the same class.
PermitClass = Priority | Literal["client-interactive", "client-normal", "client-bulk"]

#: How a call ended, for its permit; ``permits.release`` in ``lua/permits.lua`` explains each value.
PermitOutcome = Literal[
    "answered", "failed", "limited", "throttled", "denied", "forbidden", "unsent", "unreachable", "doubt"
]

#: How long (ms) after its deadline HappyFox may still count a call without an answer. Assumed, like the default of
#: HAPPYFOX_DOUBT_SECONDS.
COUNT_GRACE = 30_000


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a request for a permit."""

    wait: int
    """0 if the permit is granted, else the ms until it is worth asking again."""
    why: str
    """Why it is not granted: ``budget``, ``gate``, ``clock``, ``flight``, ``probe``, ``denied`` or ``unreachable``."""


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
    """``open``, ``locked``, ``denied``, ``unreachable`` or ``probing``."""
    why: str
    """What closed the gate last."""
    reopens: float
    """Seconds until it opens."""
    epoch: int
    """How often it was closed, except because HappyFox did not answer."""
    share: float
    """The part of our limits that we may use: 1; each lockout halves it for an hour."""
    silent_since: int = 0
    """Since when HappyFox does not answer (ms); 0 if it does."""

    @property
    def locked_out(self) -> bool:
        """Whether HappyFox has locked the account out; a store that has changed closes the same gate."""
        return self.gate == "locked" and self.why != "clock"

    @property
    def opens_by_itself(self) -> bool:
        """Whether calls are possible, or will be when the gate opens; else ``reopens`` is only the next attempt."""
        return self.gate == "open" or self.why not in ("denied", "unreachable")

    @property
    def gets_free(self) -> int:
        """Reads that are allowed now if the gate is open."""
        return max(0, self.gets - self.gets_used)

    @property
    def posts_free(self) -> int:
        """Writes that are allowed now if the gate is open."""
        return max(0, self.posts - self.posts_used)

    def drained(self, reads: int, writes: int, window: float) -> float:
        """Return the seconds until these calls of normal priority are granted at the current limits.

        Free slots are used at once; each further window of ``window`` seconds grants the limit again.
        """
        gets, posts = max(1, int(self.gets * NORMAL)), max(1, int(self.posts * NORMAL))
        behind_reads = max(0, reads - max(0, gets - self.gets_used)) / gets
        behind_writes = max(0, writes - max(0, posts - self.posts_used)) / posts
        return self.reopens + window * max(math.ceil(behind_reads), math.ceil(behind_writes))


class Governor:
    """Build the scripts that manage one account's permits; ``budget`` is their argument, as other scripts need it."""

    def __init__(self, account: str, budget: Budget) -> None:
        self.account = account
        self.budget = argument(budget)
        self.in_flight = budget.in_flight
        self.lockout = budget.lockout
        self.window = budget.window

    def permit(self, method: str, call: str, priority: PermitClass, life: int) -> Script[Grant]:
        """Ask for a permit for a call that certainly ends within ``life`` ms.

        ``call`` identifies the call: a repeated request gets the same answer, a repeated call needs a new name.
        """
        return self._script(
            "permit", lambda raw: Grant(int(raw[0]), raw[1].decode()), _kind(method), call, priority, life
        )

    def release(
        self, method: str, call: str, outcome: PermitOutcome, age: int = 0, wait: int = 0, counted: bytes = b""
    ) -> Script[None]:
        """Settle a permit: the answer came ``age`` ms ago and asked us to wait ``wait`` ms.

        ``counted`` are the figures of the call, see ``count_call``.
        """
        return self._script("release", lambda _: None, _kind(method), call, outcome, age, wait, counted)

    def close_gates(self) -> Script[None]:
        """Close the gate for one window, because the store's clock or data cannot be trusted."""
        return self._script("close_gate", lambda _: None)

    def forecast(self) -> Script[Forecast]:
        """Return what is used and free, without changing anything."""
        return self._script("forecast", _forecast)

    def _script(self, name: str, read: Any, *args: str | int | bytes) -> Script[Any]:
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
    gets_used, gets, posts_used, posts, in_flight, gate, why, reopens, epoch, share, since = raw
    used = gets_used, gets, posts_used, posts, in_flight
    return Forecast(*used, gate.decode(), why.decode(), reopens / 1000, epoch, share / 1000, since)


#: How many lanes are looked into; the others are assumed to be similar.
SAMPLE = 1_000


class Backlog(NamedTuple):
    """The waiting work of an account, counted without looking into every lane. Times are ms of the store's clock."""

    lanes: int
    """Lanes with waiting events or work; those that only wait for a timer do not count."""
    due: int
    """Lanes that may be claimed now."""
    sampled: int
    """How many lanes were looked into, those first that are due first."""
    planned: int
    """Calls of the plans in them."""
    decided: int
    """How many of them have a plan."""
    events: int
    """Events in all lanes; an estimate if not all lanes were looked into."""
    oldest: int | None
    """When the oldest event came that was found."""
    due_since: int | None
    """Since when the lane is due that is due longest; None if none is due."""

    @property
    def is_estimate(self) -> bool:
        """Whether there are more lanes than were looked into."""
        return self.lanes > self.sampled

    def age(self, now: int) -> int:
        """Return for how long (ms) the lane waits that is due longest, 0 if none is due."""
        return 0 if self.due_since is None else max(0, now - self.due_since)


def backlog(account: str) -> Script[Backlog]:
    """Count the waiting work of an account."""

    def read(raw: Any) -> Backlog:
        lanes, due, sampled, planned, decided, events, oldest, since = map(int, raw)
        if sampled and lanes > sampled:
            events = round(events * lanes / sampled)
        return Backlog(lanes, due, sampled, planned, decided, events, oldest or None, since or None)

    return Script("backlog", account, [SAMPLE], read)


@dataclass(frozen=True, slots=True)
class Outlook:
    """An account's budget and backlog.

    A lane is read once for its events, and once more for the echoes of what its turn wrote.
    """

    forecast: Forecast
    backlog: Backlog
    planned: int
    """Writes of turns that have a plan, including those that have begun."""
    undecided: int
    """Lanes whose turns have no plan yet; each is assumed to write once."""
    drained: float
    """Seconds until the backlog is processed at the current limits."""

    @property
    def lanes(self) -> int:
        """Lanes with waiting events or work."""
        return self.backlog.lanes

    @property
    def due(self) -> int:
        """Lanes that may be claimed now."""
        return self.backlog.due


def outlook(store: Store, governor: Governor) -> Outlook:
    """Return an account's outlook with two calls of the store, however long the backlog is."""
    forecast = store.run(governor.forecast())
    found = store.run(backlog(governor.account))
    lanes, part = found.lanes, found.lanes / found.sampled if found.sampled else 0
    planned, undecided = round(found.planned * part), lanes - round(found.decided * part)
    drained = forecast.drained(lanes + undecided, planned + undecided, governor.window) if lanes else 0.0
    return Outlook(forecast, found, planned, undecided, drained)
