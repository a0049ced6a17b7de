"""Close the gates when the store's clock or data cannot be trusted, to stay within the limits.

Slots are times of the store's clock. If that clock is set forward, slots are free too early. If the store was emptied
or lost its last writes in a restart, restore or failover, slots are missing. After a window without calls both are
right again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import redis

from workers.errors import StoreUnavailable
from workers.store.client import Store
from workers.store.cluster import at_home
from workers.store.failures import unavailable
from workers.store.keys import prefix
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
    """One observation of an account's store."""

    min_offset: float
    """The store's clock minus ours is at least this many seconds,"""
    max_offset: float
    """and at most this many."""
    at: float
    """When it was made (s of our clock)."""
    server: Server
    """The server of the store and the state of the account's data."""


class Watch:
    """Compare each observation with the one before, and close all gates when the store has changed.

    ``durable``: the store confirms writes only when they are on disk, so that a restart loses nothing. The first
    observation of a process closes nothing: a new store is no reason to wait.
    """

    def __init__(
        self, store: Store, governors: Sequence[Governor], durable: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        self._store, self._governors, self._durable, self._clock = store, tuple(governors), durable, clock
        self._before: dict[str, _Observation] = {}

    def seen(self, account: str) -> Seen:
        """Return which server an account's store had at the last observation, and how long ago that was."""
        if (before := self._before.get(account)) is None:
            return Seen()
        return Seen(before.server.name, int((self._clock() - before.at) * 1000))

    def check(self) -> str:
        """Observe the store; if it has changed, close the gates and return what is wrong, else ''.

        In a cluster, only the gates of the accounts are closed whose node has changed.
        """
        now = self._observe()
        pairs = {account: (self._before[account], each) for account, each in now.items() if account in self._before}
        found = {account: wrong for account, pair in pairs.items() if (wrong := self._compare(*pair))}
        wrong = next(iter(found.values()), "")
        if wrong:
            log.warning("calls pause for one window: %s", wrong)
            for governor in self._governors:
                if governor.account in found or not self._store.is_cluster:
                    self._store.run(governor.close_gates())
        self._before |= now
        return wrong

    def _compare(self, before: _Observation, now: _Observation) -> str:
        old, new = before.server, now.server
        # An epoch that appears is the first use of the store; one that disappears or changes is a loss.
        if old.store_epoch is not None and old.store_epoch != new.store_epoch:
            return "the store was emptied or replaced"
        if old.doubts != new.doubts and new.why != SERVER:
            return new.cause
        if (old.name != new.name or old.doubts != new.doubts) and not self._durable:
            return "the store was restarted or another took over, and may lack the last writes"
        if now.min_offset > before.max_offset + JUMP or now.max_offset < before.min_offset - JUMP:
            return "the clock of the store's host was set"
        return ""

    def _observe(self) -> dict[str, _Observation]:
        """Observe each account; in a cluster, leave out those whose node does not answer."""
        clocks: dict[redis.Redis, tuple[float, float, float]] = {}
        found = {}
        for account in (governor.account for governor in self._governors):
            try:
                clock = at_home(self._store.client, prefix(account), partial(self._offsets, clocks))
                found[account] = _Observation(*clock, self._store.run(notice(account, self.seen(account))))
            except (redis.RedisError, StoreUnavailable) as error:
                if not self._store.is_cluster:
                    raise unavailable(error) from error
        return found

    def _offsets(
        self, known: dict[redis.Redis, tuple[float, float, float]], node: redis.Redis
    ) -> tuple[float, float, float]:
        """Compare the clock of a node with ours, once in each observation."""
        if node not in known:
            began = self._clock()
            seconds, micros = node.time()
            now, ended = seconds + micros / 1e6, self._clock()
            known[node] = (now - ended, now - began, began)
        return known[node]
