"""Whether the store's clock and memory can still be trusted; if not, gates are closed rather than one call
too many made.

Slots are times of the store's clock. If that is set forward, they free early; if the store was emptied, or
a replica or a restart took over that lacks the last writes, they are missing. A window in which nobody
calls makes up for all of these.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from workers.errors import StoreUnavailable
from workers.store.client import Store
from workers.store.keys import Keys
from workers.store.permits import Governor

log = logging.getLogger(__name__)

#: Seconds by which the store's clock may differ from ours between two looks; a clock that is slewed stays
#: far below.
JUMP = 0.25

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Return seconds of a clock that only goes forward, and also while the machine sleeps (on Linux)."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the store: its clock less ours lay between ``least`` and ``most`` seconds."""

    least: float
    most: float
    run: str
    births: tuple[object, ...]


class Watch:
    """Compare each look at the store with the one before, and closes the gates of all accounts on a
    difference.

    ``durable`` tells that the store confirms writes only once they are on disk, so that a restart forgets
    nothing. The first look of a process only remembers: a fresh store it finds is no reason to wait.
    """

    def __init__(
        self,
        store: Store,
        governors: Sequence[Governor],
        durable: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store, self._governors, self._durable, self._clock = store, tuple(governors), durable, clock
        self._before: _Look | None = None

    def check(self) -> str:
        """Take a look; return what is wrong, for which the gates were closed, or an empty text."""
        look = self._look()
        wrong = self._compare(self._before, look) if self._before else ""
        if wrong:
            log.warning("calls pause for one window: %s", wrong)
            for governor in self._governors:
                self._store.run(governor.close_gates())
        self._before = look
        return wrong

    def _compare(self, before: _Look, look: _Look) -> str:
        # A birth mark that appears is the first use of the store; one that goes or changes is a loss.
        if any(old is not None and old != new for old, new in zip(before.births, look.births, strict=True)):
            return "the store was emptied or replaced"
        if look.run != before.run and not self._durable:
            return "the store was restarted or another took over, and may lack the last writes"
        if look.least > before.most + JUMP or look.most < before.least - JUMP:
            return "the clock of the store's host was set"
        return ""

    def _look(self) -> _Look:
        births = [Keys(governor.account).store_epoch for governor in self._governors]
        try:
            info = self._store.client.info("server")
            began = self._clock()
            seconds, micros = self._store.client.time()
            ended = self._clock()
            fingerprints = [self._store.client.get(store_epoch) for store_epoch in births]
        except redis.RedisError as error:
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error
        now = seconds + micros / 1e6
        return _Look(now - ended, now - began, str(info["run_id"]), tuple(fingerprints))
