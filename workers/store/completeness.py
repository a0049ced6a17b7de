"""Completeness: how many changes a delivery announced first, and which ones only a sweep has found."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import redis

from workers.store.keys import Keys

#: How foxhooks learned of changes, as it is stored. Changes that another read found first, such as that of a schedule,
#: are not counted: their delivery may have been on its way.
DELIVERY, SWEEP = "delivery", "sweep"

DAY = 86_400_000


class MissedChanges(msgspec.Struct, frozen=True, array_like=True):
    """Changes of a ticket that no delivery announced before a sweep found them."""

    at: int
    """When foxhooks learned of them (ms)."""
    happened: int
    """When the first of them happened, by HappyFox's clock (ms); 0 if unknown."""
    ticket: int
    turn: str
    kinds: tuple[str, ...]
    """The kinds of the changes."""


@dataclass(frozen=True, slots=True)
class LearnedChanges:
    """How many changes foxhooks has learned of, by how."""

    delivery: int = 0
    sweep: int = 0

    @property
    def ratio(self) -> float | None:
        """The part that a delivery announced first, None if there were no changes."""
        return self.delivery / (self.delivery + self.sweep) if self.delivery or self.sweep else None


@dataclass(frozen=True, slots=True)
class Completeness:
    """What deliveries announced, and what they did not."""

    total: LearnedChanges
    """Since the store was first used."""
    days: dict[date, LearnedChanges]
    """The last 35 days (UTC) that had changes, newest first."""
    missed: tuple[MissedChanges, ...]
    """The last 200 turns with changes that a sweep found, newest first."""

    def of_day(self, now: int) -> LearnedChanges:
        """Return the figures of the day of ``now`` (ms)."""
        return self.days.get(datetime.fromtimestamp(now / 1000, UTC).date(), LearnedChanges())


_MISSED = msgspec.json.Decoder(MissedChanges)


def read_completeness(client: redis.Redis, account: str) -> Completeness:
    """Read how foxhooks has learned of an account's changes."""
    untyped: Any = client
    stored = {name.decode(): int(value) for name, value in untyped.hgetall(Keys(account).learned).items()}
    days = sorted({int(name.partition("@")[2]) for name in stored if "@" in name}, reverse=True)
    total = {
        by: sum(count for name, count in stored.items() if name.partition("@")[0] == by) for by in (DELIVERY, SWEEP)
    }
    return Completeness(
        total=LearnedChanges(total[DELIVERY], total[SWEEP]),
        days={
            datetime.fromtimestamp(day * DAY / 1000, UTC).date(): LearnedChanges(
                stored.get(f"{DELIVERY}@{day}", 0), stored.get(f"{SWEEP}@{day}", 0)
            )
            for day in days
        },
        missed=tuple(_readable(untyped.lrange(Keys(account).missed, 0, -1))),
    )


def _readable(stored: list[bytes]) -> Iterator[MissedChanges]:
    for each in stored:
        try:
            yield _MISSED.decode(each)
        except msgspec.DecodeError:
            continue  # of another version
