"""The inbox: stores deliveries as events and puts each in its ticket's lane, all or nothing.

A delivery is known by the SHA-256 of its raw body, and only while an event of the same bytes waits unclaimed:
then it joins that event and is a duplicate. The caller chooses the id of an event, so that a batch sent twice
is stored once.
"""

import random
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from workers.store.scripts import Script
from workers.webhook import Delivery

#: ``corrupt``: not stored, because a key of the ticket has the wrong type; a person has to mend or delete it.
Status = Literal["accepted", "duplicate", "quarantined", "corrupt"]

#: How many unreadable deliveries of an account are kept; a newer one drops the oldest.
QUARANTINE = 200

_pack = msgspec.msgpack.Encoder().encode


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A delivery on its way into the store.

    ``headers`` is a JSON object of the headers kept; ``source`` webhook, replay, handler, schedule or sweep.
    ``reason`` says why it could not be read; such an arrival goes to quarantine and has no ticket.
    """

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
    body: bytes
    headers: str
    reason: str


class Acceptance(NamedTuple):
    """What became of an arrival; a duplicate carries the id of the event it joined."""

    status: Status
    event: str


def new_id() -> str:
    """Return the id of a new event: 20 hexadecimal digits."""
    return f"{random.getrandbits(80):020x}"


def receive(delivery: Delivery, body: bytes, headers: str = "{}", source: str = "webhook") -> Arrival:
    """Build the arrival of a delivery that could be read."""
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
        body,
        headers,
        "",
    )


def unreadable(reason: str, body: bytes, headers: str = "{}", source: str = "webhook") -> Arrival:
    """Build the arrival of a signed delivery that could not be read, for quarantine."""
    digest = sha256(body).hexdigest()
    return Arrival(new_id(), "", digest, "unknown", False, "", "unknown", "", "", source, body, headers, reason)


def accept(
    account: str, arrivals: Sequence[Arrival], keep: int, refused: Mapping[str, int] | None = None
) -> Script[list[Acceptance]]:
    """Store arrivals of one account in one step and answers one acceptance for each, in order.

    ``keep`` is the retention in seconds. ``refused`` counts deliveries that were turned away, by reason.
    Without arrivals the script still writes, which proves that the store takes writes.
    """

    def read(raw: list[bytes]) -> list[Acceptance]:
        return [_acceptance(arrival, event.decode()) for arrival, event in zip(arrivals, raw, strict=True)]

    # Bodies travel beside the rest: the store's msgpack takes texts, and a body may be any bytes.
    updates = _pack([_row(arrival) for arrival in arrivals])
    bodies = [arrival.body for arrival in arrivals]
    return Script("accept", account, (keep, QUARANTINE, updates, _pack(refused or {}), *bodies), read)


def _row(a: Arrival) -> tuple[str | bool, ...]:
    """Put an arrival's fields in the order in which the script reads them."""
    told = (a.kind, a.update, a.update_id, a.actor, a.label, a.rule)
    return (a.id, a.ticket, a.digest, *told, a.source, a.headers, a.reason)


def _acceptance(arrival: Arrival, event: str) -> Acceptance:
    if not event:
        return Acceptance("corrupt", "")
    if arrival.reason:
        return Acceptance("quarantined", event)
    return Acceptance("accepted" if event == arrival.id else "duplicate", event)


def _storable(text: str) -> str:
    """Replace half a surrogate pair, which JSON can carry and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
