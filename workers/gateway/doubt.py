"""Decide whether a call with an Idempotency-Key has happened whose answer was lost.

The engine's look-up decides about tickets: the update that the call makes, or the state that it asks for. What cannot
be decided is never sent again.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from workers.engine.context import AccountConfig, utc
from workers.engine.create import Draft
from workers.engine.effect import Effect
from workers.engine.reconcile import reflects
from workers.gateway.access import Operation
from workers.gateway.steps import ClientSteps, GetContent
from workers.happyfox.base import read_page
from workers.happyfox.tickets import tickets
from workers.store.client_calls import ClientLease, Reservation
from workers.tickets.clients import ClientWrite, find_update
from workers.tickets.model import TicketRead, mapping, number, read_ticket

#: How far HappyFox's clock may be behind the store's, for tickets that were created.
MARGIN: Final = timedelta(seconds=120)

#: How many pages of the newest tickets are searched, and their size.
PAGES, PAGE_SIZE = 6, 50

#: Effects that the state of the ticket proves, too.
BY_STATE: Final = ("tags", "properties", "move", "subscribe")

#: Calls besides those on tickets that may be made twice: the second one changes nothing.
REPEATABLE: Final = ("users", "user", "update_contacts", "delete_contacts", "ticket-inline-attachment")


class BegunWrite(msgspec.Struct, frozen=True):
    """What an earlier call with the same key stored before it began."""

    write: ClientWrite | None = None


_BEGUN = msgspec.json.Decoder(BegunWrite)


def decode_begun(reservation: Reservation) -> BegunWrite:
    """Read what an earlier call has stored."""
    return _BEGUN.decode(reservation.call)


def has_happened(effect: Effect, begun: BegunWrite, lease: ClientLease, ticket: TicketRead) -> bool:
    """Return whether a write to a ticket has happened, by a read of the ticket after it."""
    others = [each for each in lease.writes if begun.write is None or each.number != begun.write.number]
    known = next((each for each in lease.writes if begun.write and each.number == begun.write.number), begun.write)
    found = find_update(ticket, known, others) if known else None
    if effect.kind in BY_STATE and (found is None or not effect.property_values):
        return reflects(effect, ticket)  # an update without a message or a property may be anybody's
    return found is not None


def may_repeat(operation: Operation) -> bool:
    """Return whether a call that is not about tickets may be made twice."""
    if operation.endpoint.method in ("PUT", "DELETE"):
        return True
    phones = [phone for each in operation.items for phone in each.get("phones") or () if isinstance(phone, dict)]
    return operation.endpoint.name in REPEATABLE and all("id" in phone for phone in phones)


def find_created(
    effects: Sequence[Effect], at: int, config: AccountConfig, get_content: GetContent
) -> ClientSteps[list[list[TicketRead]] | None]:
    """Return the tickets that may be what each effect created since ``at`` (ms); None if there are too many to know."""
    drafts, since = [Draft.of(effect) for effect in effects], utc(at) - MARGIN
    found: list[list[TicketRead]] = [[] for _ in drafts]
    for page in range(1, PAGES + 1):
        content = yield from get_content(tickets(page=page, size=PAGE_SIZE, sort="ticketd"), "the newest tickets")
        listed = list(read_page(content, lambda raw: _ticket(raw, config.site)))
        fresh = [ticket for ticket in listed if ticket.created_at is None or ticket.created_at >= since]
        for ticket in fresh:
            for index, draft in enumerate(drafts):
                if draft.fits(ticket):
                    found[index].append(ticket)
        if len(listed) < PAGE_SIZE or len(fresh) < len(listed):
            return found
    return None


def _ticket(raw: object, site: str) -> TicketRead | None:
    return read_ticket(mapping(raw), site) if number(mapping(raw).get("id")) is not None else None


def created_answer(operation: Operation, found: Sequence[TicketRead]) -> Any:
    """Return what HappyFox answers to the creation of these tickets: the ticket, or a result for each of a list."""
    if operation.is_list:
        return [{"display_id": ticket.display_id, "id": ticket.id, "success": True} for ticket in found]
    return found[0].raw
