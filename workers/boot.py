"""What begins and ends with a worker process, beside the turns."""

import logging
import os
import signal
from collections.abc import Iterable, Sequence
from typing import Any

import dramatiq
import redis

from workers.errors import StoreUnavailable
from workers.lanes.keys import prefix
from workers.lanes.leases import Leases
from workers.lanes.store import Store
from workers.rounds import Rounds

log = logging.getLogger(__name__)


class Boot(dramatiq.Middleware):
    """Starts the renewing of leases and the rounds with the worker, marks the store's birth, ends them in order."""

    def __init__(self, store: Store, leases: Leases, accounts: Iterable[str], rounds: Sequence[Rounds]) -> None:
        self._store, self._leases, self._accounts, self._rounds = store, leases, accounts, rounds

    def after_process_boot(self, broker: Any) -> None:
        # Heroku sends SIGTERM to every process, and Dramatiq's parent passes its own on. At the second one Dramatiq
        # would give up its orderly stop, and hang for the threads that still run.
        stop = signal.getsignal(signal.SIGTERM)

        def once(number: int, frame: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if callable(stop):
                stop(number, frame)

        signal.signal(signal.SIGTERM, once)

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            for account in self._accounts:
                seconds, micros = self._store.client.time()
                self._store.client.set(f"{prefix(account)}birth", seconds * 1000 + micros // 1000, nx=True)
            self._leases.sign_of_life()
        except (redis.RedisError, StoreUnavailable) as error:
            log.error("the store is unreachable; the worker waits for it", extra={"error": type(error).__name__})
        self._leases.start()
        for each in self._rounds:
            each.start()
        log.info("worker is ready", extra={"threads": worker.worker_threads, "pid": os.getpid()})

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        for each in self._rounds:
            each.stop()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._leases.stop()
        self._store.close()
