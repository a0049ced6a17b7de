"""Create tickets: find a creation in doubt among the newest tickets, and start no handler for our own.

The answer to a creation contains the ticket's number. Without an answer, a ticket is ours if the same contact opened it
since the call began, with the same subject and the same words. Every creation is announced in the store before its
call, because the new ticket's webhook may be faster than the answer, and its first update is by the contact, not by us.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from workers.engine.context import TurnContext, utc
from workers.engine.effect import Effect
from workers.engine.plan import Entry
from workers.engine.reconcile import MAYBE, TRIES, UpdateAttribution, wait_until_settled
from workers.engine.steps import Steps
from workers.happyfox.base import read_page
from workers.happyfox.tickets import tickets
from workers.store.lanes import FORGET
from workers.store.records import MAX_DEPTH, announce_creation, read_creations
from workers.tickets.diff import ReadDiff
from workers.tickets.model import TicketRead, mapping, number, read_ticket
from workers.tickets.text import same_words, words

#: How far HappyFox's clock may be behind the store's.
MARGIN = timedelta(seconds=120)

#: How many pages of the newest tickets are searched for one in doubt, and their size.
PAGES, PAGE_SIZE = 6, 50

#: The remark on a ticket that we created.
OURS = "foxhooks created this ticket, so its creation starts no handler"


class Draft(msgspec.Struct, frozen=True):
    """What a ticket that we create will look like."""

    client: int | None
    """The contact's id, if it is known; else ``email`` counts."""
    email: str
    subject: tuple[str, ...]
    words: tuple[str, ...]

    def fits(self, ticket: TicketRead) -> bool:
        """Return whether this may be the ticket."""
        contact = ticket.contact
        same = contact.id == self.client if self.client is not None else contact.email.casefold() == self.email
        return same and words(ticket.subject) == self.subject and same_words(self.words, words(ticket.first_message))

    @classmethod
    def of(cls, effect: Effect) -> "Draft":
        """Return what the ticket of an effect will look like."""
        email = str(effect.draft.get("email", "")).casefold()
        return cls(effect.draft.get("client"), email, words(effect.subject), words(effect.html))


_DRAFT = msgspec.json.Decoder(Draft)


def announce(context: TurnContext, key: str, effect: Effect) -> Steps[bool]:
    """Announce to all workers that we create a ticket; return False if it must not be created."""
    draft = msgspec.json.encode(Draft.of(effect))
    if (yield announce_creation(context.lane.account, f"{context.lane.turn}.{key}", draft, context.lane.ticket)):
        return True
    reason = (
        f"foxhooks created this ticket from one that it had created itself, {MAX_DEPTH} in a row: that is a loop. "
        "Let the handler recognize such tickets, by a tag or their subject"
    )
    yield from context.record_effect(key, Entry(state="refused", reason=reason, evidence={"fields": []}))
    return False


def drop_own_creation(
    context: TurnContext, ticket: TicketRead, diff: ReadDiff
) -> Steps[tuple[ReadDiff, tuple[str, ...]]]:
    """Return the changes without the creation of a ticket that we created, and a remark on that."""
    if all(change.kind != "ticket-created" for change in diff.changes):
        return diff, ()
    known, drafts = yield read_creations(context.lane.account, [ticket.id])
    if ticket.id not in known and not any(_DRAFT.decode(each).fits(ticket) for each in drafts):
        return diff, ()
    others = tuple(change for change in diff.changes if change.kind != "ticket-created")
    return replace(diff, changes=others), (OURS,)


def find(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
    """Return the number of attempts so far if the ticket must be created again, else 0."""
    context, entry = attribution.context, attribution.context.journal[key]
    since = utc(entry.at) - MARGIN
    newest, complete = yield from _newest_tickets(context, since)
    draft, own = Draft.of(effect), {each.ticket for each in context.journal.values()}
    fitting = [ticket.id for ticket in newest if ticket.id not in own and draft.fits(ticket)]
    known, _ = yield read_creations(context.lane.account, fitting)
    fitting = [ticket_id for ticket_id in fitting if ticket_id not in known]
    if len(fitting) == 1:
        yield from context.record_effect(key, Entry(state="done", ticket=fitting[0]))
        return 0
    if not fitting:
        wait_until_settled(context, entry, effect)
    if fitting or not complete or entry.attempts >= TRIES:
        evidence = {"tickets": fitting, "attempts": entry.attempts}
        reason = f"{MAYBE}; look for it among the newest tickets"
        yield from context.record_effect(key, Entry(state="refused", reason=reason, evidence=evidence))
        return 0
    yield from context.record_effect(key, FORGET)
    return entry.attempts


def _newest_tickets(context: TurnContext, since: datetime) -> Steps[tuple[list[TicketRead], bool]]:
    """Return the tickets created since then, and whether these are all."""
    found: list[TicketRead] = []
    for page in range(1, PAGES + 1):
        content = yield from context.get_content(
            tickets(page=page, size=PAGE_SIZE, sort="ticketd"), "the newest tickets"
        )
        listed = read_page(content, lambda raw: _ticket(raw, context.config.site))
        fresh = [ticket for ticket in listed if ticket.created_at is None or ticket.created_at >= since]
        found += fresh
        if len(listed) < PAGE_SIZE or not fresh:
            return found, True
    return found, False


def _ticket(raw: object, site: str) -> TicketRead | None:
    return read_ticket(mapping(raw), site) if number(mapping(raw).get("id")) is not None else None
