"""The process tree of `up` and `demo`: starts store and parts, restarts what dies, ends all in order."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from service.embedded import Embedded
from service.errors import CommandError
from service.processes.child import Child
from service.processes.output import OURSELVES, Show

#: Seconds between the death of a part and its restart; the last one holds from then on.
PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: So many deaths in a row mean that waiting will not help.
HOPELESS = 3
#: A part that ran this many seconds is healthy: its next death counts as the first.
HEALTHY = 30.0
#: Seconds each part has to end in, in this order; platforms kill 30 s after they asked.
GRACE = {"web": 6.0, "worker": 14.0, "simulator": 1.0, "store": 4.0}


@dataclass(slots=True)
class _Watched:
    child: Child
    started: float = 0.0
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Keeps a store, if it is given one, and parts running; they start in the order given and end in it too.

    ``show(name, line)`` gets every line a part prints and is called from threads; what the supervisor has
    to say comes under the name ``OURSELVES``.
    """

    def __init__(self, children: Sequence[Child], store: Embedded | None, show: Show) -> None:
        self._watched = {child.name: _Watched(child) for child in children}
        self._store = store
        self._show = show
        self._ends: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._store_at = 0.0
        self.stopping = False

    @contextmanager
    def running(self) -> Iterator["Supervisor"]:
        """Starts everything and ends it with the block; a signal sets ``stopping``, a second one kills."""
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup says so
            signals.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._asked_to_stop) for number in signals}
        try:
            self._start()
            yield self
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def poll(self, seconds: float) -> None:
        """Waits so long at the most and restarts what is due for it; returns early when a part ended."""
        try:
            ended = self._ends.get(timeout=seconds)
        except Empty:
            ended = None
        if self.stopping:
            return
        if ended is not None:
            self._note_death(*ended)
        self._revive()

    def hopeless(self) -> str | None:
        """Names a part that dies again and again."""
        return next((name for name, watched in self._watched.items() if watched.deaths >= HOPELESS), None)

    def _start(self) -> None:
        if self._store is not None:
            started = self._store.start()
            self._show(OURSELVES, f"store {'started' if started else 'taken over'} in {self._store.folder}")
        for watched in self._watched.values():
            if not self.stopping:
                self._launch(watched)

    def _launch(self, watched: _Watched) -> None:
        watched.started, watched.restart_at = time.monotonic(), None
        watched.child.start(self._show, lambda child, code: self._ends.put((child.name, code)))

    def _note_death(self, name: str, code: int) -> None:
        watched, now = self._watched[name], time.monotonic()
        watched.deaths = 1 if now - watched.started > HEALTHY else watched.deaths + 1
        pause = PAUSES[min(watched.deaths, len(PAUSES)) - 1]
        watched.restart_at = now + pause
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._show(OURSELVES, f"{name} {how}; starting it again in {pause:g} s", "warning")

    def _revive(self) -> None:
        if self._store is not None and not self._store.alive() and time.monotonic() >= self._store_at:
            self._show(OURSELVES, "the store ended; starting it again", "warning")
            self._store.forget()
            try:
                self._store.start()
            except CommandError as failure:
                self._show(OURSELVES, str(failure), "error")
                self._store_at = time.monotonic() + PAUSES[-2]
        for watched in self._watched.values():
            if watched.restart_at is not None and watched.restart_at <= time.monotonic():
                self._launch(watched)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            for watched in self._watched.values():
                watched.child.kill()
        self.stopping = True
        self._ends.put(None)

    def _stop(self) -> None:
        """Ends one after another: web takes nothing more, worker finishes, the store goes last."""
        self.stopping = True
        for watched in self._watched.values():
            child = watched.child
            child.terminate()
            if not child.wait(GRACE[child.name]):
                self._show(OURSELVES, f"{child.name} did not end in time and is killed", "warning")
                child.kill()
                child.wait(1)
            child.close()
        if self._store is not None:
            self._store.stop(GRACE["store"])
