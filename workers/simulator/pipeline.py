"""The way of an API call: credentials, rate gate, faults, route, same-ticket gate, and then its endpoint.

The order is assumed; HappyFox does not say. A call has a beginning and an end, so that calls can overlap.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from workers.simulator import api, bodies
from workers.simulator.exchange import RATE_LIMITED, Call, CallLog, Request, Response
from workers.simulator.faults import Fault, Switchboard, strike
from workers.simulator.forms import RefusedError
from workers.simulator.limits import RateGate
from workers.simulator.reads import NOT_FOUND
from workers.simulator.route import Arguments, News
from workers.simulator.world import World

OVERLAP: Final = {
    "error": "Another call to this ticket is in progress; parallel calls to one ticket are not supported."
}


@dataclass(slots=True)
class Pending:
    """A call between its arrival and its answer. `delay`: seconds until `Simulator.end` should be called."""

    pipeline: "Pipeline"
    call: Call
    path: str | None
    endpoints: Mapping[str, api.Endpoint]
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
        self.in_progress: Counter[int] = Counter()

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
        pending = self._read(request)
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
            self._release(pending.writes_to)
        payload: Any
        applied, status = False, 200
        news: tuple[News, ...] = ()
        headers = {"Content-Type": "application/json"}
        try:
            if pending.refused is not None:
                raise pending.refused
            world = self.world.copy(self.world.clock) if pending.lost else self.world
            outcome = pending.endpoints[pending.call.method](world, pending.arguments)
            payload = outcome.payload
            applied = pending.call.method != "GET" and not pending.lost
            news = outcome.news if applied else ()
        except RefusedError as refused:
            status, payload = refused.status, refused.payload
            headers |= self._headers_of(refused)
        body = b"" if payload is None else msgspec.json.encode(payload)
        response = Response(status, body, headers)
        if pending.fault is not None:
            response = strike(response, pending.fault)
        response = replace(response, headers={**response.headers, "Date": formatdate(self.world.now(), usegmt=True)})
        self.log.close(replace(pending.call, applied=applied, status=response.status, answered=self.world.now()))
        return response, news

    def _read(self, request: Request) -> Pending:
        """What the call says, logged whatever becomes of it."""
        path = api.below_base(request.path)
        endpoints, number = api.find(path or "")
        try:
            body, files = bodies.parse(request.headers.get("content-type", ""), request.body)
        except ValueError:
            body, files = None, ()
        call = Call(
            number=self.log.next_number,
            method=request.method,
            path=request.path,
            query=request.query,
            arrived=self.world.now(),
            ticket=number or None,
            body=body,
            files=tuple(file.filename for file in files),
        )
        arguments = Arguments(number=number, query=dict(parse_qsl(request.query)), body=body, files=files)
        return Pending(self, call, path, endpoints, arguments)

    def _admit(self, pending: Pending, request: Request) -> None:
        """Credentials and rate gate."""
        if pending.path is None:
            raise RefusedError(404, NOT_FOUND)
        if not self.options.enabled or not self._knows(request.headers.get("authorization", "")):
            raise RefusedError(401, {"error": "Invalid credentials"})
        if not self.gate.admit(request.method, pending.call.arrived):
            raise RefusedError(self.options.lockout_status, RATE_LIMITED)
        pending.call = replace(pending.call, counted=True)

    def _strike_before(self, pending: Pending) -> None:
        """Find the fault for this call, and let it strike if it comes before the call is applied."""
        pending.fault = fault = self.faults.take(pending.call.method, pending.path or "")
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
        method = pending.call.method
        if not pending.endpoints:
            raise RefusedError(404, NOT_FOUND)
        if method not in pending.endpoints:
            raise RefusedError(405, {"error": f"Method {method} is not allowed."})
        if pending.call.body is None:
            raise RefusedError(400, {"error": "The body could not be read."})
        if method != "GET":
            if pending.call.ticket is not None:
                self._enter(pending, pending.call.ticket)
            pending.delay += self.options.latency

    def _enter(self, pending: Pending, ticket: int) -> None:
        if self.in_progress[ticket]:
            pending.call = replace(pending.call, overlapped=True)
            if self.options.overlap in ("refuse", "fail"):
                raise RefusedError(409 if self.options.overlap == "refuse" else 500, OVERLAP)
            pending.lost = self.options.overlap == "lose"
        self.in_progress[ticket] += 1
        pending.writes_to = ticket

    def _release(self, ticket: int) -> None:
        self.in_progress[ticket] -= 1
        if not self.in_progress[ticket]:
            del self.in_progress[ticket]

    def _knows(self, authorization: str) -> bool:
        scheme, _, secret = authorization.partition(" ")
        try:
            pair = base64.b64decode(secret.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and pair == f"{self.options.key}:{self.options.code}"

    def _headers_of(self, refused: RefusedError) -> dict[str, str]:
        if refused.status == 401:
            return {"WWW-Authenticate": 'Basic realm="API"'}
        if refused.payload is RATE_LIMITED and self.options.retry_after:
            left = max(self.gate.locked_until.values()) - self.world.now()
            return {"Retry-After": str(max(1, round(left)))}
        return {}
