"""How much memory the store uses, its limit, and when it will be full.

The store is full when it reaches its ``maxmemory``; then it accepts nothing, and deliveries get a 503. Workers note
once an hour how much it uses, so that the rate is measured, not guessed.
"""

import statistics
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import redis

from workers.store.client import store_time
from workers.store.cluster import nodes_of
from workers.store.keys import MEMORY_USED

HOUR = 3_600_000
DAY = 24 * HOUR

#: How long (ms) notes are kept. The rate is measured over this time.
KEPT = 8 * DAY

#: How long (ms) must have been measured before a rate is known: it changes in the course of a day.
SHORTEST = DAY

#: How often (s) each worker process looks whether this hour has been noted.
NOTE_INTERVAL = 600.0

#: Less than this part of the limit, or than this many days, is little.
LITTLE_LEFT, FEW_DAYS = 0.2, 14

#: What to do about it.
FIX = (
    "choose a larger plan or raise maxmemory there, or keep less with FOXHOOKS_RETENTION_HOURS; "
    "see docs/durability.md#memory"
)


@dataclass(frozen=True, slots=True)
class Usage:
    """The memory of the store; sizes are in bytes."""

    used: int | None
    """None if the server does not tell: its user may not run INFO."""
    limit: int | None
    """Its ``maxmemory``; None if it has none, or does not tell."""
    growth: float | None
    """Bytes per day; None if not measured for long enough."""
    measured: int
    """The time over which the growth was measured (ms)."""

    @property
    def days_left(self) -> float | None:
        """In how many days it is full at the present rate; None if that is not known, or never."""
        if self.used is None or self.limit is None or self.growth is None or self.growth <= 0:
            return None
        return max(0, self.limit - self.used) / self.growth

    @property
    def is_scarce(self) -> bool:
        """Whether little is left."""
        if self.used is None or self.limit is None:
            return False
        days = self.days_left
        return self.limit - self.used < LITTLE_LEFT * self.limit or (days is not None and days < FEW_DAYS)

    def as_json(self) -> dict[str, Any]:
        """Return what `foxhooks status --json` shows."""
        return {**asdict(self), "days_left": self.days_left}


def read_usage(client: redis.Redis) -> Usage:
    """Read how much memory the store uses, and how fast that grows."""
    used, limit = _used_and_limit(client)
    noted = sorted((int(hour), int(value)) for hour, value in _untyped(client).hgetall(MEMORY_USED).items())
    first = (store_time(client) - KEPT) // HOUR
    hours, values = zip(*[each for each in noted if each[0] >= first] or [(0, 0)], strict=True)
    measured = (hours[-1] - hours[0]) * HOUR
    growth = statistics.linear_regression(hours, values).slope * 24 if measured >= SHORTEST else None
    return Usage(used, limit, growth, measured)


def note_usage(client: redis.Redis) -> None:
    """Note how much memory the store uses, unless that was done in this hour or is not possible."""
    with suppress(redis.exceptions.RedisError):
        used, _ = _used_and_limit(client)
        now, untyped = store_time(client), _untyped(client)
        if used is None or not untyped.hsetnx(MEMORY_USED, now // HOUR, used):
            return
        old = [hour for hour in untyped.hkeys(MEMORY_USED) if int(hour) < (now - KEPT) // HOUR]
        if old:
            untyped.hdel(MEMORY_USED, *old)
        untyped.pexpire(MEMORY_USED, KEPT)


def _used_and_limit(client: redis.Redis) -> tuple[int | None, int | None]:
    """Return the memory of the server and its limit; of a cluster, those of the node that is full first."""
    try:
        states = [_untyped(node).info("memory") for node in nodes_of(client)]
    except redis.exceptions.ResponseError:
        return None, None
    found = [(state.get("used_memory"), state.get("maxmemory") or None) for state in states]
    return max(found, key=lambda each: ((each[0] or 0) / each[1] if each[1] else 0, each[0] or 0))


def _untyped(client: redis.Redis) -> Any:
    # redis-py types each result as if the client might be asynchronous.
    return client


def describe_usage(usage: Usage) -> str:
    """Describe the memory in a sentence, without a period."""
    if usage.used is None:
        return "its memory cannot be read: its user may not run INFO, or the server hides it"
    if usage.limit is None:
        return (
            f"it uses {size(usage.used)} of memory and has no limit (maxmemory): it ends when its machine has no more"
        )
    left = max(0, usage.limit - usage.used)
    return f"it uses {size(usage.used)} of {size(usage.limit)} of memory, {size(left)} left; {_describe_rate(usage)}"


def _describe_rate(usage: Usage) -> str:
    if usage.growth is None:
        hours = usage.measured // HOUR
        return f"how long that lasts is known after a day of measuring (so far {hours} hour{'' if hours == 1 else 's'})"
    over = f"over the last {max(1, round(usage.measured / DAY))} d"
    if usage.days_left is None:
        return f"it did not grow {over}"
    return f"at the present rate ({size(usage.growth)} per day {over}) it is full in {usage.days_left:,.0f} days"


def size(number: float) -> str:
    """Return a number of bytes for people: 312 kB, 45 MB, 1.5 GB."""
    for unit, of in (("GB", 1e9), ("MB", 1e6)):
        if number >= of:
            return f"{number / of:.{1 if number < 10 * of else 0}f} {unit}"
    return f"{number / 1e3:.0f} kB"
