"""What was refused and why, which keys signed, and the requests that no account could receive.

Web processes collect notes and write them about once a second, with plain commands: a lost note costs nothing. All of
it is bounded, expires, and contains no secret and nothing of a body.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from workers.store.keys import MISDIRECTED, MISDIRECTED_EXAMPLES, Keys

#: How long (s) notes are kept after the last one.
LIFE = 30 * 86_400

#: How many examples of misdirected requests are kept, and how many are noted between two writes.
EXAMPLES = 20

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """How often something was noted."""

    count: int
    last: int
    """When it was noted last (ms)."""


@dataclass(frozen=True, slots=True)
class Misdirected:
    """The requests that look like webhooks but that no account could receive."""

    reasons: dict[str, Noted]
    """By reason: unknown-account, unknown-path or method."""
    examples: dict[str, int]
    """Method and path of the last ones, newest first, with the ms of the last request."""


class Notes:
    """Collect notes until they are written."""

    def __init__(self) -> None:
        self._causes: Counter[tuple[str, str]] = Counter()
        self._keys: set[tuple[str, str]] = set()
        self._misdirected: Counter[str] = Counter()
        self._examples: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._causes or self._keys or self._misdirected)

    def cause(self, account: str, cause: str) -> None:
        """Note the likely cause of a wrong signature."""
        self._causes[account, cause] += 1

    def key(self, account: str, label: str) -> None:
        """Note that the key with this label has signed a delivery."""
        self._keys.add((account, label))

    def misdirected(self, reason: str, example: str) -> None:
        """Note a request that no account can receive."""
        self._misdirected[reason] += 1
        if len(self._examples) < EXAMPLES:
            self._examples[example] = None

    def commands(self, now: int) -> Iterator[Command]:
        """Yield the commands that write the notes at the time ``now`` (ms)."""
        for (account, cause), count in self._causes.items():
            yield from _count(Keys(account).refusals, cause, count, now)
        for account, label in self._keys:
            yield "HSET", Keys(account).keys_used, label, now
            yield "EXPIRE", Keys(account).keys_used, LIFE
        for reason, count in self._misdirected.items():
            yield from _count(MISDIRECTED, reason, count, now)
        for example in self._examples:
            yield "ZADD", MISDIRECTED_EXAMPLES, now, example
        if self._examples:
            yield "ZREMRANGEBYRANK", MISDIRECTED_EXAMPLES, 0, -EXAMPLES - 1
            yield "EXPIRE", MISDIRECTED_EXAMPLES, LIFE


def _count(key: str, name: str, count: int, now: int) -> Iterator[Command]:
    yield "HINCRBY", key, name, count
    yield "HSET", key, f"{name}@", now
    yield "EXPIRE", key, LIFE


def read_causes(client: redis.Redis, account: str) -> dict[str, Noted]:
    """Return the likely causes of the account's wrong signatures, the last one first."""
    return _read(client, Keys(account).refusals)


def read_keys_used(client: redis.Redis, account: str) -> dict[str, int]:
    """Return when (ms) the key with each label has last signed a delivery."""
    found: Any = client.hgetall(Keys(account).keys_used)
    return {label.decode(): int(at) for label, at in found.items()}


def read_misdirected(client: redis.Redis) -> Misdirected:
    """Return the requests that no account could receive."""
    examples: Any = client.zrange(MISDIRECTED_EXAMPLES, 0, -1, desc=True, withscores=True)
    return Misdirected(_read(client, MISDIRECTED), {name.decode(): int(at) for name, at in examples})


def _read(client: redis.Redis, key: str) -> dict[str, Noted]:
    stored: Any = client.hgetall(key)
    values = {name.decode(): int(value) for name, value in stored.items()}
    found = {name: Noted(n, values.get(f"{name}@", 0)) for name, n in values.items() if not name.endswith("@")}
    return dict(sorted(found.items(), key=lambda each: -each[1].last))
