"""The inbox: store deliveries as events in the lanes of their tickets, all or nothing.

A delivery is a duplicate while an event with the same body (by its SHA-256) waits unclaimed: then it joins that event.
Later it becomes an event without the body, and waits for some time if the last reads of the ticket brought nothing new:
one captured delivery, sent again and again, must use up neither the memory nor the budget of calls.
The caller chooses the id of an event, so that a batch sent twice is stored once.
"""

import random
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from workers.store.lanes import HOOK
from workers.store.scripts import Script
from workers.webhook import Delivery

#: ``corrupt``: not stored, because a key of the ticket has the wrong type and must be repaired or deleted by hand.
Status = Literal["accepted", "duplicate", "quarantined", "corrupt"]

#: How many unreadable deliveries of an account are kept; the oldest are deleted.
QUARANTINE = 200

_pack = msgspec.msgpack.Encoder().encode


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A delivery on its way into the store."""

    id: str
    ticket: str
    digest: str
    kind: str
    update: bool
    update_id: str
    actor: str
    label: str
    rule: str
    source: str
    """webhook, hook, replay, handler, schedule or sweep."""
    headers: str
    """The stored headers (JSON object)."""
    reason: str
    """Why the delivery cannot be processed. It goes to quarantine."""
    host: str
    """The host to compare with those that the store has learned for the account, or empty."""
    since: str
    """When it first arrived (ms), if a person replays it, else empty."""
    handler: str
    """Of a hook: its router and its name."""
    body: bytes


class Acceptance(NamedTuple):
    """The result for one arrival; a duplicate has the id of the event it joined."""

    status: Status
    event: str


def new_id() -> str:
    """Return the id of a new event: 20 hexadecimal digits."""
    return f"{random.getrandbits(80):020x}"


def receive(
    delivery: Delivery,
    body: bytes,
    headers: str = "{}",
    source: str = "webhook",
    *,
    host: str = "",
    since: int | None = None,
) -> Arrival:
    """Return the arrival of a readable delivery; ``host`` is compared with those learned for the account."""
    return Arrival(
        new_id(),
        str(delivery.ticket),
        sha256(body).hexdigest(),
        delivery.kind,
        delivery.update,
        "" if delivery.update_id is None else str(delivery.update_id),
        delivery.actor,
        _storable(delivery.label),
        _storable(delivery.rule),
        source,
        headers,
        "",
        _storable(host),
        "" if since is None else str(since),
        "",
        body,
    )


def unreadable(reason: str, body: bytes, headers: str = "{}", source: str = "webhook", kind: str = "") -> Arrival:
    """Return the arrival of a signed but unreadable delivery, for quarantine; ``kind`` is that of its URL."""
    digest, kind = sha256(body).hexdigest(), kind or "unknown"
    return Arrival(new_id(), "", digest, kind, False, "", "unknown", "", "", source, headers, reason, "", "", "", body)


def receive_hook(ticket: int, router: str, name: str, body: bytes, headers: str = "{}", id: str = "") -> Arrival:
    """Return the arrival of a call of another system; with an ``id`` that was used before, it is not stored again."""
    handler = f"{router} {name}"
    digest = id or sha256(f"{handler}\n".encode() + body).hexdigest()
    hint = (False, "", "unknown", "", "")
    return Arrival(id or new_id(), str(ticket), digest, HOOK, *hint, HOOK, headers, "", "", "", handler, body)


def accept(
    account: str,
    arrivals: Sequence[Arrival],
    keep: int,
    refused: Mapping[str, int] | None = None,
    counted: bytes = b"",
) -> Script[list[Acceptance]]:
    """Store arrivals of one account in one step; return the acceptance of each, in order.

    ``keep`` is the retention in seconds; ``refused`` counts rejected deliveries by reason, ``counted`` are further
    figures. The script always writes, so a call without arrivals proves that the store accepts writes.
    """

    def read(raw: list[bytes]) -> list[Acceptance]:
        return [_acceptance(arrival, event.decode()) for arrival, event in zip(arrivals, raw, strict=True)]

    # Bodies are separate arguments, because msgpack contains texts here and a body may be any bytes.
    packed = _pack([msgspec.structs.astuple(arrival)[:-1] for arrival in arrivals])
    bodies = [arrival.body for arrival in arrivals]
    return Script("accept", account, (keep, QUARANTINE, packed, _pack(refused or {}), counted, *bodies), read)


def _acceptance(arrival: Arrival, event: str) -> Acceptance:
    if not event:
        return Acceptance("corrupt", "")
    if event.startswith("?"):
        return Acceptance("quarantined", event[1:])
    return Acceptance("accepted" if event == arrival.id else "duplicate", event)


def _storable(text: str) -> str:
    """Replace lone surrogates, which JSON allows and UTF-8 does not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
