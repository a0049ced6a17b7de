"""Limits: a handler runs in a thread of its own, so that one that hangs cannot hold up the engine.

The engine's threads never get an asynchronous exception: it could hit between an answer and its journal entry. A
handler over its limit is left behind; an exception is raised in its thread, which ends it unless it sits in a blocking
call, and never in the middle of the engine's own code, which a read of the handler's runs there. When the worker is on
its way out, a handler is left behind sooner: the next worker runs it again, and the journal tells what it did in
other systems.
"""

import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from dramatiq.middleware.threading import raise_thread_exception

from workers.errors import NotNow

T = TypeVar("T")

#: So many handlers hanging in blocking calls at the same time end the process: a fresh one works better.
STUCK = 32

#: Seconds a handler may go on after the worker was told to end, and how often that is looked at.
GRACE = 5.0
LOOK = 0.5

log = logging.getLogger(__name__)


class HandlerTimeout(Exception):
    """A handler ran longer than ``FOXHOOKS_HANDLER_SECONDS``."""


class _Stop(Exception):
    """Raised inside the thread of a handler that is over its limit."""


class HandlerTimeouts:
    """Run functions with a limit of ``seconds``, each calling thread with a companion thread of its own.

    ``stopped`` tells that the worker is on its way out.
    """

    def __init__(self, seconds: float, stopped: Callable[[], bool]) -> None:
        self._seconds, self._stopped = seconds, stopped
        self._local = threading.local()
        self._stuck: set[threading.Thread] = set()

    def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns; raise ``HandlerTimeout``, or ``NotNow`` when the worker shuts down."""
        companion: _Companion | None = getattr(self._local, "companion", None)
        if companion is None:
            companion = self._local.companion = _Companion()
        box = companion.start(function)
        if not self._wait(box):
            self._local.companion = None
            self._leave(companion)
            if self._stopped():
                raise NotNow(0, "the worker ends")
            raise HandlerTimeout(f"ran longer than {self._seconds:g} s (FOXHOOKS_HANDLER_SECONDS)")
        if box.error is not None:
            raise box.error
        result: T = box.result
        return result

    def engine(self, function: Callable[[], T]) -> T:
        """Run the engine's own code for a handler, in the handler's thread: it is not broken off in the middle."""
        companion: _Companion | None = getattr(_here, "companion", None)
        if companion is None:
            raise RuntimeError("ctx works only in the thread that its handler runs in")
        with companion.guard:
            if companion.left:
                raise _Stop
            result = function()
        if companion.left:
            raise _Stop
        return result

    def _wait(self, box: "_Box") -> bool:
        give_up = time.monotonic() + self._seconds
        hurried = False
        while (left := give_up - time.monotonic()) > 0:
            if box.done.wait(min(left, LOOK)):
                return True
            if self._stopped() and not hurried:
                hurried, give_up = True, min(give_up, time.monotonic() + GRACE)
        return False

    def _leave(self, companion: "_Companion") -> None:
        self._stuck = {thread for thread in self._stuck if thread.is_alive()} | {companion.thread}
        companion.tasks.put(None)
        companion.left = True
        if companion.thread.ident is not None and companion.guard.acquire(blocking=False):
            raise_thread_exception(companion.thread.ident, _Stop)  # type: ignore[no-untyped-call]
            companion.guard.release()
        if len(self._stuck) > STUCK:
            log.error("Too many handlers hang; this worker process stops", extra={"count": len(self._stuck)})
            os.kill(os.getpid(), signal.SIGTERM)


class _Box:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


_here = threading.local()


class _Companion:
    """A thread that runs one function after another for its owner, until it is ``left`` behind."""

    def __init__(self) -> None:
        self.left = False
        self.guard = threading.Lock()
        self.tasks: SimpleQueue[tuple[_Box, Callable[[], Any]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="handler", daemon=True)
        self.thread.start()

    def start(self, function: Callable[[], Any]) -> _Box:
        box = _Box()
        context = contextvars.copy_context()
        self.tasks.put((box, lambda: context.run(function)))
        return box

    def _run(self) -> None:
        _here.companion = self
        try:
            while (task := self.tasks.get()) is not None:
                box, function = task
                try:
                    box.result = function()
                except BaseException as error:
                    box.error = error
                box.done.set()
        except _Stop:
            return
