"""The way of an API call: credentials, rate gate, faults, route, same-ticket gate, and then its endpoint.

The order is assumed; HappyFox does not say. A call has a beginning and an end, so that calls can overlap.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

import msgspec

from workers.simulator.api import table
from workers.simulator.api.forms import InvalidError, RefusedError
from workers.simulator.api.paging import NOT_FOUND
from workers.simulator.api.route import Arguments, News, Outcome
from workers.simulator.arrival import arrive
from workers.simulator.exchange import RATE_LIMITED, Call, CallLog, Request, Response, overloaded
from workers.simulator.faults import Fault, Switchboard, strike
from workers.simulator.limits import RateGate, TicketGate
from workers.simulator.world import World


@dataclass(slots=True)
class Pending:
    """A call between its arrival and its answer. `delay`: seconds until `Simulator.end` should be called."""

    pipeline: "Pipeline"
    call: Call
    place: table.Place | None
    arguments: Arguments
    delay: float = 0.0
    fault: Fault | None = None
    writes_to: int | None = None
    lost: bool = False
    refused: RefusedError | None = None


class Pipeline:
    """The API of one world, with its rate gate, faults and call log."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.options = world.options
        self.gate = RateGate(world.options)
        self.faults: Switchboard[Fault] = Switchboard()
        self.log = CallLog(world.options.keep)
        self.tickets = TicketGate(world.options)

    def fork(self, world: World) -> "Pipeline":
        """An independent copy over another world, with no call in progress."""
        other = Pipeline(world)
        other.gate = self.gate.fork()
        other.faults = Switchboard(self.faults.faults)
        other.log = self.log.fork()
        return other

    def begin(self, request: Request) -> Pending:
        """Let a call arrive: everything up to the point where it would be applied.

        Calls that begin before another ends overlap. Each pending call must be ended once.
        """
        pending = Pending(self, *arrive(request, self.log.next_number, self.world.now()))
        self.log.open(pending.call)
        try:
            self._admit(pending, request)
            self._strike_before(pending)
            self._route(pending)
        except RefusedError as refused:
            pending.refused = refused
        self.log.close(pending.call)
        return pending

    def end(self, pending: Pending) -> tuple[Response, tuple[News, ...]]:
        """Apply the call; its answer and the news it makes."""
        if pending.writes_to is not None:
            self.tickets.leave(pending.writes_to)
        response, outcome = self._apply(pending)
        call, applied = pending.call, outcome is not None and pending.call.method != "GET" and not pending.lost
        if response.status >= 400 and call.counted and not self.options.failed_calls_count:
            self.gate.forget(call.method, call.arrived)
        if pending.fault is not None:
            response = strike(response, pending.fault)
        response = replace(response, headers={**response.headers, **self._headers_of_all(call)})
        self.log.close(replace(call, applied=applied, status=response.status, answered=self.world.now()))
        return response, outcome.news if outcome is not None and applied else ()

    def perform(self, request: Request) -> tuple[Response, tuple[News, ...]]:
        """Apply a call without credentials, rate gate, log or faults."""
        pending = Pending(self, *arrive(request, self.log.next_number, self.world.now()))
        try:
            self._route(pending)
        except RefusedError as refused:
            pending.refused = refused
        if pending.writes_to is not None:
            self.tickets.leave(pending.writes_to)
        response, outcome = self._apply(pending)
        return response, () if outcome is None else outcome.news

    def _apply(self, pending: Pending) -> tuple[Response, Outcome | None]:
        """The answer, and what was done; None when it was refused."""
        try:
            if pending.refused is not None or pending.place is None:
                raise pending.refused or RefusedError(404, NOT_FOUND)
            world = self.world.copy(self.world.clock) if pending.lost else self.world
            outcome = pending.place.methods[pending.call.method](world, pending.arguments)
        except RefusedError as refused:
            status = self.options.validation_status if isinstance(refused, InvalidError) else refused.status
            media = "application/xml" if isinstance(refused.payload, bytes) else "application/json"
            headers = {"Content-Type": media, **self._headers_of(refused)}
            return Response(status, _encoded(refused.payload), headers), None
        return Response(outcome.status, _encoded(outcome.payload), {"Content-Type": outcome.media}), outcome

    def _admit(self, pending: Pending, request: Request) -> None:
        """Credentials and rate gate; links to files need no credentials and cost no budget."""
        if pending.place is None:
            raise RefusedError(404, NOT_FOUND)
        authorization = request.headers.get("authorization", "")
        if pending.place.open:
            if authorization and pending.place.signed and self.options.links_refuse_credentials:
                raise RefusedError(400, b"<Error><Code>InvalidArgument</Code></Error>")
            return
        if not self._knows(authorization):
            raise RefusedError(401, {"error": "Invalid credentials"})
        if not self.options.enabled:
            raise RefusedError(self.options.disabled_status, {"error": "This API key is disabled."})
        if not self.gate.admit(request.method, pending.call.arrived):
            status = self.options.lockout_status
            raise RefusedError(status, RATE_LIMITED if status == 429 else overloaded(self._locked_for()))
        pending.call = replace(pending.call, counted=True)

    def _strike_before(self, pending: Pending) -> None:
        """Find the fault for this call, and let it strike if it comes before the call is applied."""
        pending.fault = fault = self.faults.take(pending.call.method, pending.place.path if pending.place else "")
        if fault is None:
            return
        pending.call = replace(pending.call, fault=fault.kind)
        if fault.kind == "late-row":
            pending.arguments = replace(pending.arguments, late=fault.seconds)
        elif fault.strikes_before:
            if fault.kind != "hang":
                raise RefusedError(200, None)  # what the client sees instead is the fault's affair
            pending.delay += fault.seconds

    def _route(self, pending: Pending) -> None:
        """Known path and method, readable body, same-ticket gate."""
        method, methods = pending.call.method, pending.place.methods if pending.place else {}
        if not methods:
            raise RefusedError(404, NOT_FOUND)
        if method not in methods:
            raise RefusedError(405, {"error": f"Method {method} is not allowed."})
        if pending.call.body is None:
            raise RefusedError(400, {"error": "The body could not be read."})
        if method != "GET":
            if pending.call.ticket is not None:
                self._enter(pending, pending.call.ticket)
            pending.delay += self.options.latency

    def _enter(self, pending: Pending, ticket: int) -> None:
        covered = self.options.overlap_covers
        if covered == "staff_update" and not pending.call.path.rstrip("/").endswith(covered):
            return
        overlaps = self.tickets.is_busy(ticket)
        if overlaps:
            pending.call = replace(pending.call, overlapped=True)
            pending.lost = self.options.overlap == "lose"
        self.tickets.enter(ticket)
        pending.writes_to = ticket

    def _knows(self, authorization: str) -> bool:
        scheme, _, secret = authorization.partition(" ")
        try:
            pair = base64.b64decode(secret.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and pair == f"{self.options.key}:{self.options.code}"

    def _headers_of(self, refused: RefusedError) -> dict[str, str]:
        if refused.status == 401:
            return {"WWW-Authenticate": f'Basic realm="{self.options.realm}"'}
        if refused.status == self.options.lockout_status and self.options.retry_after:
            return {"Retry-After": str(self._locked_for())}
        return {}

    def _locked_for(self) -> int:
        return max(1, round(max(self.gate.locked_until.values()) - self.world.now()))

    def _headers_of_all(self, call: Call) -> dict[str, str]:
        headers = {"Date": formatdate(self.world.now(), usegmt=True)}
        if call.counted and self.options.remaining_header:
            headers["X-RateLimit-Remaining"] = str(self.gate.left(call.method, self.world.now()))
        return headers


def _encoded(payload: Any) -> bytes:
    if payload is None or isinstance(payload, bytes):
        return payload or b""
    return msgspec.json.encode(payload)
