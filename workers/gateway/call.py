"""Perform one call of a client, as a generator of steps without I/O: the gateway and MCP drive it.

    check       what the call does, whether the client may do it (access)
    read        permit, call, categories
    write       reserve the Idempotency-Key, lease the ticket's lane, brakes on email, begin, call, finish

The lane's lease keeps other clients and the engine away from the ticket until the call is over, or until it can no
longer take effect. What begins is noted before the call, so that the engine knows whose update it is even if this
process dies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

import msgspec

from workers.engine.context import SEND_BY, AccountConfig, history_line
from workers.engine.effect import Effect
from workers.engine.guards import has_pause_tag
from workers.engine.steps import Call, CallOutcome
from workers.errors import HappyFoxError, InDoubt, Unsent
from workers.gateway import brakes
from workers.gateway.access import Denied, Operation, check, find_operation
from workers.gateway.answers import ENDS, ClientAnswer, created_tickets, end_of, known_write, pack, reply_of, unpack
from workers.gateway.categories import Categories, categories_of
from workers.gateway.doubt import BegunWrite, created_answer, decode_begun, find_created, has_happened, may_repeat
from workers.gateway.effects import effects_of, fingerprint_of
from workers.gateway.steps import CallRefused, ClientSteps, Wait, held
from workers.happyfox.http import WITH_FILES
from workers.happyfox.messages import Answer, Request, permit_outcome, read
from workers.happyfox.tickets import ticket as ticket_request
from workers.settings import GatewayClient, Priority
from workers.store.client_calls import (
    FORGET,
    KEEP,
    NONCE,
    CallEnd,
    ClientLease,
    Reservation,
    begin_call,
    finish_call,
    forget_key,
    lease_for_client,
    release_lease,
    reserve_key,
)
from workers.store.client_figures import CallResult
from workers.store.figures import count_call
from workers.store.lanes import Emails, Refusal
from workers.store.permits import Grant, PermitClass
from workers.tickets.clients import ClientWrite, mark_clients
from workers.tickets.model import TicketRead, mapping, read_ticket

#: How long (ms) the answer to a call may take to be stored after its deadline.
MARGIN = 2_000

#: How long (ms) to wait before asking again for a key that another call has, and for anything else at most: it may come
#: earlier than announced.
BUSY, LONGEST_STEP = 250, 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCall:
    """One call of a client."""

    client: GatewayClient
    request: Request
    nonce: str
    """Chosen by the caller, different for each call: letters and digits."""
    key: str = ""
    """The digest of its Idempotency-Key."""
    digest: str = ""
    """The digest of the request, if there is a key."""


def perform(call: ClientCall, config: AccountConfig) -> ClientSteps[ClientAnswer]:
    """Perform a client's call and return what the client gets."""
    operation: Operation | None = None
    try:
        operation = find_operation(call.request)
        check(call.client, operation)
        reply = yield from _Performer(call, operation, config).perform()
    except Denied as denied:
        body = _json({"error": str(denied), "missing": list(denied.missing)})
        reply = ClientAnswer(status=403, body=body, result="denied", why=_reason(denied))
    except CallRefused as refused:
        retry = ceil(refused.retry / 1000)
        why, body = str(refused), _json({"error": str(refused)})
        reply = ClientAnswer(status=refused.status, body=body, result=refused.result, why=why, retry=retry)
    if operation is None:
        return replace(reply, what=f"use an unknown path with {call.request.method}")
    return replace(reply, what=operation.what, about=operation.about)


def _reason(denied: Denied) -> str:
    return f"allow {', '.join(denied.missing)}" if denied.missing else str(denied)


def _json(members: dict[str, Any]) -> bytes:
    return msgspec.json.encode(members)


#: Why no call can be made now, and the status of the answer; in all other cases a client waits.
_CLOSED: Final[Mapping[str, tuple[int, CallResult, str]]] = {
    "gate": (429, "limited", "HappyFox locks the account out: no call is made until that is over"),
    "denied": (503, "failed", "HappyFox rejects the API key of foxhooks: run `foxhooks doctor` there"),
    "unreachable": (503, "failed", "HappyFox does not answer"),
}


#: The status after the wait for an earlier call; all other waits are for the budget or the ticket.
_WAITED: Final[Mapping[str, tuple[int, CallResult]]] = {"busy": (409, "limited"), "doubt": (409, "doubt")}

#: The classes of clients and of their calls, last one first.
_PRIORITIES: Final[tuple[Priority, ...]] = ("bulk", "normal", "interactive")
_CLASSES: Final[tuple[PermitClass, ...]] = ("client-bulk", "client-normal", "client-interactive")

#: How long (ms) a call waits in its class until it asks in the next one: other programs that ask without a pause
#: cannot keep it out.
AGING: Final = 5_000

#: The calls that answer with the ticket.
_ANSWERS_TICKET: Final = ("staff_update", "staff_pvtnote", "user_reply", "update_custom_fields", "update_tags")


class _Performer:
    """Perform one call that the client may make."""

    def __init__(self, call: ClientCall, operation: Operation, config: AccountConfig) -> None:
        self._call, self._operation, self._config = call, operation, config
        self._client = call.client
        self._began = config.clock()
        self._ends = self._began + int(call.client.wait * 1000)
        self._permits = 0
        files = WITH_FILES if call.request.files else 1
        self._life = (config.call_ms - SEND_BY) * files + SEND_BY
        self._ticket: TicketRead | None = None
        """The ticket as it was read before the write."""
        self._doubt: Reservation | None = None
        """An earlier call with the same key that may have happened."""
        self._settled_at = 0
        """When it can no longer take effect, by the account's clock."""
        self._took = 0
        """How long the write's call took (ms)."""
        self._earlier = 0
        """The number of its write, once it has certainly not happened."""

    def perform(self) -> ClientSteps[ClientAnswer]:
        """Make the call."""
        try:
            return (yield from self._perform())
        except _Answered as answered:
            return reply_of(answered.answer, self._lockout)

    def _perform(self) -> ClientSteps[ClientAnswer]:
        categories = yield from categories_of(self._client, self._operation, self._config, self._get_content)
        if self._operation.is_read:
            return (yield from self._read(categories))
        if self._config.dry_run:
            raise held("the account runs dry (FOXHOOKS_DRY_RUN): reads are answered, writes are not")
        return (yield from self._write(categories))

    # -- waiting

    def _wait(self, ms: int, why: str) -> ClientSteps[None]:
        """Wait, if the client's patience allows it."""
        if why in _CLOSED:
            status, outcome, text = _CLOSED[why]
            raise CallRefused(status, outcome, text, retry=ms)
        if self._config.clock() + ms > self._ends:
            texts = {
                "leased": "somebody else writes to this ticket",
                "plan": "foxhooks has not finished its own writes to this ticket",
                "busy": "an earlier call with this Idempotency-Key is not over",
                "doubt": "an earlier call with this Idempotency-Key may still take effect",
            }
            text = texts.get(why, "the call budget of the account is used up")
            status, result = _WAITED.get(why, (429, "limited"))
            raise CallRefused(status, result, f"{text}: try again later", retry=ms)
        yield Wait(min(ms, LONGEST_STEP))

    @property
    def _class(self) -> PermitClass:
        """The class in which it asks for a permit; one that has waited gets into a better one."""
        waited = self._config.clock() - self._began
        return _CLASSES[min(_PRIORITIES.index(self._client.priority) + waited // AGING, len(_CLASSES) - 1)]

    def _permit_id(self) -> str:
        self._permits += 1
        return f"{NONCE}{self._call.nonce}-{self._permits}"

    @property
    def _lockout(self) -> int:
        """How long a lockout lasts (s)."""
        return ceil(self._config.governor.lockout)

    # -- reading

    def _get(self, request: Request) -> ClientSteps[Answer]:
        """Make a read within the client's class; refuse the call if there is no answer."""
        permit, governor = self._permit_id(), self._config.governor
        while True:
            grant: Grant = yield governor.permit("get", permit, self._class, self._config.call_ms)
            if not grant.wait:
                break
            yield from self._wait(grant.wait, grant.why)
        began = self._config.clock()
        outcome: CallOutcome = yield Call(request, permit, SEND_BY)
        took = self._config.clock() - began
        result, wait = permit_outcome("GET", outcome)
        yield governor.release("get", permit, result, 0, wait, count_call("get", result, took))
        return self._checked(outcome)

    def _checked(self, outcome: CallOutcome) -> Answer:
        """Return an answer that concerns the client; those that concern foxhooks or nobody become errors."""
        if isinstance(outcome, Unsent):
            raise CallRefused(503, "failed", str(outcome), retry=1_000)
        if isinstance(outcome, InDoubt):
            raise CallRefused(504, "doubt" if not self._operation.is_read else "failed", str(outcome), retry=1_000)
        if outcome.status == 401:
            raise CallRefused(502, "failed", "HappyFox rejects the API key of foxhooks: run `foxhooks doctor` there")
        return outcome

    def _get_content(self, request: Request, what: str) -> ClientSteps[object]:
        """Make a read that the call depends on, and return its content."""
        answer = yield from self._get(request)
        try:
            return read(answer)
        except HappyFoxError as error:
            raise CallRefused(502, "failed", f"{what} could not be read: {error}", retry=1_000) from None

    def _read(self, categories: Categories | None) -> ClientSteps[ClientAnswer]:
        request = categories.restrict(self._call.request, self._operation) if categories else self._call.request
        answer = yield from self._get(request)
        if categories and answer.status == 200:
            answer = categories.filter(answer, self._operation)
        return reply_of(answer, self._lockout)

    # -- writing

    def _write(self, categories: Categories | None) -> ClientSteps[ClientAnswer]:
        """Write, once for each Idempotency-Key."""
        if categories:
            categories.check_write(self._operation)
        if not self._call.key:
            return (yield from self._with_lane(categories))
        reservation = yield from self._reserve()
        if reservation.state == "done":
            return unpack(reservation.answer)
        self._doubt = reservation if reservation.state == "begun" else None
        self._settled_at = reservation.deadline + self._config.doubt_ms - reservation.now + self._config.clock()
        try:
            return (yield from self._with_lane(categories))
        except (CallRefused, Denied, _Answered):
            yield forget_key(self._config.account, self._call.key, self._call.nonce)
            raise

    def _reserve(self) -> ClientSteps[Reservation]:
        """Reserve the key; wait while another call has it."""
        call, config = self._call, self._config
        while True:
            found: Reservation = yield reserve_key(
                config.account, call.key, call.digest, call.nonce, config.claim.lease
            )
            if found.state == "other":
                raise CallRefused(422, "failed", "this Idempotency-Key was used for another request; nothing was sent")
            if found.state != "busy":
                return found
            yield from self._wait(BUSY, "busy")

    def _with_lane(self, categories: Categories | None) -> ClientSteps[ClientAnswer]:
        """Write, with the ticket's lane if the call writes to a ticket."""
        while True:
            lease = None
            if self._operation.ticket is not None:
                lease = yield from self._lease(self._operation.ticket)
            try:
                return (yield from self._send(lease, categories))
            except _WaitWithoutLane as wait:
                yield from self._release(lease)
                yield from self._wait(wait.ms, wait.why)
            except (CallRefused, Denied, _Answered):
                yield from self._release(lease)
                raise

    def _release(self, lease: ClientLease | None) -> ClientSteps[None]:
        if lease:
            yield release_lease(self._config.account, lease)

    def _lease(self, ticket: int) -> ClientSteps[ClientLease]:
        """Lease the lane of a ticket; it lasts until a read before the call is certainly over."""
        config = self._config
        while True:
            lease = config.call_ms + MARGIN
            leased: ClientLease | Refusal = yield lease_for_client(
                config.account, ticket, self._call.nonce, lease, config.site
            )
            if isinstance(leased, ClientLease):
                return leased
            self._refuse(leased)
            yield from self._wait(leased.wait, leased.why)

    def _refuse(self, refusal: Refusal, emails: Emails | None = None) -> None:
        """Refuse the call, which sends ``emails``, if it cannot be made however long the client waits."""
        if refusal.paused:
            raise held(f"{refusal.paused}: reads are answered, writes are not")
        if refusal.address:
            raise held(brakes.describe_address_limit(refusal, emails, self._config))
        if refusal.lost:
            raise CallRefused(503, "failed", "the call took too long before it could begin; try again", retry=1_000)

    def _send(self, lease: ClientLease | None, categories: Categories | None) -> ClientSteps[ClientAnswer]:
        """Begin the write, make its call and finish it."""
        config, operation = self._config, self._operation
        effects = effects_of(operation)
        if self._doubt and (settled := (yield from self._look_up(lease, self._doubt, effects))):
            return settled
        if lease and (categories or operation.emails or self._may_have_tag(lease)):
            self._ticket = yield from self._read_before(lease)
        if categories and self._ticket:
            categories.check_ticket(self._ticket)
        if lease and self._has_tag(lease):
            raise held(f"the ticket is paused by its tag {config.off_tag}: reads are answered, writes are not")
        emails = yield from brakes.check(operation, effects, lease, self._ticket, config, self._get_content)
        write = self._describe(lease, effects)
        permit = self._permit_id()
        begun: int | Refusal = yield begin_call(
            *(config.account, lease, permit, self._life, config.claim.budget, self._class, emails, write),
            *(self._call.key, msgspec.json.encode(BegunWrite(write)), self._earlier),
        )
        if isinstance(begun, Refusal):
            self._refuse(begun, emails)
            raise _WaitWithoutLane(begun.wait, begun.why)
        began = self._config.clock()
        outcome: CallOutcome = yield Call(self._call.request, permit, SEND_BY)
        self._took = self._config.clock() - began
        return (yield from self._finish(lease, permit, outcome, write, emails.addresses if emails else ()))

    def _may_have_tag(self, lease: ClientLease) -> bool:
        """Return whether the ticket must be read to know whether its tag pauses it."""
        return bool(self._config.off_tag) and lease.snapshot is None

    def _has_tag(self, lease: ClientLease) -> bool:
        known = self._ticket or lease.snapshot
        return known is not None and has_pause_tag(known.tags, self._config.off_tag)

    def _look_up(
        self, lease: ClientLease | None, doubt: Reservation, effects: list[Effect]
    ) -> ClientSteps[ClientAnswer | None]:
        """Return the answer if an earlier call with this key has happened, None if it certainly has not."""
        begun, name = decode_begun(doubt), self._operation.endpoint.name
        happened: bytes | None = None
        if lease and effects:
            happened = yield from self._look_up_ticket(lease, begun, effects[0])
            uncertain = name == "forward"
        elif name == "tickets":
            happened, uncertain = yield from self._look_up_created(doubt, effects)
        else:
            uncertain = lease is None and not may_repeat(self._operation)
        if happened is not None:
            reply = ClientAnswer(status=200, body=happened, repeated=True)
            kept = pack(reply.status, reply.content_type, happened)
            yield from self._finish_with(lease, CallEnd(permit="", key=self._call.key, answer=kept))
            return reply
        if uncertain:
            text = (
                "an earlier call with this Idempotency-Key may or may not have happened: check it, then use another key"
            )
            raise CallRefused(409, "doubt", text)
        if (left := self._settled_at - self._config.clock()) > 0:
            raise _WaitWithoutLane(left, "doubt")
        self._doubt, self._earlier = None, begun.write.number if begun.write else 0
        return None

    def _look_up_ticket(self, lease: ClientLease, begun: BegunWrite, effect: Effect) -> ClientSteps[bytes | None]:
        """Return the answer to a write that has happened by a read of the ticket, None if it has not."""
        answer = yield from self._get(ticket_request(lease.ticket))
        if answer.status == 404 and effect.kind == "delete":
            return _json({"message": "deleted by an earlier call with this Idempotency-Key"})
        ticket = self._parsed(answer)
        if not has_happened(effect, begun, lease, ticket):
            return None
        if self._operation.endpoint.name in _ANSWERS_TICKET:
            return answer.content
        return _json({"message": "done by an earlier call with this Idempotency-Key, whose answer was lost"})

    def _look_up_created(self, doubt: Reservation, effects: list[Effect]) -> ClientSteps[tuple[bytes | None, bool]]:
        """Return the answer to a creation that has happened, and whether it is unclear if it has."""
        found = yield from find_created(effects, doubt.at, self._config, self._get_content)
        if found is None or any(len(each) > 1 for each in found):
            return None, True
        created = [ticket for each in found for ticket in each]
        if not created:
            return None, False
        if len({ticket.id for ticket in created}) < len(effects):
            return None, True
        return _json(created_answer(self._operation, created)), False

    def _finish_with(self, lease: ClientLease | None, end: CallEnd) -> ClientSteps[None]:
        yield finish_call(self._config.account, lease, end, self._config.claim.budget, self._config.record_ttl)

    def _read_before(self, lease: ClientLease) -> ClientSteps[TicketRead]:
        """Read the ticket before a write that depends on it."""
        answer = yield from self._get(ticket_request(lease.ticket))
        return mark_clients(self._parsed(answer), lease.writes)

    def _parsed(self, answer: Answer) -> TicketRead:
        """Return the ticket in an answer; if there is none, the answer is the client's."""
        try:
            return read_ticket(mapping(read(answer)), self._config.site)
        except (HappyFoxError, ValueError):
            raise _Answered(answer) from None

    def _describe(self, lease: ClientLease | None, effects: list[Effect]) -> ClientWrite | None:
        """Return what is noted of the write before its call."""
        if lease is None:
            return None
        after = max((each.id for each in self._ticket.history), default=0) if self._ticket else 0
        if not self._ticket and lease.snapshot:
            after = lease.snapshot.floor
        return ClientWrite(
            number=lease.number,
            client=self._client.name,
            at=lease.now,
            fingerprint=fingerprint_of(self._operation, effects[0], self._config.staff_id) if effects else None,
            after=after,
            email=self._operation.emails,
        )

    def _finish(
        self,
        lease: ClientLease | None,
        permit: str,
        outcome: CallOutcome,
        write: ClientWrite | None,
        addresses: tuple[str, ...],
    ) -> ClientSteps[ClientAnswer]:
        """Store what is known after the call, and release the lane."""
        result, wait = permit_outcome(self._call.request.method, outcome)
        ended = end_of(outcome)
        line = ""
        if lease and ended != "unsent":
            text = f"{self._client.name} (gateway): {self._operation.title}"
            line = history_line(lease.now, "", text if ended == "done" else f"{text}: {ENDS[ended]}")
        creates = ended == "done" and self._operation.endpoint.name == "tickets"
        end = CallEnd(
            permit=permit,
            outcome=result,
            wait=wait,
            number=write.number if write else 0,
            write=known_write(write, outcome) if ended == "done" else KEEP if ended == "doubt" else FORGET,
            unsent=addresses if ended in ("unsent", "refused") else (),
            key=self._call.key,
            answer=self._kept(outcome, ended),
            line=line,
            figures=count_call("post", result, self._took),
            created=created_tickets(self._client.name, outcome) if creates else (),
        )
        yield from self._finish_with(lease, end)
        return reply_of(self._checked(outcome), self._lockout)

    def _kept(self, outcome: CallOutcome, ended: str) -> bytes:
        """Return the answer as it is kept for repeated calls."""
        if ended == "doubt" or not self._call.key or not isinstance(outcome, Answer):
            return KEEP
        if ended == "unsent":
            return FORGET
        reply = reply_of(outcome, self._lockout)
        return pack(reply.status, reply.content_type, outcome.content)


class _WaitWithoutLane(Exception):
    """There is no permit; wait for it without the ticket's lane."""

    def __init__(self, ms: int, why: str) -> None:
        super().__init__(why)
        self.ms, self.why = ms, why


class _Answered(Exception):
    """HappyFox's answer to the read before a write is the answer to the client: the ticket is gone."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
