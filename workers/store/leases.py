"""Leases: one thread of the worker process that renews the leases of all lanes held, and says that the worker lives."""

import logging
import os
import signal
import threading
from collections.abc import Callable

from workers.errors import StoreUnavailable
from workers.store.client import Store
from workers.store.keys import WORKERS
from workers.store.lanes import ClaimedLane, renew

#: Seconds between two looks at the store.
LOOK = 1.0

log = logging.getLogger(__name__)


class Leases:
    """The lanes that this process holds.

    A lease counts as held until ``lease`` seconds after the last renewal *began*, by this process's own ``clock``
    (seconds, never going back, counting sleep): so a process that was frozen knows that it may have lost it.
    ``watch`` takes a look at the store, every second and once at the start; what goes wrong with it stops no renewal.
    """

    def __init__(
        self, store: Store, lease: float, clock: Callable[[], float], worker: str, watch: Callable[[], object]
    ) -> None:
        self._store, self._lease, self._clock, self._worker, self._watch = store, lease, clock, worker, watch
        self._held: dict[tuple[str, str], tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._parent = os.getppid()

    def start(self) -> None:
        """Start renewing in the background."""
        threading.Thread(target=self._run, name="leases", daemon=True).start()

    def stop(self) -> None:
        """End the renewing; what is still held runs out by itself."""
        self._stop.set()

    def add(self, lane: ClaimedLane, since: float) -> None:
        """Take up a lane claimed by a call that began at ``since``."""
        with self._lock:
            self._held[lane.account, lane.name] = (lane.token, since)

    def drop(self, lane: ClaimedLane) -> None:
        """Forget a lane that was given back or lost."""
        with self._lock:
            if self._held.get((lane.account, lane.name), ("",))[0] == lane.token:
                del self._held[lane.account, lane.name]

    def still_held(self, lane: ClaimedLane) -> bool:
        """Return whether the lane is surely still ours."""
        with self._lock:
            token, since = self._held.get((lane.account, lane.name), ("", 0.0))
        return token == lane.token and self._clock() < since + self._lease

    def _run(self) -> None:
        pause, renewed = min(LOOK, self._lease / 6), self._clock()
        self._look()
        while not self._stop.wait(pause):
            self._look()
            if self._clock() < renewed + self._lease / 3:
                continue
            renewed = self._clock()
            try:
                self.renew()
            except StoreUnavailable as error:
                log.warning("Leases could not be renewed", extra={"error": str(error)})
            except Exception:
                # This thread has to go on: without it every lane is lost in the middle of its turn.
                log.exception("Leases could not be renewed")
            if os.getppid() != self._parent:
                log.error("The parent process is gone; this worker stops")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _look(self) -> None:
        try:
            self._watch()
        except StoreUnavailable as error:
            log.debug("The store could not be checked", extra={"error": str(error)})
        except Exception:
            log.exception("The store could not be checked")

    def renew(self) -> None:
        """Renew all leases once and writes the sign of life."""
        with self._lock:
            held = dict(self._held)
        for account in {account for account, _ in held}:
            began = self._clock()
            mine = [(lane, token) for (name, lane), (token, _) in held.items() if name == account]
            try:
                lost = self._store.run(renew(account, int(self._lease * 1000), mine))
            except RuntimeError:
                # A corrupt key of one account is no reason to lose the lanes of the others.
                log.exception("Leases of an account could not be renewed", extra={"account": account})
                continue
            with self._lock:
                for lane, token in mine:
                    if self._held.get((account, lane), ("",))[0] != token:
                        continue
                    if lane in lost:
                        del self._held[account, lane]
                    else:
                        self._held[account, lane] = (token, began)
        self.sign_of_life()

    def sign_of_life(self) -> None:
        """Write that this worker lives, for ``foxhooks status --worker``."""
        self._store.beat(WORKERS, self._worker)
