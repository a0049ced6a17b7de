"""Close the gates when the store's clock or data cannot be trusted, to stay within the limits.

Slots are times of the store's clock. If that clock is set forward, slots are free too early. If the store was emptied
or lost its last writes in a restart, restore or failover, slots are missing. After a window without calls both are
right again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis

from workers.store.client import Store
from workers.store.failures import unavailable
from workers.store.memory import SERVER, Seen, Server, notice
from workers.store.permits import Governor

log = logging.getLogger(__name__)

#: How many seconds the store's clock may gain or lose on ours between two checks; slewing stays far below.
JUMP = 0.25

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Return the seconds of a clock that never goes back and, on Linux, goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class _Observation(NamedTuple):
    """One observation of the store."""

    min_offset: float
    """The store's clock minus ours is at least this many seconds,"""
    max_offset: float
    """and at most this many."""
    at: float
    """When it was made (s of our clock)."""
    servers: tuple[Server, ...]
    """The server of the store and the state of its data, for each account."""


class Watch:
    """Compare each observation with the one before, and close all gates when the store has changed.

    ``durable``: the store confirms writes only when they are on disk, so that a restart loses nothing. The first
    observation of a process closes nothing: a new store is no reason to wait.
    """

    def __init__(
        self, store: Store, governors: Sequence[Governor], durable: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        self._store, self._governors, self._durable, self._clock = store, tuple(governors), durable, clock
        self._before: _Observation | None = None

    def seen(self, account: str) -> Seen:
        """Return which server an account's store had at the last observation, and how long ago that was."""
        if (before := self._before) is None:
            return Seen()
        number = [governor.account for governor in self._governors].index(account)
        return Seen(before.servers[number].name, int((self._clock() - before.at) * 1000))

    def check(self) -> str:
        """Observe the store; if it has changed, close the gates and return what is wrong, else ''."""
        now = self._observe()
        wrong = self._compare(self._before, now) if self._before else ""
        if wrong:
            log.warning("calls pause for one window: %s", wrong)
            for governor in self._governors:
                self._store.run(governor.close_gates())
        self._before = now
        return wrong

    def _compare(self, before: _Observation, now: _Observation) -> str:
        pairs = list(zip(before.servers, now.servers, strict=True))
        # An epoch that appears is the first use of the store; one that disappears or changes is a loss.
        if any(old.store_epoch is not None and old.store_epoch != new.store_epoch for old, new in pairs):
            return "the store was emptied or replaced"
        for old, new in pairs:
            if old.doubts != new.doubts and new.why != SERVER:
                return new.cause
        if any(old.name != new.name or old.doubts != new.doubts for old, new in pairs) and not self._durable:
            return "the store was restarted or another took over, and may lack the last writes"
        if now.min_offset > before.max_offset + JUMP or now.max_offset < before.min_offset - JUMP:
            return "the clock of the store's host was set"
        return ""

    def _observe(self) -> _Observation:
        try:
            began = self._clock()
            seconds, micros = self._store.client.time()
            ended = self._clock()
        except redis.RedisError as error:
            raise unavailable(error) from error
        accounts = (governor.account for governor in self._governors)
        servers = tuple(self._store.run(notice(account, self.seen(account))) for account in accounts)
        now = seconds + micros / 1e6
        return _Observation(now - ended, now - began, began, servers)
