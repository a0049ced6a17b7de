"""Run handlers with a time limit, each in a thread of its own.

A hanging handler must not block the engine. The engine's own threads never get an asynchronous exception, which could
hit between an answer and its journal entry. A handler over its limit is abandoned: an exception in its thread ends it
unless it is in a blocking call. It is never raised in the engine code that the handler's reads run. When the worker is
stopping, handlers get less time: the next worker runs them again, and the journal knows their external effects.
"""

import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from dramatiq.middleware.threading import raise_thread_exception

from workers.errors import NotNow

T = TypeVar("T")

#: The process stops if more handlers than this hang in blocking calls at the same time, so that a new one replaces it.
MAX_HANGING = 32

#: Seconds that a handler may continue when the worker is stopping, and how often that is checked.
STOP_GRACE = 5.0
POLL = 0.5

#: Why a lane is released when its worker stops.
STOPPING = "the worker is stopping"

log = logging.getLogger(__name__)


class HandlerTimeout(Exception):
    """A handler ran longer than ``FOXHOOKS_HANDLER_SECONDS``."""


class _Abandoned(Exception):
    """Raised in the thread of a handler that is over its limit."""


class HandlerTimeouts:
    """Run functions with a time limit, in one companion thread per calling thread."""

    def __init__(self, seconds: float, stopped: Callable[[], bool]) -> None:
        self._seconds = seconds
        #: Returns whether the worker is stopping; then no lane, read, handler or effect may start.
        self.stopped = stopped
        self._local = threading.local()
        self._hanging: set[threading.Thread] = set()

    def run(self, function: Callable[[], T]) -> T:
        """Return the function's result, or raise HandlerTimeout or NotNow."""
        companion: _Companion | None = getattr(self._local, "companion", None)
        if companion is None:
            companion = self._local.companion = _Companion()
        task = companion.start(function)
        if not self._wait(task):
            self._local.companion = None
            self._abandon(companion)
            if self.stopped():
                raise NotNow(0, STOPPING)
            raise HandlerTimeout(f"ran longer than {self._seconds:g} s (FOXHOOKS_HANDLER_SECONDS)")
        result: T = task.result()
        return result

    def run_engine(self, function: Callable[[], T]) -> T:
        """Run engine code in the handler's thread without interrupting it."""
        companion: _Companion | None = getattr(_current, "companion", None)
        if companion is None:
            raise RuntimeError("ctx works only in the thread that its handler runs in")
        with companion.guard:
            if companion.abandoned:
                raise _Abandoned
            result = function()
        if companion.abandoned:
            raise _Abandoned
        return result

    def _wait(self, task: "Future[Any]") -> bool:
        """Return whether the task ended in time."""
        deadline = time.monotonic() + self._seconds
        shortened = False
        while (left := deadline - time.monotonic()) > 0:
            if wait([task], min(left, POLL)).done:
                return True
            if self.stopped() and not shortened:
                shortened, deadline = True, min(deadline, time.monotonic() + STOP_GRACE)
        return False

    def _abandon(self, companion: "_Companion") -> None:
        self._hanging = {thread for thread in self._hanging if thread.is_alive()} | {companion.thread}
        companion.tasks.put(None)
        companion.abandoned = True
        if companion.thread.ident is not None and companion.guard.acquire(blocking=False):
            raise_thread_exception(companion.thread.ident, _Abandoned)  # type: ignore[no-untyped-call]
            companion.guard.release()
        if len(self._hanging) > MAX_HANGING:
            log.error("Too many handlers hang; this worker process stops", extra={"count": len(self._hanging)})
            os.kill(os.getpid(), signal.SIGTERM)


#: The companion whose thread this is.
_current = threading.local()


class _Companion:
    """A thread that runs one function after another until it is abandoned."""

    def __init__(self) -> None:
        self.abandoned = False
        self.guard = threading.Lock()
        self.tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="handler", daemon=True)
        self.thread.start()

    def start(self, function: Callable[[], Any]) -> "Future[Any]":
        task: Future[Any] = Future()
        self.tasks.put((task, partial(contextvars.copy_context().run, function)))
        return task

    def _run(self) -> None:
        _current.companion = self
        with suppress(_Abandoned):
            while (started := self.tasks.get()) is not None:
                task, function = started
                try:
                    result = function()
                except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for the result
                    task.set_exception(error)
                else:
                    task.set_result(result)
