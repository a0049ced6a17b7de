"""The simulated HappyFox: requests in, responses and webhook deliveries out.

It has no sockets, threads or clock of its own, and it uses no random numbers.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import msgspec

from workers.simulator import people
from workers.simulator.account import SimulatedAccount, StoredTicket
from workers.simulator.faults import ApiFault, FaultList, HookFault, RateGate, TicketGate, apply_fault
from workers.simulator.forms import (
    NOT_A_CHOICE,
    NOT_A_FLAG,
    NOT_FOUND,
    ApiError,
    Arguments,
    Label,
    Outcome,
    ValidationError,
    WebhookEvent,
    as_flag,
    as_integer,
    unknown_member,
)
from workers.simulator.http import (
    RATE_LIMITED,
    ApiRequest,
    ApiResponse,
    CallLog,
    LoggedCall,
    is_form,
    overload_message,
    parse_body,
)
from workers.simulator.options import Options
from workers.simulator.routes import CHOICES, FLAGS, NUMBERS, Route, find_route
from workers.simulator.seed import new_account
from workers.simulator.webhooks import Hook, WebhookDelivery, WebhookQueue


@dataclass(slots=True, kw_only=True)
class PendingCall:
    """A call that has arrived and has no response yet."""

    api: "SimulatedApi"
    call: LoggedCall
    route: Route | None
    args: Arguments
    delay: float = 0.0
    """Seconds until `Simulator.end` should be called."""
    fault: ApiFault | None = None
    writes_to: int | None = None
    is_lost: bool = False
    """The call is answered but has no effect."""
    error: ApiError | None = None


class SimulatedApi:
    """The API of one account, with its rate limit, faults and call log.

    A call is checked for credentials, rate limit, faults, route and overlapping writes, in this order (assumed). Then
    its endpoint handles it. Beginning and end are separate, so that calls can overlap.
    """

    def __init__(self, account: SimulatedAccount) -> None:
        self.account = account
        self.options = account.options
        self.gate = RateGate(account.options)
        self.faults: FaultList[ApiFault] = FaultList()
        self.log = CallLog(account.options.keep)
        self.tickets = TicketGate(account.options)

    def fork(self, account: SimulatedAccount) -> "SimulatedApi":
        """Return an independent copy for another account, with no call in progress."""
        other = SimulatedApi(account)
        other.gate = self.gate.fork()
        other.faults = FaultList(self.faults.faults)
        other.log = self.log.fork()
        return other

    def begin(self, request: ApiRequest) -> PendingCall:
        """Check a call without applying it. Each call must be ended once."""
        pending = self._accept(request)
        self.log.open(pending.call)
        try:
            self._check_access(pending, request)
            self._take_fault(pending)
            self._check_route(pending)
        except ApiError as error:
            pending.error = error
        self.log.close(pending.call)
        return pending

    def end(self, pending: PendingCall) -> tuple[ApiResponse, tuple[WebhookEvent, ...]]:
        """Apply a call; return its response and its webhook events."""
        response, outcome = self._apply(pending)
        call = pending.call
        applied = outcome is not None and call.method != "GET" and not pending.is_lost
        if response.status >= 400 and call.counted and not self.options.failed_calls_count:
            self.gate.forget(call.method, call.arrived)
        if pending.fault is not None:
            response = apply_fault(response, pending.fault)
        headers = {**response.headers, "Date": formatdate(self.account.now(), usegmt=True)}
        if call.counted and self.options.remaining_header:
            headers["X-RateLimit-Remaining"] = str(self.gate.left(call.method, self.account.now()))
        self.log.close(replace(call, applied=applied, status=response.status, answered=self.account.now()))
        return replace(response, headers=headers), outcome.events if outcome is not None and applied else ()

    def perform(self, request: ApiRequest) -> tuple[ApiResponse, tuple[WebhookEvent, ...]]:
        """Apply a call without credentials, rate limit, log or faults."""
        pending = self._accept(request)
        try:
            self._check_route(pending)
        except ApiError as error:
            pending.error = error
        response, outcome = self._apply(pending)
        return response, () if outcome is None else outcome.events

    def _accept(self, request: ApiRequest) -> PendingCall:
        route = find_route(request.path)
        media = request.headers.get("content-type", "")
        try:
            body, files = parse_body(media, request.body)
        except ValueError:
            body, files = None, ()
        query = parse_qs(request.query)
        call = LoggedCall(
            number=self.log.next_number,
            method=request.method,
            path=request.path,
            query=request.query,
            arrived=self.account.now(),
            ticket=route.ticket if route else None,
            body=body,
            files=tuple(file.filename for file in files),
        )
        args = Arguments(
            number=route.number if route else 0,
            word=route.word if route else "",
            query={name: values[-1] for name, values in query.items()},
            all_values=query,
            body=body,
            is_form=is_form(media),
            files=files,
        )
        return PendingCall(api=self, call=call, route=route, args=args)

    def _check_access(self, pending: PendingCall, request: ApiRequest) -> None:
        """Check credentials and rate limit; links to files need neither."""
        if pending.route is None:
            raise ApiError(404, NOT_FOUND)
        authorization = request.headers.get("authorization", "")
        if pending.route.is_open:
            if authorization and pending.route.is_signed and self.options.links_refuse_credentials:
                raise ApiError(400, b"<Error><Code>InvalidArgument</Code></Error>")
            return
        if not self._is_known(authorization):
            raise ApiError(401, {"error": "Invalid credentials"})
        if not self.options.enabled:
            raise ApiError(self.options.disabled_status, {"error": "This API key is disabled."})
        if not self.gate.admit(request.method, pending.call.arrived):
            status = self.options.lockout_status
            raise ApiError(status, RATE_LIMITED if status == 429 else overload_message(self._locked_for()))
        pending.call = replace(pending.call, counted=True)

    def _take_fault(self, pending: PendingCall) -> None:
        """Find the fault for this call, and apply it if it strikes before the call."""
        pending.fault = fault = self.faults.take(pending.call.method, pending.route.path if pending.route else "")
        if fault is None:
            return
        pending.call = replace(pending.call, fault=fault.kind)
        if fault.kind == "late-update":
            pending.args = replace(pending.args, late=fault.seconds)
        elif fault.strikes_before:
            if fault.kind != "hang":
                raise ApiError(200, None)  # the fault decides what the client sees instead
            pending.delay += fault.seconds

    def _check_route(self, pending: PendingCall) -> None:
        """Check path, method, body and overlapping writes."""
        method, methods = pending.call.method, pending.route.methods if pending.route else {}
        if not methods:
            raise ApiError(404, NOT_FOUND)
        if method not in methods:
            raise ApiError(405, {"error": f"Method {method} is not allowed."})
        if pending.call.body is None:
            raise ApiError(400, {"error": "The body could not be read."})
        if self.options.strict and pending.route is not None and not pending.route.is_open:
            _check_parameters(pending.route, pending.args.query)
        if method != "GET":
            if pending.call.ticket is not None:
                self._enter(pending, pending.call.ticket)
            pending.delay += self.options.latency

    def _enter(self, pending: PendingCall, ticket: int) -> None:
        covered = self.options.overlap_covers
        if covered == "staff_update" and not pending.call.path.rstrip("/").endswith(covered):
            return
        if self.tickets.is_busy(ticket):
            pending.call = replace(pending.call, overlapped=True)
            pending.is_lost = self.options.overlap == "lose"
        self.tickets.enter(ticket)
        pending.writes_to = ticket

    def _apply(self, pending: PendingCall) -> tuple[ApiResponse, Outcome | None]:
        """Return the response, and the outcome unless the call was refused."""
        if pending.writes_to is not None:
            self.tickets.leave(pending.writes_to)
        try:
            if pending.error is not None or pending.route is None:
                raise pending.error or ApiError(404, NOT_FOUND)
            account = self.account.copy(self.account.clock) if pending.is_lost else self.account
            outcome = pending.route.methods[pending.call.method](account, pending.args)
        except ApiError as error:
            return self._refusal(error), None
        return ApiResponse(outcome.status, _encoded(outcome.payload), {"Content-Type": outcome.media}), outcome

    def _refusal(self, error: ApiError) -> ApiResponse:
        status = self.options.validation_status if isinstance(error, ValidationError) else error.status
        headers = {"Content-Type": "application/xml" if isinstance(error.payload, bytes) else "application/json"}
        if error.status == 401:
            headers["WWW-Authenticate"] = f'Basic realm="{self.options.realm}"'
        elif error.status == self.options.lockout_status and self.options.retry_after:
            headers["Retry-After"] = str(self._locked_for())
        return ApiResponse(status, _encoded(error.payload), headers)

    def _is_known(self, authorization: str) -> bool:
        scheme, _, secret = authorization.partition(" ")
        try:
            pair = base64.b64decode(secret.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and pair == f"{self.options.key}:{self.options.code}"

    def _locked_for(self) -> int:
        return max(1, round(max(self.gate.locked_until.values()) - self.account.now()))


def _check_parameters(route: Route, query: Mapping[str, str]) -> None:
    """Raise a 400 for a parameter that the path does not have, or a value of the wrong type."""
    errors = {name: [unknown_member(name, route.parameters)] for name in query if name not in route.parameters}
    errors |= {name: ["Enter a whole number."] for name in NUMBERS if as_integer(query.get(name) or 0) is None}
    errors |= {name: [NOT_A_FLAG] for name in FLAGS if as_flag(query.get(name) or False) is None}
    errors |= {name: [NOT_A_CHOICE] for name, allowed in CHOICES.items() if query.get(name, "") not in ("", *allowed)}
    if errors:
        raise ValidationError(400, {"error": [{"field": name, "errors": texts} for name, texts in errors.items()]})


def _encoded(payload: Any) -> bytes:
    if payload is None or isinstance(payload, bytes):
        return payload or b""
    return msgspec.json.encode(payload)


class Simulator:
    """One simulated account.

    `clock` returns epoch seconds; `options` are the members of `Options`, and an unknown one is a TypeError. The
    simulator is not thread-safe.
    """

    def __init__(self, clock: Callable[[], float], hooks: Iterable[Hook] = (), **options: Any) -> None:
        self.clock = clock
        self.options = Options(**options)
        self.address = ""
        self.api = SimulatedApi(new_account(self.options, clock))
        self.webhooks = WebhookQueue(self.options.keep, hooks)

    def reset(self) -> None:
        """Restore the seeded account. Hooks and options stay."""
        self.api = SimulatedApi(new_account(self.options, self.clock))
        self.account.files_at = self.address
        self.webhooks = WebhookQueue(self.options.keep, self.hooks)

    def listens_at(self, address: str) -> None:
        """Use this address, such as `http://127.0.0.1:4711`, in links to files."""
        self.address = self.account.files_at = address

    def fork(self, clock: Callable[[], float] | None = None) -> "Simulator":
        """Return an independent simulator in the same state, with no call in progress."""
        other = Simulator.__new__(Simulator)
        other.clock = clock or self.clock
        other.options, other.address = self.options, self.address
        other.api = self.api.fork(self.account.copy(other.clock))
        other.webhooks = self.webhooks.fork()
        return other

    @property
    def account(self) -> SimulatedAccount:
        """Return the state of the account: its tickets, contacts and tables."""
        return self.api.account

    @property
    def log(self) -> CallLog:
        """Return all API calls in order of arrival."""
        return self.api.log

    @property
    def gate(self) -> RateGate:
        """Return the rate limit."""
        return self.api.gate

    @property
    def faults(self) -> FaultList[ApiFault]:
        """Return the faults for API calls."""
        return self.api.faults

    def handle(self, request: ApiRequest) -> ApiResponse:
        """Answer an API call. The response comes at once; `ApiResponse.wait` has its delay."""
        pending = self.begin(request)
        response = self.end(pending)
        return replace(response, wait=pending.delay + response.wait) if pending.delay else response

    def begin(self, request: ApiRequest) -> PendingCall:
        """Check a call without applying it. Each pending call must be ended once.

        A write overlaps if it begins before another write to the same ticket has ended.
        """
        return self.api.begin(request)

    def end(self, pending: PendingCall) -> ApiResponse:
        """Apply a call, queue its webhooks and return the response."""
        response, events = pending.api.end(pending)
        if pending.api is self.api:  # a call from before a reset sends no webhooks
            self._post(*events)
        return response

    def perform(self, request: ApiRequest) -> ApiResponse:
        """Apply a call without credentials, rate limit, log or faults."""
        response, events = self.api.perform(request)
        self._post(*events)
        return response

    @property
    def hooks(self) -> list[Hook]:
        """Return the configured webhooks."""
        return self.webhooks.hooks

    def set_hooks(self, hooks: Iterable[Hook]) -> None:
        """Replace the configured webhooks."""
        self.webhooks.hooks = list(hooks)

    @property
    def hook_faults(self) -> FaultList[HookFault]:
        """Return the faults for webhook deliveries."""
        return self.webhooks.faults

    @property
    def deliveries(self) -> list[WebhookDelivery]:
        """Return the delivery log, in order of number."""
        return list(self.webhooks.log.values())

    def take_deliveries(self) -> list[WebhookDelivery]:
        """Remove and return the queued deliveries by `due`; some are due later."""
        return self.webhooks.take()

    def delivered(self, delivery: WebhookDelivery, status: int | None, error: str | None = None) -> None:
        """Record the result of a delivery: a status, or an error if there was none."""
        self.webhooks.finished(delivery, self.clock(), status, error)

    def create_ticket(self, email: str = "sam@bigcorp.example", **draft: Any) -> StoredTicket:
        """Open a ticket as a contact by mail; see `people.create_ticket`."""
        return self._report(people.create_ticket(self.account, email, **draft), "ticket-created")

    def contact_replies(self, ticket: int, text: str = "", html: str | None = None, **more: Any) -> StoredTicket:
        """Reply as the ticket's contact; see `people.contact_replies`."""
        return self._report(people.contact_replies(self.account, ticket, text, html, **more))

    def staff_updates(self, ticket: int, staff: int | str = 1, **edit: Any) -> StoredTicket:
        """Reply, add a note or change properties as staff; see `people.staff_updates`."""
        return self._report(people.staff_updates(self.account, ticket, staff, **edit))

    def fire_rule(self, ticket: int, name: str, **edit: Any) -> StoredTicket:
        """Fire a smart rule; see `people.fire_rule`."""
        return self._report(people.fire_rule(self.account, ticket, name, **edit))

    def answer_survey(self, ticket: int, rating: str, comment: str = "") -> StoredTicket:
        """Answer a satisfaction survey as the ticket's contact; see `people.answer_survey`."""
        return self._report(people.answer_survey(self.account, ticket, rating, comment))

    def breach(self, ticket: int, count: int = 1) -> StoredTicket:
        """Add breaches of service-level agreements; no update, no webhook (assumed)."""
        return people.breach(self.account, ticket, count)

    def merge(self, ticket: int, into: int) -> StoredTicket:
        """Merge a ticket into another; webhooks report both as updated (assumed)."""
        survivor = people.merge(self.account, ticket, into)
        for one in (self.account.tickets[ticket], survivor):
            self._post(WebhookEvent("ticket-updated", one, has_update=False))
        return survivor

    def _report(self, ticket: StoredTicket, label: Label = "ticket-updated") -> StoredTicket:
        self._post(WebhookEvent(label, ticket))
        return ticket

    def _post(self, *events: WebhookEvent) -> None:
        for event in events:
            self.webhooks.post(self.account, event)
