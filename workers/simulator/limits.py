"""Two gates: so many calls in a window, then nothing for ten minutes (KB 1148); and one write at a time to a ticket."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, Literal

from workers.simulator.api.forms import RefusedError
from workers.simulator.options import Options

Class = Literal["get", "post"]

OVERLAP: Final = {
    "error": "Another call to this ticket is in progress; parallel calls to one ticket are not supported."
}


def class_of(method: str) -> Class:
    """GET and HEAD have a budget of their own; all else goes with POST."""
    return "get" if method in ("GET", "HEAD") else "post"


@dataclass(slots=True)
class RateGate:
    """Counts arrivals in the half-open window (now - window, now], per class.

    The call that would be one too many is refused and starts the lockout. Calls it refuses are not counted
    (assumed; HappyFox does not say).
    """

    options: Options
    arrivals: dict[Class, deque[float]] = field(default_factory=lambda: {"get": deque(), "post": deque()})
    locked_until: dict[Class, float] = field(default_factory=lambda: {"get": 0.0, "post": 0.0})
    lockouts: int = 0

    def admit(self, method: str, now: float) -> bool:
        """Count this arrival, or refuse it."""
        which = class_of(method)
        if now < self.locked_until[which]:
            if self.options.lockout_extends:
                self._lock_until(now + self.options.lockout, self._covered(which))
            return False
        if method in ("PUT", "DELETE") and not self.options.puts_count:
            return True
        arrivals = self._in_window(which, now)
        if len(arrivals) >= self._limit(which):
            self.lock(now, self._covered(which))
            return False
        arrivals.append(now)
        return True

    def lock(self, now: float, which: Class | None = None, seconds: float | None = None) -> None:
        """Refuse every call (or one class) until `seconds` from now, by default the configured lockout."""
        self._lock_until(now + (self.options.lockout if seconds is None else seconds), which)
        self.lockouts += 1

    def used(self, which: Class, now: float) -> int:
        """Calls counted in the current window."""
        return len(self._in_window(which, now))

    def forget(self, method: str, at: float) -> None:
        """Take the arrival of a call that failed out of the count."""
        arrivals = self.arrivals[class_of(method)]
        if at in arrivals:
            arrivals.remove(at)

    def left(self, method: str, now: float) -> int:
        """Calls of this method's class that the window still takes."""
        which = class_of(method)
        return max(0, self._limit(which) - self.used(which, now))

    def fork(self) -> "RateGate":
        """An independent copy."""
        arrivals: dict[Class, deque[float]] = {name: deque(times) for name, times in self.arrivals.items()}
        return RateGate(self.options, arrivals, dict(self.locked_until), self.lockouts)

    def _lock_until(self, until: float, which: Class | None) -> None:
        for name in self.locked_until:
            if which in (None, name):
                self.locked_until[name] = until

    def _covered(self, which: Class) -> Class | None:
        return which if self.options.lockout_scope == "class" else None

    def _limit(self, which: Class) -> int:
        return self.options.gets if which == "get" else self.options.posts

    def _in_window(self, which: Class, now: float) -> deque[float]:
        arrivals = self.arrivals[which]
        window = self.options.window
        sliding = self.options.window_shape == "sliding"
        since = now - window if sliding else now // window * window
        while arrivals and (arrivals[0] <= since if sliding else arrivals[0] < since):
            arrivals.popleft()
        return arrivals


class TicketGate:
    """Notes which tickets are being written to. What becomes of a write that overlaps another is a switch."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.in_progress: Counter[int] = Counter()

    def is_busy(self, ticket: int) -> bool:
        """Whether a write to the ticket is in progress."""
        return self.in_progress[ticket] > 0

    def enter(self, ticket: int) -> None:
        """Begin a write. Raises a 409 or 500 if it overlaps another and the switch says so."""
        if self.is_busy(ticket) and self.options.overlap in ("refuse", "fail"):
            raise RefusedError(409 if self.options.overlap == "refuse" else 500, OVERLAP)
        self.in_progress[ticket] += 1

    def leave(self, ticket: int) -> None:
        """End a write."""
        self.in_progress[ticket] -= 1
        if not self.in_progress[ticket]:
            del self.in_progress[ticket]
