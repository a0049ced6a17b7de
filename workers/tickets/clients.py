"""What programs have written to a ticket through the gateway, and which of its updates are theirs."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from workers.tickets.model import TicketRead, Update, millis
from workers.tickets.snapshot import CLOCK_MARGIN, VISIBILITY_LAG, Fingerprint, Snapshot, attribute


class ClientWrite(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One write of a client to a ticket, as the store keeps it."""

    number: int
    """Increases from one write to the next."""
    client: str
    at: int
    """When its call began (ms)."""
    updates: tuple[int, ...] = ()
    """Its updates, once they are known."""
    fingerprint: Fingerprint | None = None
    """What its update looks like, until it is known; None if it makes none."""
    after: int = 0
    """The newest update that was known when it began."""
    email: bool = False
    """Whether it is an email to people outside."""
    opening: bool = False
    """Whether it created the ticket."""

    @property
    def forwards(self) -> bool:
        """Whether it forwards the ticket."""
        return self.fingerprint is not None and self.fingerprint.message == "forward"


_DECODER = msgspec.json.Decoder(ClientWrite)


def decode_writes(stored: Iterable[bytes]) -> tuple[ClientWrite, ...]:
    """Read the stored writes of a ticket; skip what this version cannot read."""
    found = []
    for each in stored:
        try:
            found.append(_DECODER.decode(each))
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
    return tuple(found)


def mark_clients(ticket: TicketRead, writes: Sequence[ClientWrite]) -> TicketRead:
    """Return the ticket with the client named in each update that one has made."""
    if not writes:
        return ticket
    clients = {update: write.client for write in writes for update in write.updates}
    if ticket.history and (creator := next((write.client for write in writes if write.opening), "")):
        clients[ticket.history[0].id] = creator
    for write in writes:
        if write.fingerprint is not None and not write.updates:
            free = (each for each in ticket.history if each.id not in clients and _may_be(write, each))
            clients |= dict.fromkeys(attribute([write.fingerprint], free).values(), write.client)
    marked = (replace(each, client=clients[each.id]) if each.id in clients else each for each in ticket.history)
    return replace(ticket, history=tuple(marked))


def find_update(ticket: TicketRead, write: ClientWrite, others: Iterable[ClientWrite]) -> int | None:
    """Return the update that a write has made, None if the ticket shows none; ``others`` are clients' other writes."""
    if write.updates:
        return next((each.id for each in ticket.history if each.id in write.updates), None)
    taken = {update for other in others for update in other.updates}
    free = (each for each in ticket.history if each.id not in taken and _may_be(write, each))
    return attribute([write.fingerprint], free).get(0)


def _may_be(write: ClientWrite, update: Update) -> bool:
    """Return whether an update is new enough, and not too new, to be that of a write."""
    at = millis(update.at)
    return update.id > write.after and write.at - CLOCK_MARGIN <= at <= write.at + VISIBILITY_LAG


def count_client_emails(snapshot: Snapshot, writes: Sequence[ClientWrite]) -> Snapshot:
    """Return the snapshot with the emails of writes that it does not know yet: they count like our own."""
    new = [each for each in writes if each.number > snapshot.client_write]
    if not new:
        return snapshot
    emails = snapshot.emails
    for _ in (each for each in new if each.email):
        emails = emails.one_more()
    return msgspec.structs.replace(
        snapshot,
        emails=emails,
        writes=(*snapshot.writes, *(each.at for each in new if each.email)),
        client_write=max(each.number for each in new),
    )
