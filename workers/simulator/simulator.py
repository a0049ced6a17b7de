"""The simulated HappyFox: a request goes in, a response comes out, and deliveries wait to be taken.

Order of a call (assumed; HappyFox does not say): credentials, rate gate, faults, route, same-ticket gate;
then, after the latency of a write, validate and apply; then the webhooks. No sockets, threads or clock of its
own.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from workers.events.signature import SPELLINGS
from workers.simulator import api, bodies, people
from workers.simulator.exchange import Call, CallLog, Request, Response
from workers.simulator.faults import Fault, HookFault, Switchboard
from workers.simulator.forms import RefusedError
from workers.simulator.hooks import Delivery, Hook, Postbox
from workers.simulator.limits import RateGate
from workers.simulator.options import Options
from workers.simulator.reads import NOT_FOUND
from workers.simulator.route import Arguments, News
from workers.simulator.seed import new_world
from workers.simulator.world import Ticket

RATE_LIMITED = {"error": "Rate limit exceeded"}
OVERLAP = {
    "error": "Another call to this ticket is in progress; parallel calls to one ticket are not supported."
}


@dataclass(slots=True)
class Pending:
    """A call between its arrival and its answer. `delay`: seconds until `Simulator.end` should be called."""

    call: Call
    delay: float = 0.0
    fault: Fault | None = None
    endpoint: api.Endpoint | None = None
    arguments: Arguments | None = None
    writes_to: int | None = None
    refused: RefusedError | None = None


class Simulator:
    """One simulated account.

    `clock` gives epoch seconds; `options` are the members of `Options`. `log` lists the API calls,
    `deliveries` the webhooks by number, `world` is the state. Not safe for threads: one caller at a time.
    """

    def __init__(self, clock: Callable[[], float], hooks: Iterable[Hook] = (), **options: Any) -> None:
        self.clock = clock
        self.options = Options(**options)
        self.postbox = Postbox(self.options.keep, hooks)
        self._start_afresh()

    def reset(self) -> None:
        """Back to the seeded account; hooks and options stay, faults, logs and counts go."""
        self.postbox = Postbox(self.options.keep, self.postbox.hooks)
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.world = new_world(self.options, self.clock)
        self.gate = RateGate(self.options)
        self.faults: Switchboard[Fault] = Switchboard()
        self.log = CallLog(self.options.keep)
        self.in_progress: Counter[int] = Counter()

    def fork(self, clock: Callable[[], float] | None = None) -> "Simulator":
        """An independent simulator in the same state, with no call in progress. Costs no deep copy."""
        other = Simulator.__new__(Simulator)
        other.clock = clock or self.clock
        other.options = self.options
        other.world = self.world.copy()
        other.world.clock = other.clock
        other.gate = self.gate.fork()
        other.faults = Switchboard(self.faults.faults)
        other.postbox = self.postbox.fork()
        other.log = self.log.fork()
        other.in_progress = Counter()
        return other

    # The API

    def handle(self, request: Request) -> Response:
        """Answer an API call at once; delays are only told, in `Response.wait`."""
        pending = self.begin(request)
        response = self.end(pending)
        return replace(response, wait=pending.delay + response.wait) if pending.delay else response

    def begin(self, request: Request) -> Pending:
        """Let a call arrive: everything up to the point where it would be applied.

        Calls that begin before another ends overlap. Each pending call must be ended once.
        """
        path = api.below_base(request.path)
        call = Call(
            number=self.log.next_number,
            method=request.method,
            path=request.path,
            query=request.query,
            arrived=self.clock(),
        )
        self.log.open(call)
        pending = Pending(call)
        try:
            self._admit(pending, request, path)
            self._prepare(pending, request, path or "")
        except RefusedError as refused:
            pending.refused = refused
        self.log.close(pending.call)
        return pending

    def end(self, pending: Pending) -> Response:
        """Apply the call, answer it, and queue its webhooks."""
        if pending.writes_to is not None:
            self._release(pending.writes_to)
        payload: Any
        applied, status = False, 200
        news: tuple[News, ...] = ()
        headers = {"Content-Type": "application/json"}
        try:
            if pending.refused is not None:
                raise pending.refused
            if pending.endpoint is None or pending.arguments is None:
                raise AssertionError("a call that was not refused has an endpoint")
            outcome = pending.endpoint(self.world, pending.arguments)
            payload, news = outcome.payload, outcome.news
            applied = pending.call.method != "GET"
        except RefusedError as refused:
            status, payload = refused.status, refused.payload
            headers |= self._headers_of(refused)
        body = b"" if payload is None else msgspec.json.encode(payload)
        response = Response(status, body, headers)
        if pending.fault is not None:
            response = _struck(response, pending.fault)
        response = replace(
            response, headers={**response.headers, "Date": formatdate(self.clock(), usegmt=True)}
        )
        self.log.close(replace(pending.call, applied=applied, status=response.status, answered=self.clock()))
        self._spread(news)
        return response

    # Webhooks

    @property
    def hooks(self) -> list[Hook]:
        """The configured webhooks."""
        return self.postbox.hooks

    def set_hooks(self, hooks: Iterable[Hook]) -> None:
        """Configure these webhooks and no others. Raises ValueError for an unknown spelling of the digest."""
        hooks = list(hooks)
        for hook in hooks:
            if hook.spelling not in SPELLINGS:
                raise ValueError(f"No spelling {hook.spelling!r}; there are {', '.join(SPELLINGS)}.")
        self.postbox.hooks = hooks

    @property
    def hook_faults(self) -> Switchboard[HookFault]:
        """The faults that strike webhook deliveries."""
        return self.postbox.faults

    @property
    def deliveries(self) -> list[Delivery]:
        """The delivery log, by number."""
        return list(self.postbox.log.values())

    def take_deliveries(self) -> list[Delivery]:
        """Deliveries to send, each once, in order of `due`; some are due later."""
        return self.postbox.take()

    def delivered(self, delivery: Delivery, status: int | None, error: str | None = None) -> None:
        """Tell how a delivery went: the status of the answer, or the error without one."""
        self.postbox.finished(delivery, self.clock(), status, error)

    # People at work

    def create_ticket(self, email: str = "sam@bigcorp.example", **draft: Any) -> Ticket:
        """Open a ticket as a contact by mail; members as in `people.create_ticket`."""
        return self._worked(people.create_ticket(self.world, email, **draft), "ticket-created")

    def contact_replies(
        self, ticket: int, text: str = "", html: str | None = None, email: str | None = None
    ) -> Ticket:
        """Answer as the ticket's contact, or as the contact with this address."""
        return self._worked(people.contact_replies(self.world, ticket, text, html, email))

    def staff_updates(self, ticket: int, staff: int | str = 1, **edit: Any) -> Ticket:
        """Reply, note or change properties in the panel; members as in `people.staff_updates`."""
        return self._worked(people.staff_updates(self.world, ticket, staff, **edit))

    def fire_rule(self, ticket: int, name: str, **edit: Any) -> Ticket:
        """Let a smart rule fire; members as in `people.fire_rule`."""
        return self._worked(people.fire_rule(self.world, ticket, name, **edit))

    def _worked(self, ticket: Ticket, label: Any = "ticket-updated") -> Ticket:
        self._spread((News(label, ticket),))
        return ticket

    def _spread(self, news: Iterable[News]) -> None:
        for one in news:
            self.postbox.post(self.world, one)

    # The steps of a call

    def _admit(self, pending: Pending, request: Request, path: str | None) -> None:
        """Credentials, rate gate, and faults that come before everything else."""
        if path is None:
            raise RefusedError(404, NOT_FOUND)
        if not self.options.enabled or not self._knows(request.headers.get("authorization", "")):
            raise RefusedError(401, {"error": "Invalid credentials"})
        if not self.gate.admit(request.method, pending.call.arrived):
            raise RefusedError(self.options.lockout_status, RATE_LIMITED)
        pending.fault = fault = self.faults.take(request.method, path)
        pending.call = replace(pending.call, counted=True, fault=None if fault is None else fault.kind)
        if fault is None or not fault.strikes_before:
            return
        if fault.kind == "hang":
            pending.delay += fault.seconds
        elif fault.kind != "late-row":
            raise RefusedError(200, None)  # what the client sees instead is the fault's affair

    def _prepare(self, pending: Pending, request: Request, path: str) -> None:
        """Route, body, same-ticket gate."""
        methods, number = api.find(path)
        if not methods:
            raise RefusedError(404, NOT_FOUND)
        pending.endpoint = methods.get(request.method)
        if pending.endpoint is None:
            raise RefusedError(405, {"error": f"Method {request.method} is not allowed."})
        try:
            body, files = bodies.parse(request.headers.get("content-type", ""), request.body)
        except ValueError:
            raise RefusedError(400, {"error": "The body could not be read."}) from None
        fault = pending.fault
        pending.arguments = Arguments(
            number=number,
            query=dict(parse_qsl(request.query)),
            body=body,
            files=files,
            late=fault.seconds if fault is not None and fault.kind == "late-row" else 0.0,
        )
        pending.call = replace(
            pending.call, ticket=number or None, body=body, files=tuple(file.filename for file in files)
        )
        if request.method != "GET":
            pending.delay += self.options.latency
            if number:
                self._enter(pending, number)

    def _enter(self, pending: Pending, ticket: int) -> None:
        overlaps = self.in_progress[ticket] > 0
        if overlaps:
            pending.call = replace(pending.call, overlapped=True)
            if self.options.overlap != "serialise":
                raise RefusedError(409 if self.options.overlap == "refuse" else 500, OVERLAP)
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
            left = max(self.gate.locked_until.values()) - self.clock()
            return {"Retry-After": str(max(1, round(left)))}
        return {}


def _struck(response: Response, fault: Fault) -> Response:
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
        payload = f"You have exceeded the limit. Wait for {fault.seconds:g} seconds."
    else:
        payload = {"error": "Internal error"}
    if fault.seconds:
        headers["Retry-After"] = f"{fault.seconds:g}"
    return Response(fault.status, msgspec.json.encode(payload), headers)
