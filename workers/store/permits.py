"""The scripts that take and settle permits of one account, with its budget already worked out.

A permit is the right to make one call now. It holds a slot until one window and a guard after the call's
answer, so that no window of any alignment holds more calls than HappyFox allows (500 reads and 300 writes in
a minute, KB 1148). What is not a read counts as a write; KB 1148 says nothing about PUT and DELETE.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from workers.settings import Budget
from workers.store.scripts import Script

#: Interactive calls may use every slot, normal ones leave 10 % of them, bulk ones 30 %.
Priority = Literal["interactive", "normal", "bulk"]

#: How a call ended, as far as the governor is concerned; ``lua/permits.lua`` says what each does.
Outcome = Literal["answered", "failed", "limited", "throttled", "denied", "forbidden", "unsent", "doubt"]

#: Milliseconds after its deadline in which a call without answer may still be counted by HappyFox (assumed): as long
#: as HAPPYFOX_DOUBT_SECONDS lets a write land.
GRACE = 30_000


@dataclass(frozen=True, slots=True)
class Grant:
    """A permit, if ``wait`` is 0; else the milliseconds until it is worth asking again, and why.

    ``why`` is ``budget``, ``gate``, ``flight``, ``probe`` or ``denied``.
    """

    wait: int
    why: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """How much of an account's budget is used, and what its gate does.

    ``gets`` and ``posts`` are what may be used now, the lowered share included. ``gate`` is ``open``,
    ``locked``, ``denied`` or ``probing``; ``why`` is what closed it last; ``reopens`` is in seconds;
    ``share`` is the part of our limits that is left after a 429: 1, or a half for an hour.
    """

    gets_used: int
    gets: int
    posts_used: int
    posts: int
    in_flight: int
    gate: str
    why: str
    reopens: float
    epoch: int
    share: float

    @property
    def gets_free(self) -> int:
        """Read that could be made now, were the gate open."""
        return max(0, self.gets - self.gets_used)

    @property
    def posts_free(self) -> int:
        """Write that could be made now, were the gate open."""
        return max(0, self.posts - self.posts_used)

    def drained(self, reads: int, writes: int, window: float) -> float:
        """Return the seconds until so many calls will have been granted, at the limits of now.

        What is free now goes at once; each further window of ``window`` seconds grants the limit again.
        """
        behind_reads = max(0, reads - self.gets_free) / max(1, self.gets)
        behind_writes = max(0, writes - self.posts_free) / max(1, self.posts)
        return self.reopens + window * max(math.ceil(behind_reads), math.ceil(behind_writes))


class Governor:
    """Build the scripts of one account's governor; ``budget`` is the argument that other scripts pass on."""

    def __init__(self, account: str, budget: Budget) -> None:
        self.account = account
        self.budget = argument(budget)
        self.in_flight = budget.in_flight
        self.lockout = budget.lockout
        self.window = budget.window

    def permit(self, method: str, id: str, priority: Priority, life: int) -> Script[Grant]:
        """Ask for a permit for a call that is over ``life`` ms from now, come what may.

        ``id`` names the call: asking again with it is answered alike, and a call made again takes another.
        """
        return self._script("permit", _grant, _kind(method), id, priority, life)

    def release(self, method: str, id: str, outcome: Outcome, age: int = 0, wait: int = 0) -> Script[None]:
        """Settle a permit: the answer came ``age`` ms ago and asked to wait for ``wait`` ms."""
        return self._script("release", _nothing, _kind(method), id, outcome, age, wait)

    def close_gates(self) -> Script[None]:
        """Close the gate for one window, because the store's clock or its memory cannot be trusted."""
        return self._script("close_gate", _nothing)

    def forecast(self) -> Script[Forecast]:
        """Report what is used and free, without changing anything."""
        return self._script("forecast", _forecast)

    def _script(self, name: str, read: Any, *args: str | int) -> Script[Any]:
        return Script(name, self.account, (self.budget, *args), read)


def argument(budget: Budget) -> bytes:
    """Return a budget as the scripts read it: JSON, limits after the share, times in milliseconds.

    The guard is 1 % of the window and 50 ms at least; that of the lockout 1 %, from 0.5 s to 5 s.
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
        "grace": GRACE,
    }
    return json.dumps(numbers, separators=(",", ":")).encode()


def _share(limit: int, share: float) -> int:
    return min(limit, max(1, math.floor(limit * share + 1e-9)))


def _kind(method: str) -> str:
    return "get" if method.lower() == "get" else "post"


def _grant(raw: Any) -> Grant:
    return Grant(int(raw[0]), raw[1].decode())


def _nothing(_: Any) -> None:
    return None


def _forecast(raw: Any) -> Forecast:
    gets_used, gets, posts_used, posts, in_flight, gate, why, reopens, epoch, share = raw
    return Forecast(
        gets_used=gets_used,
        gets=gets,
        posts_used=posts_used,
        posts=posts,
        in_flight=in_flight,
        gate=gate.decode(),
        why=why.decode(),
        reopens=reopens / 1000,
        epoch=epoch,
        share=share / 1000,
    )


T = TypeVar("T")

#: So many lanes are looked into for planned calls; what more lanes have planned is taken to be alike.
SAMPLE = 1_000


class Store(Protocol):
    """What runs scripts."""

    def run(self, script: Script[T], /) -> T:
        """Run a script and gives its answer."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """An account's budget and gate, its backlog, and the seconds until that is worked off at the limits of now.

    Every lane costs a read. ``planned`` are the writes of turns that have decided and not ended; those that have begun
    are among them, and what lanes will want that have not decided yet is not.
    """

    forecast: Forecast
    lanes: int
    due: int
    planned: int
    drained: float


def outlook(store: Store, governor: Governor) -> Outlook:
    """Look at an account in two calls of the store, whatever waits there."""
    forecast = store.run(governor.forecast())
    lanes, due, looked, planned = store.run(_backlog(governor))
    planned = round(planned * lanes / looked) if looked else 0
    drained = forecast.drained(lanes, planned, governor.window) if lanes else 0.0
    return Outlook(forecast, lanes, due, planned, drained)


def _backlog(governor: Governor) -> Script[tuple[int, int, int, int]]:
    read: Callable[[Any], tuple[int, int, int, int]] = tuple
    return Script("backlog", governor.account, (SAMPLE,), read)
