"""What goes in and out of the simulator: a request, a response, and one line of the call log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RATE_LIMITED: Final = {"error": "Rate limit exceeded"}


def overloaded(seconds: float) -> str:
    """What the older API says instead, under 503 (legacy developer page)."""
    return f"You have exceeded the limit. Wait for {seconds:g} seconds."


"""The body of a 429. HappyFox does not say."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived. Header names are lower case; `query` is raw, without question mark."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, and what the socket side does to it: `wait` seconds first, then cut the connection or
    send the body, at `pace` seconds a byte (0: at once)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: bool = False
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the call log.

    `status` is None while the call is in progress, and stays the status meant for the client when a fault
    kept the answer from it. `counted`: the call passed the rate gate. `applied`: a write took effect.
    `overlapped`: another write to the same ticket was in progress. Times are epoch seconds.
    """

    number: int
    method: str
    path: str
    query: str
    arrived: float
    ticket: int | None = None
    body: Any = None
    files: tuple[str, ...] = ()
    counted: bool = False
    overlapped: bool = False
    applied: bool = False
    fault: str | None = None
    status: int | None = None
    answered: float | None = None


class CallLog(list[Call]):
    """Every call in order of arrival. The oldest half is dropped when `keep` is exceeded twice over."""

    def __init__(self, keep: int) -> None:
        super().__init__()
        self.keep = keep
        self.dropped = 0

    def open(self, call: Call) -> None:
        """Append a call that begins."""
        if len(self) >= 2 * self.keep:
            del self[: self.keep]
            self.dropped += self.keep
        self.append(call)

    def close(self, call: Call) -> None:
        """Replace the line of a call by its final state."""
        index = call.number - self.dropped - 1
        if index >= 0:
            self[index] = call

    @property
    def next_number(self) -> int:
        """The number the next call gets; the first is 1."""
        return self.dropped + len(self) + 1

    def fork(self) -> "CallLog":
        """An independent copy."""
        other = CallLog(self.keep)
        other.extend(self)
        other.dropped = self.dropped
        return other
