"""Calls of the gateway's clients: lease a ticket's lane, begin and end a write, reserve an Idempotency-Key.

``lua/clients.lua`` documents the functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from workers.store.lanes import Emails, Refusal
from workers.store.pauses import describe_pause, read_paused
from workers.store.permits import PermitClass
from workers.store.scripts import Script
from workers.tickets.clients import ClientWrite, decode_writes
from workers.tickets.snapshot import Snapshot, decode

#: How every nonce of a client's lease begins.
NONCE = "client."

#: How long the answer to a call with an Idempotency-Key is kept, and a client's write for its ticket's next turn (ms).
ANSWER_LIFE, WRITES_LIFE = 86_400_000, 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class ClientLease:
    """The lease of a ticket's lane for one call, and what is known of the ticket."""

    ticket: int
    token: str
    now: int
    """When it was leased (ms of the store's clock)."""
    snapshot: Snapshot | None
    writes: tuple[ClientWrite, ...]
    """What clients have written to it lately."""

    @property
    def number(self) -> int:
        """The number of the call's write."""
        return int(self.token.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is known of an Idempotency-Key."""

    state: Literal["new", "begun", "done", "busy", "other"]
    call: bytes = b""
    """What an earlier call stored before it began (JSON)."""
    answer: bytes = b""
    """The answer, if it is known (msgpack)."""
    at: int = 0
    """When the earlier call began (ms)."""
    deadline: int = 0
    """When it had to be over (ms)."""
    now: int = 0
    """The time (ms of the store's clock)."""


def lease_for_client(account: str, ticket: int, nonce: str, lease: int, site: str) -> Script[ClientLease | Refusal]:
    """Lease a ticket's lane for ``lease`` ms, unless somebody works on it or its turn has an unfinished plan."""

    def read(raw: Any) -> ClientLease | Refusal:
        if int(raw[0]) != 1:
            return _refusal(raw)
        _, token, now, snapshot, writes = raw
        return ClientLease(ticket, token.decode(), int(now), decode(snapshot, site), decode_writes(writes))

    return Script("client_lease", account, [ticket, NONCE + nonce, lease], read)


def release_lease(account: str, lease: ClientLease) -> Script[bool]:
    """Release the lease of a call that was not made; return whether the lane has events."""
    return Script("client_release", account, [lease.ticket, lease.token], lambda raw: raw == 2)


def begin_call(  # noqa: PLR0913 - the arguments of one script
    account: str,
    lease: ClientLease | None,
    permit: str,
    life: int,
    budget: bytes,
    priority: PermitClass,
    emails: Emails | None,
    write: ClientWrite | None,
    key: str,
    call: bytes,
    instead: int = 0,
) -> Script[int | Refusal]:
    """Begin a write that ends within ``life`` ms: take its permit, count its emails, note it. Return the time (ms).

    ``instead`` is the number of an earlier write that has not happened after all.
    """
    lane = [lease.ticket, lease.token] if lease else ["", ""]
    args = [*lane, permit, life, budget, priority, msgspec.json.encode(emails) if emails else b""]
    args += [msgspec.json.encode(write) if write else b"", WRITES_LIFE, key, permit.partition("-")[0], call, instead]
    return Script(
        "client_begin", account, args, lambda raw: int(raw[1]) if int(raw[0]) == 1 else _refusal(raw), before_call=True
    )


#: In place of a write or an answer: forget it, or keep what is stored.
FORGET, KEEP = b"", b"-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """What is known of a write after its call."""

    permit: str
    """Empty if no call was made."""
    outcome: str = ""
    age: int = 0
    wait: int = 0
    number: int = 0
    write: ClientWrite | bytes = KEEP
    unsent: Sequence[str] = ()
    """The addresses of emails that were certainly not sent."""
    key: str = ""
    answer: bytes = KEEP
    line: str = ""
    """For the ticket's history."""
    created: Sequence[tuple[int, ClientWrite]] = ()
    """Tickets that were created."""
    figures: bytes = b""
    """The figures of the call."""


def finish_call(
    account: str, lease: ClientLease | None, end: CallEnd, budget: bytes, history_life: int
) -> Script[bool]:
    """End a write and release its lane; return whether the lane has events."""
    lane = [lease.ticket, lease.token] if lease else ["", ""]
    write = end.write if isinstance(end.write, bytes) else msgspec.json.encode(end.write)
    created = [(ticket, msgspec.json.encode(each).decode()) for ticket, each in end.created]
    args = [*lane, end.permit, end.outcome, end.age, end.wait, budget, end.number, write]
    args += [msgspec.json.encode(end.unsent), end.key, end.answer, ANSWER_LIFE, end.line, history_life]
    args += [msgspec.json.encode(created), WRITES_LIFE, end.figures]
    return Script("client_finish", account, args, lambda raw: raw == 2)


def reserve_key(account: str, key: str, request: str, owner: str, lease: int) -> Script[Reservation]:
    """Reserve an Idempotency-Key, given as a digest, for ``lease`` ms; ``request`` is the digest of the request."""

    def read(raw: Any) -> Reservation:
        state, call, answer, at, deadline, now = raw
        return Reservation(state.decode(), call or b"", answer or b"", int(at), int(deadline), int(now))

    return Script("client_reserve", account, [key, request, NONCE + owner, lease, ANSWER_LIFE], read)


def forget_key(account: str, key: str, owner: str) -> Script[bool]:
    """Give up a reserved key whose call was not made."""
    return Script("client_forget", account, [key, NONCE + owner], bool)


def _refusal(raw: Any) -> Refusal:
    code = int(raw[0])
    if code == 0:
        return Refusal(wait=int(raw[1]), why=raw[2].decode())
    if code == -3:
        return Refusal(address=raw[1].decode(), emails=tuple(each.decode() for each in raw[2]))
    if code == -4:
        return Refusal(paused=describe_pause(*read_paused(raw[1:])))
    return Refusal(lost=True)
