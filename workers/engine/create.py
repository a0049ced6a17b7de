"""Creating tickets: a creation in doubt is found among the newest tickets, and one of ours calls no handler.

The answer to a creation names the ticket. Without it a ticket is ours when the same contact opened it under the same
subject with the same words, since the call began. Every creation is announced in the store before its call, for the
webhook of the new ticket may be faster than the answer; its opening row is by the contact and tells nothing of us.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from workers.engine.context import Parked, TurnContext
from workers.engine.plan import Effect, Entry
from workers.engine.reconcile import TRIES, UNDECIDED, UpdateAttribution
from workers.engine.steps import Steps, ask
from workers.errors import HappyFoxError
from workers.happyfox.base import read_page
from workers.happyfox.messages import Answer, read
from workers.happyfox.tickets import tickets
from workers.store.lanes import FORGET
from workers.store.records import DEEPEST, announced, announcing
from workers.tickets.diff import ReadDiff
from workers.tickets.model import TicketRead, mapping, number, read_ticket
from workers.tickets.text import same_words, words

#: How far HappyFox's clock may be behind the store's.
MARGIN = timedelta(seconds=120)

#: How many of the newest tickets are looked through for one in doubt.
PAGES, SIZE = 6, 50

#: What is said of a ticket that is our own doing.
OURS = "foxhooks created this ticket, so its creation calls no handler"

#: What is said of a creation that would go on for ever.
CIRCLE = (
    f"foxhooks created this ticket from one that it had created, {DEEPEST} of them one from another: that is a circle; "
    "let the handler tell such tickets apart, by a tag or their subject"
)

#: What is said of a creation that no look through the newest tickets can decide.
UNFOUND = f"{UNDECIDED}: look for it among the newest tickets"


class Draft(msgspec.Struct, frozen=True):
    """The look of a ticket that we create: its contact by id or address, the words of subject and message."""

    client: int | None
    email: str
    subject: tuple[str, ...]
    words: tuple[str, ...]

    def fits(self, ticket: TicketRead) -> bool:
        """Tells whether a ticket may be it."""
        if self.client is None and ticket.contact.email.casefold() != self.email:
            return False
        if self.client is not None and ticket.contact.id != self.client:
            return False
        return words(ticket.subject) == self.subject and same_words(self.words, words(ticket.first_message))


def _draft(effect: Effect) -> Draft:
    client = effect.draft.get("client")
    return Draft(client, str(effect.draft.get("email", "")).casefold(), words(effect.subject), words(effect.html))


def announce(context: TurnContext, key: str, effect: Effect) -> Steps[bool]:
    """Lets every worker know that this ticket is about to be ours; False when it must not be created."""
    look = msgspec.json.encode(_draft(effect))
    if (yield from ask(announcing(context.lane.account, f"{context.lane.turn}.{key}", look, context.lane.ticket))):
        return True
    yield from context.record_effect(key, Entry("refused", said=CIRCLE, evidence={"fields": []}))
    return False


def ours(context: TurnContext, ticket: TicketRead, found: ReadDiff) -> Steps[tuple[ReadDiff, tuple[str, ...]]]:
    """Takes the creation of a ticket out of its news when it is our own doing; gives remarks on that."""
    if not context.config.may_create or all(change.kind != "ticket-created" for change in found.changes):
        return found, ()
    known, looks = yield from ask(announced(context.lane.account, [ticket.id]))
    drafts = (msgspec.json.decode(look, type=Draft) for look in looks)
    if ticket.id not in known and not any(draft.fits(ticket) for draft in drafts):
        return found, ()
    others = tuple(change for change in found.changes if change.kind != "ticket-created")
    return ReadDiff(others, found.snapshot, found.unattributed), (OURS,)


def find(attribution: UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
    """Looks whether a creation in doubt landed; gives what ``look_up`` gives."""
    state, entry = attribution.context, attribution.context.journal[key]
    since = datetime.fromtimestamp(entry.at / 1000, UTC) - MARGIN
    newest, all_seen = yield from _newest(state, since)
    draft, own = _draft(effect), {each.ticket for each in state.journal.values()}
    fitting = [each.id for each in newest if each.id not in own and draft.fits(each)]
    known, _ = yield from ask(announced(state.lane.account, fitting))
    fitting = [each for each in fitting if each not in known]
    if len(fitting) == 1:
        yield from state.record_effect(key, Entry("done", ticket=fitting[0]))
        return 0
    settled_at = entry.deadline + state.config.doubt_ms
    if not fitting and state.now() < settled_at:
        raise Parked(max(settled_at - state.now(), 50), f"looks again whether its {effect.words} landed")
    if fitting or not all_seen or entry.tries >= TRIES:
        evidence = {"tickets": fitting, "tries": entry.tries}
        yield from state.record_effect(key, Entry("refused", said=UNFOUND, evidence=evidence))
        return 0
    yield from state.record_effect(key, FORGET)
    return entry.tries


def _newest(context: TurnContext, since: datetime) -> Steps[tuple[list[TicketRead], bool]]:
    """Gives the tickets created since then, and whether these are all."""
    found: list[TicketRead] = []
    for page in range(1, PAGES + 1):
        outcome = yield from context.get(tickets(page=page, size=SIZE, sort="ticketd"))
        if not isinstance(outcome, Answer):
            raise Parked(5_000, f"the newest tickets could not be read: {outcome}")
        try:
            listed = read_page(read(outcome), lambda raw: _ticket(raw, context.config.site))
        except HappyFoxError as error:
            raise Parked(5_000, f"the newest tickets could not be read: {error}") from None
        fresh = [each for each in listed if each.created_at is None or each.created_at >= since]
        found += fresh
        if len(listed) < SIZE or not fresh:
            return found, True
    return found, False


def _ticket(raw: object, site: str) -> TicketRead | None:
    return read_ticket(mapping(raw), site) if number(mapping(raw).get("id")) is not None else None
