"""What can go wrong with a call: rate limit, overlapping writes, injected faults."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from workers.simulator.forms import ApiError
from workers.simulator.http import RATE_LIMITED, ApiResponse, overload_message
from workers.simulator.options import Options

MethodClass = Literal["get", "post"]
FaultKind = Literal["status", "html", "empty", "broken", "cut", "hang", "trickle", "late-update"]
HookFaultKind = Literal["drop", "duplicate", "delay", "reorder", "truncate", "wrong-key", "unsigned"]

OVERLAP: Final = {
    "error": "Another call to this ticket is in progress; parallel calls to one ticket are not supported."
}


def class_of(method: str) -> MethodClass:
    """Return the class whose limit applies: `get` for GET and HEAD, `post` for all others."""
    return "get" if method in ("GET", "HEAD") else "post"


@dataclass(slots=True)
class RateGate:
    """Count arrivals in the half-open window (now - window, now], per class (KB 1148).

    One call too many is refused and starts the lockout. Refused calls are not counted (assumed).
    """

    options: Options
    arrivals: dict[MethodClass, deque[float]] = field(default_factory=lambda: {"get": deque(), "post": deque()})
    locked_until: dict[MethodClass, float] = field(default_factory=lambda: {"get": 0.0, "post": 0.0})
    lockouts: int = 0

    def admit(self, method: str, now: float) -> bool:
        """Count a call that arrives, or refuse it."""
        which = class_of(method)
        if now < self.locked_until[which]:
            if self.options.lockout_extends:
                self._lock_until(now + self.options.lockout, self._scope(which))
            return False
        if method in ("PUT", "DELETE") and not self.options.puts_count:
            return True
        arrivals = self._in_window(which, now)
        if len(arrivals) >= self._limit(which):
            self.lock(now, self._scope(which))
            return False
        arrivals.append(now)
        return True

    def lock(self, now: float, which: MethodClass | None = None, seconds: float | None = None) -> None:
        """Refuse calls, by default all of them for the configured lockout."""
        self._lock_until(now + (self.options.lockout if seconds is None else seconds), which)
        self.lockouts += 1

    def used(self, which: MethodClass, now: float) -> int:
        """Return the number of calls counted in the current window."""
        return len(self._in_window(which, now))

    def forget(self, method: str, at: float) -> None:
        """Stop counting a call, which has failed."""
        arrivals = self.arrivals[class_of(method)]
        if at in arrivals:
            arrivals.remove(at)

    def left(self, method: str, now: float) -> int:
        """Return the number of calls of this method's class that the window still allows."""
        which = class_of(method)
        return max(0, self._limit(which) - self.used(which, now))

    def fork(self) -> "RateGate":
        """Return an independent copy."""
        arrivals: dict[MethodClass, deque[float]] = {name: deque(times) for name, times in self.arrivals.items()}
        return RateGate(self.options, arrivals, dict(self.locked_until), self.lockouts)

    def _lock_until(self, until: float, which: MethodClass | None) -> None:
        for name in self.locked_until:
            if which in (None, name):
                self.locked_until[name] = until

    def _scope(self, which: MethodClass) -> MethodClass | None:
        return which if self.options.lockout_scope == "class" else None

    def _limit(self, which: MethodClass) -> int:
        return self.options.gets if which == "get" else self.options.posts

    def _in_window(self, which: MethodClass, now: float) -> deque[float]:
        arrivals, window = self.arrivals[which], self.options.window
        is_sliding = self.options.window_shape == "sliding"
        since = now - window if is_sliding else now // window * window
        while arrivals and (arrivals[0] <= since if is_sliding else arrivals[0] < since):
            arrivals.popleft()
        return arrivals


class TicketGate:
    """Track writes in progress. A switch decides what happens to overlapping writes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.in_progress: Counter[int] = Counter()

    def is_busy(self, ticket: int) -> bool:
        """Return whether a write to the ticket is in progress."""
        return self.in_progress[ticket] > 0

    def enter(self, ticket: int) -> None:
        """Begin a write. Raise a 409 or 500 if it overlaps another and the switch says so."""
        if self.is_busy(ticket) and self.options.overlap in ("refuse", "fail"):
            raise ApiError(409 if self.options.overlap == "refuse" else 500, OVERLAP)
        self.in_progress[ticket] += 1

    def leave(self, ticket: int) -> None:
        """End a write."""
        self.in_progress[ticket] -= 1
        if not self.in_progress[ticket]:
            del self.in_progress[ticket]


@dataclass(frozen=True, slots=True)
class ApiFault:
    """A fault for the next API calls that match.

    - `status`: respond with `status`; `seconds` is sent as `Retry-After` and, except with 429, in the body
    - `html`: respond with `status` and an HTML page instead of JSON
    - `empty`, `broken`: send no body, or only its first half
    - `cut`: close the connection without a response
    - `hang`: respond after `seconds`; with `before`, the call is applied then, even if the client has gone
    - `trickle`: send the response at `seconds` per byte
    - `late-update`: reads see the update, or the new ticket, only after `seconds`
    """

    kind: FaultKind
    _: KW_ONLY
    method: str = "*"
    path: str = "*"
    """A shell pattern for the path below the API's base, without slashes at its ends: `ticket/*/staff_update`."""
    count: int | None = 1
    """The number of calls; None means until cleared."""
    status: int = 500
    seconds: float = 0.0
    before: bool | None = None
    """True: the call is never applied. False: it is applied, and only the response is affected.

    None: `status`, `html` and `cut` strike before the call is applied, the others after.
    """

    @property
    def strikes_before(self) -> bool:
        """Return whether the fault comes before the call is applied."""
        return self.kind in ("status", "html", "cut") if self.before is None else self.before

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault applies to this call."""
        return self.method in ("*", method) and fnmatchcase(path, self.path.strip("/"))


@dataclass(frozen=True, slots=True)
class HookFault:
    """A fault for the next webhook deliveries.

    - `drop`: never send it
    - `duplicate`: send the same bytes twice
    - `delay`: send it `seconds` late
    - `reorder`: hold it back until the next delivery has been sent
    - `truncate`: send half of the body, with the signature of the whole body
    - `wrong-key`, `unsigned`: send it with the wrong signature, or without one
    """

    kind: HookFaultKind
    _: KW_ONLY
    count: int | None = 1
    """The number of deliveries; None means until cleared."""
    seconds: float = 0.0
    event: Literal["*", "ticket-created", "ticket-updated"] = "*"

    def matches(self, event: str) -> bool:
        """Return whether the fault applies to deliveries of this event."""
        return self.event in ("*", event)


F = TypeVar("F", ApiFault, HookFault)


class FaultList(Generic[F]):
    """The active faults, oldest first."""

    def __init__(self, faults: Iterable[F] = ()) -> None:
        self.faults: list[F] = list(faults)

    def add(self, fault: F) -> None:
        """Activate a fault."""
        self.faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self.faults.clear()

    def take(self, *subject: str) -> F | None:
        """Return the first fault that matches and reduce its count by one."""
        for index, fault in enumerate(self.faults):
            if fault.matches(*subject):
                if fault.count is not None:
                    if fault.count <= 1:
                        del self.faults[index]
                    else:
                        self.faults[index] = replace(fault, count=fault.count - 1)
                return fault
        return None


def apply_fault(response: ApiResponse, fault: ApiFault) -> ApiResponse:
    """Return the response as changed by a fault."""
    kind, seconds = fault.kind, fault.seconds
    if kind == "status":
        return _status_response(fault)
    if kind == "html":
        page = f"<html><body><h1>{fault.status}</h1><p>Something went wrong.</p></body></html>"
        return ApiResponse(fault.status, page.encode(), {"Content-Type": "text/html"})
    if kind == "empty":
        return replace(response, body=b"")
    if kind == "broken":
        return replace(response, body=response.body[: len(response.body) // 2] or b"{")
    if kind == "cut":
        return replace(response, cut=True)
    if kind == "hang" and not fault.strikes_before:
        return replace(response, wait=seconds)
    if kind == "trickle":
        return replace(response, pace=seconds)
    return response


def _status_response(fault: ApiFault) -> ApiResponse:
    headers = {"Content-Type": "application/json"}
    payload: Any = {"error": "Internal error"}
    if fault.status == 429:
        payload = RATE_LIMITED
    elif fault.seconds:
        payload = overload_message(fault.seconds)
    if fault.seconds:
        headers["Retry-After"] = f"{fault.seconds:g}"
    return ApiResponse(fault.status, msgspec.json.encode(payload), headers)
