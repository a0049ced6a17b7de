"""Leases: one thread of each worker process renews the leases of its lanes and sends the heartbeat."""

import fcntl
import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from workers.errors import StoreUnavailable
from workers.store.client import Store
from workers.store.failures import concerns_one_account
from workers.store.keys import WORKERS
from workers.store.lanes import ClaimedLane, renew
from workers.store.usage import NOTE_INTERVAL, note_usage

#: Seconds between two checks of the store.
CHECK_INTERVAL = 1.0

#: Seconds after which a worker process that has not touched its file counts as stuck; an attempt to reach a store that
#: does not answer takes less.
STUCK_AFTER = 60.0

log = logging.getLogger(__name__)


def life_file(pid: int) -> Path:
    """Return the file that a worker process touches every second, whether or not the store can be reached."""
    return Path(tempfile.gettempdir()) / f"foxhooks-worker-{pid}.alive"


def local_workers() -> dict[int, float]:
    """Return the worker processes that run on this machine, with the seconds since each touched its file.

    A worker that was killed leaves its file, but not its lock; another process may have its id by now.
    """
    found = {}
    for path in Path(tempfile.gettempdir()).glob(life_file(0).name.replace("0", "*")):
        pid = path.stem.rpartition("-")[2]
        try:
            os.kill(int(pid), 0)
            if _is_locked(path):
                found[int(pid)] = time.time() - path.stat().st_mtime
        except (ProcessLookupError, FileNotFoundError, ValueError):
            continue  # it was killed and could not remove its file
        except PermissionError:
            continue  # another user's
    return found


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock_life_file(pid: int) -> IO[bytes]:
    """Create a worker's file and lock it for as long as the worker lives, even if it is killed."""
    file = life_file(pid).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody is looking at it
        file.close()
        raise
    return file


class Leases:
    """The leases of the lanes that this process has claimed.

    A lease counts as valid until ``lease`` seconds after the last renewal *began*, by this process's own ``clock``
    (seconds, monotonic, includes sleep), so that a process knows after a suspension that it may have lost its lanes.
    ``watch`` checks the store at the start and every second; its errors never stop a renewal.
    """

    def __init__(
        self, store: Store, lease: float, clock: Callable[[], float], worker: str, watch: Callable[[], object]
    ) -> None:
        self._store, self._lease, self._clock, self._worker, self._watch = store, lease, clock, worker, watch
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._parent = os.getppid()
        self._note_at = -math.inf
        self._life: IO[bytes] | None = None

    def start(self) -> None:
        """Start renewing in the background."""
        threading.Thread(target=self._run, name="leases", daemon=True).start()

    def stop(self) -> None:
        """Stop renewing; leases that are left expire."""
        with self._lock:
            self._stop.set()
            if self._life is not None:
                self._life.close()
            life_file(os.getpid()).unlink(missing_ok=True)

    def add(self, lane: ClaimedLane, since: float) -> None:
        """Add a lane that was claimed by a call that began at ``since``."""
        with self._lock:
            self._leases[lane.account, lane.name] = (lane.token, since)

    def drop(self, lane: ClaimedLane) -> None:
        """Remove a lane that was released or lost."""
        with self._lock:
            if self._leases.get((lane.account, lane.name), ("",))[0] == lane.token:
                del self._leases[lane.account, lane.name]

    def still_held(self, lane: ClaimedLane) -> bool:
        """Return whether the lease of a lane is certainly still valid."""
        with self._lock:
            token, since = self._leases.get((lane.account, lane.name), ("", 0.0))
        return token == lane.token and self._clock() < since + self._lease

    def _run(self) -> None:
        pause, renewed = min(CHECK_INTERVAL, self._lease / 6), self._clock()
        self._attempt(self._touch, "The file that shows life could not be written", logging.DEBUG)
        self._attempt(self._watch, "The store could not be checked", logging.DEBUG)
        while not self._stop.wait(pause):
            self._attempt(self._touch, "The file that shows life could not be written", logging.DEBUG)
            self._attempt(self._watch, "The store could not be checked", logging.DEBUG)
            if self._clock() < renewed + self._lease / 3:
                continue
            renewed = self._clock()
            self._attempt(self.renew, "Leases could not be renewed", logging.WARNING)
            if os.getppid() != self._parent:
                log.error("The parent process is gone; this worker stops")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _attempt(self, action: Callable[[], object], failure: str, level: int) -> None:
        """Do something and log any error: if this thread ended, each lane would be lost in the middle of its turn."""
        try:
            action()
        except (StoreUnavailable, OSError) as error:
            log.log(level, failure, extra={"error": str(error)})
        except Exception:
            log.exception(failure)

    def _touch(self) -> None:
        path = life_file(os.getpid())
        with self._lock:
            if self._stop.is_set():
                return
            if self._life is None or not path.exists():
                if self._life is not None:
                    self._life.close()
                self._life = lock_life_file(os.getpid())
            path.touch()

    def renew(self) -> None:
        """Renew all leases once and send the heartbeat."""
        with self._lock:
            leases = dict(self._leases)
        for account in {account for account, _ in leases}:
            began = self._clock()
            ours = [(lane, token) for (name, lane), (token, _) in leases.items() if name == account]
            try:
                lost = self._store.run(renew(account, int(self._lease * 1000), ours))
            except (RuntimeError, StoreUnavailable) as error:
                if not self._store.is_cluster and not concerns_one_account(error):
                    raise
                log.exception("Leases of an account could not be renewed", extra={"account": account})
                continue
            with self._lock:
                for lane, token in ours:
                    if self._leases.get((account, lane), ("",))[0] != token:
                        continue
                    if lane in lost:
                        del self._leases[account, lane]
                    else:
                        self._leases[account, lane] = (token, began)
        self.heartbeat()

    def heartbeat(self) -> None:
        """Send the heartbeat, which ``foxhooks status --worker`` checks; note the store's memory now and then."""
        self._store.beat(WORKERS, self._worker)
        if self._clock() >= self._note_at:
            self._note_at = self._clock() + NOTE_INTERVAL
            note_usage(self._store.client)
