"""The governor without a store: the same slots and the same gate, in the memory of one process.

For scripts of a few calls. It knows nothing of other processes, nor of what was called before it was made: where
several processes use one account, set ``REDIS_URL``. Rule by rule it is ``lua/permits.lua``; a test compares them.
"""

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from workers.governor.clock import monotonic
from workers.lanes.scripts import Script

T = TypeVar("T")

HOUR, SOON, PATIENCE, DENIALS = 3_600_000, 100, 2_000, 3

_LONG_AGO = -HOUR * 1000


class Memory:
    """Runs the governor's scripts ``permit``, ``release`` and ``forecast``; use it where a ``Store`` is asked for.

    ``clock`` gives milliseconds that only go forward. Safe for threads.
    """

    def __init__(self, clock: Callable[[], int] = lambda: int(monotonic() * 1000)) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def run(self, script: Script[T]) -> T:
        """Runs a script and gives its answer; raises ``LookupError`` for one that is not the governor's."""
        with self._lock:
            account = self._accounts.setdefault(script.prefix, _Account())
            argument, *args = script.args
            budget: dict[str, int] = json.loads(argument if isinstance(argument, bytes) else b"{}")
            now = self._clock()
            if script.name == "permit":
                return script.read(_grant(account, now, budget, *args))
            if script.name == "release":
                return script.read(_release(account, now, budget, *args))
            if script.name == "forecast":
                return script.read(_forecast(account, now, budget))
        raise LookupError(f"the script {script.name} needs a store")


@dataclass(slots=True)
class _Account:
    """Slots by method and calls in flight, each with the ms at which they end; and the gate."""

    slots: dict[str, dict[str, float]] = field(default_factory=lambda: {"get": {}, "post": {}})
    flight: dict[str, float] = field(default_factory=dict)
    state: str = "open"
    till: float = 0
    why: str = ""
    probe: str | None = None
    alone: str | None = None
    alone_till: float = 0
    opened: float = _LONG_AGO
    share: int = 1000
    share_till: float = 0
    denials: int = 0
    epoch: int = 0


def _again(budget: dict[str, int]) -> int:
    return min(15_000, budget["lockout"])


def _limit(account: _Account, now: int, budget: dict[str, int], method: str, class_: str) -> int:
    limit: float = budget[method]
    if now < account.share_till:
        limit = limit * account.share / 1000
    if now < account.opened + budget["window"]:
        limit = limit * max(now - account.opened, 0) / budget["window"]
    limit *= {"bulk": 0.7, "interactive": 1.0}.get(class_, 0.9)
    return 0 if budget[method] < 1 else max(1, math.floor(limit + 0.000001))


def _pass(account: _Account, now: int, method: str) -> tuple[float, str]:
    """Gives wait and why, or 0 and ``probe`` or ``alone`` if this call is the one, or 0."""
    if account.state != "open":
        probing = account.state == "probing"
        why = "denied" if account.why == "denied" else "probe" if probing else "gate"
        if now < account.till:
            return (min(SOON, account.till - now) if probing else account.till - now), why
        return (SOON, why) if method != "get" and now < account.till + PATIENCE else (0, "probe")
    if method != "get" and account.alone:
        return (SOON, "probe") if account.alone != "next" and now < account.alone_till else (0, "alone")
    return 0, ""


def _count(ends: dict[str, float], now: int, most: int) -> int:
    if len(ends) >= most:
        for id in [id for id, end in ends.items() if end <= now]:
            del ends[id]
    return len(ends)


def _space(account: _Account, now: int, budget: dict[str, int], method: str, class_: str) -> tuple[float, str]:
    if _count(account.flight, now, budget["in_flight"]) >= budget["in_flight"]:
        return SOON, "flight"
    slots, limit = account.slots[method], _limit(account, now, budget, method, class_)
    used = _count(slots, now, limit)
    if used < limit:
        return 0, ""
    wait: float = budget["window"] + budget["guard"]
    if limit > 0:
        wait = min(wait, sorted(slots.values())[used - limit] - now)
    if now < account.opened + budget["window"]:
        wait = min(wait, math.ceil(budget["window"] / max(budget[method], 1)))
    return max(1, wait), "budget"


def _grant(account: _Account, now: int, budget: dict[str, int], method: Any, id: Any, class_: Any, life: Any) -> Any:
    if account.slots[method].get(id, now) > now:
        return 0, b""
    wait, role = _pass(account, now, method)
    if wait > 0:
        return math.ceil(wait), role.encode()
    full, why = _space(account, now, budget, method, class_)
    if full > 0:
        return math.ceil(full), why.encode()
    till = now + max(life, _again(budget))
    if role == "probe":
        account.state, account.probe, account.till = "probing", id, till
    elif role == "alone":
        account.alone, account.alone_till = id, till
    account.slots[method][id] = now + life + budget["grace"] + budget["window"] + budget["guard"]
    account.flight[id] = now + life
    return 0, b""


def _release(
    account: _Account, now: int, budget: dict[str, int], method: Any, id: Any, outcome: Any, age: Any, wait: Any
) -> Any:
    age, wait, slots = max(0, age), max(0, wait), account.slots[method]
    if outcome == "unsent":
        slots.pop(id, None)
    elif outcome == "doubt":
        slots.setdefault(id, now + budget["grace"] + budget["window"] + budget["guard"])
    else:
        slots[id] = now - age + budget["window"] + budget["guard"]
    account.flight.pop(id, None)
    if outcome in ("limited", "throttled"):
        return _limited(account, now, budget, outcome, age, wait)
    if outcome == "forbidden" and method == "get":
        account.denials += 1
        outcome = "denied" if account.denials >= DENIALS and account.state == "open" else outcome
    elif outcome == "answered" and method == "get":
        account.denials = 0
    if outcome == "denied":
        return _close(account, now, "denied", "denied", now - age + min(60_000, budget["lockout"]))
    if account.state == "probing" and account.probe == id:
        return _probed(account, now, budget, outcome)
    if account.state == "open" and account.alone == id:
        account.alone = None if outcome in ("answered", "forbidden") else "next"
        account.alone_till = account.alone_till if account.alone else 0
    return None


def _close(account: _Account, now: int, state: str, why: str, till: float) -> None:
    if till <= now or (account.state in ("locked", "denied") and account.till >= till):
        return
    if state == "denied" and account.state == "locked" and now < account.till:
        return
    account.state, account.why, account.till, account.epoch = state, why, till, account.epoch + 1
    account.probe, account.alone, account.alone_till = None, None, 0


def _limited(account: _Account, now: int, budget: dict[str, int], why: str, age: int, wait: int) -> None:
    till = now - age + max(budget["lockout"] + budget["lockguard"], min(wait, HOUR))
    if account.state == "open" and not account.alone and till > now:
        share = account.share if now < account.share_till else 1000
        account.share, account.share_till = max(125, share // 2), now + HOUR
    _close(account, now, "locked", why, till)


def _probed(account: _Account, now: int, budget: dict[str, int], outcome: str) -> None:
    account.probe = None
    if outcome == "answered" or (outcome == "forbidden" and account.why != "denied"):
        account.state, account.alone, account.opened, account.till = "open", "next", now, 0
        return
    pause = -PATIENCE if outcome == "unsent" else _again(budget)
    if outcome == "forbidden":
        pause = min(60_000, budget["lockout"])
    account.state, account.till = "denied" if account.why == "denied" else "locked", now + pause


def _forecast(account: _Account, now: int, budget: dict[str, int]) -> Any:
    used = {name: sum(end > now for end in ends.values()) for name, ends in account.slots.items()}
    return (
        used["get"],
        _limit(account, now, budget, "get", "interactive"),
        used["post"],
        _limit(account, now, budget, "post", "interactive"),
        sum(end > now for end in account.flight.values()),
        account.state.encode(),
        account.why.encode(),
        0 if account.state == "open" else max(0, account.till - now),
        account.epoch,
        account.share if now < account.share_till else 1000,
    )
