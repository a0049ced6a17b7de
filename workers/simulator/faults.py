"""Faults a test or a person switches on: for the next calls that match, or the next webhook deliveries."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Generic, Literal, TypeVar

import msgspec

from workers.simulator.exchange import RATE_LIMITED, Response, overloaded

FaultKind = Literal["status", "html", "empty", "broken", "cut", "hang", "trickle", "late-row"]
HookFaultKind = Literal["drop", "duplicate", "delay", "reorder", "truncate", "wrong-key", "unsigned"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next `count` calls (None: until cleared) whose method and path match.

    `path` is a shell pattern over the path below the API's base without outer slashes, as in
    `ticket/*/staff_update`. `before`: strikes before the call is applied, so that it never is; False: it is
    applied and only the answer suffers. None: `status`, `html` and `cut` strike before, the others after.

    - `status`: answer `status`; with 429 and 503, `seconds` becomes `Retry-After` and stands in the body
    - `html`: status and a page of html instead of JSON
    - `empty`, `broken`: 200 with no body, or with JSON that ends half way
    - `cut`: the connection is closed without an answer
    - `hang`: nothing for `seconds`; `before` means the call lands after that time, client gone or not
    - `trickle`: the answer comes at `seconds` a byte
    - `late-row`: the update row, or the new ticket, becomes visible to reads only after `seconds`
    """

    kind: FaultKind
    method: str = "*"
    path: str = "*"
    count: int | None = 1
    status: int = 500
    seconds: float = 0.0
    before: bool | None = None

    @property
    def strikes_before(self) -> bool:
        """Whether the fault comes before the call is applied."""
        return self.kind in ("status", "html", "cut") if self.before is None else self.before

    def matches(self, method: str, path: str) -> bool:
        """Whether this call is meant."""
        return self.method in ("*", method) and fnmatchcase(path, self.path.strip("/"))


@dataclass(frozen=True, slots=True)
class HookFault:
    """What happens to the next `count` webhook deliveries (None: until cleared).

    - `drop`: never sent. `duplicate`: sent twice, same bytes. `delay`: sent `seconds` late
    - `reorder`: held until one later delivery has gone out
    - `truncate`: half the bytes under the signature of all. `wrong-key`, `unsigned`: as named
    """

    kind: HookFaultKind
    count: int | None = 1
    seconds: float = 0.0
    event: Literal["*", "ticket-created", "ticket-updated"] = "*"

    def matches(self, event: str) -> bool:
        """Whether deliveries of this event are meant."""
        return self.event in ("*", event)


F = TypeVar("F", Fault, HookFault)


class Switchboard(Generic[F]):
    """The faults in force, oldest first."""

    def __init__(self, faults: Iterable[F] = ()) -> None:
        self.faults: list[F] = list(faults)

    def add(self, fault: F) -> None:
        """Switch a fault on."""
        self.faults.append(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        self.faults.clear()

    def take(self, *subject: str) -> F | None:
        """The first fault that matches, used up by one."""
        for index, fault in enumerate(self.faults):
            if fault.matches(*subject):
                if fault.count is not None:
                    if fault.count <= 1:
                        del self.faults[index]
                    else:
                        self.faults[index] = replace(fault, count=fault.count - 1)
                return fault
        return None


def strike(response: Response, fault: Fault) -> Response:
    """What a fault leaves of an answer."""
    kind, seconds = fault.kind, fault.seconds
    if kind == "status":
        return _status(fault)
    if kind == "html":
        page = f"<html><body><h1>{fault.status}</h1><p>Something went wrong.</p></body></html>"
        return Response(fault.status, page.encode(), {"Content-Type": "text/html"})
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


def _status(fault: Fault) -> Response:
    headers = {"Content-Type": "application/json"}
    if fault.status == 429:
        payload: Any = RATE_LIMITED
    elif fault.seconds:
        payload = overloaded(fault.seconds)
    else:
        payload = {"error": "Internal error"}
    if fault.seconds:
        headers["Retry-After"] = f"{fault.seconds:g}"
    return Response(fault.status, msgspec.json.encode(payload), headers)
