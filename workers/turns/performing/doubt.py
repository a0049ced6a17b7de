"""Doubt: whether an effect that began and was not confirmed has landed; the ticket tells."""

import msgspec

from workers.events.last_seen import properties
from workers.lanes.holding import FORGET
from workers.models.ticket import TicketRead
from workers.models.values import items, mapping
from workers.turns.performing.sight import Sight, differs, holds
from workers.turns.plan.effects import Effect, less
from workers.turns.plan.owed import Doubt
from workers.turns.plan.plan import Entry
from workers.turns.state import Gone, Parked
from workers.turns.steps import Steps

#: How often an effect is sent that the ticket shows not to have landed.
TRIES = 3

#: What is said of an effect of which nobody can tell whether it happened.
UNDECIDED = "it may or may not have happened; look at the ticket"

#: What is said of an effect that surely did not happen, however often it was sent.
UNTAKEN = f"HappyFox did not take it, sent {TRIES} times; each time the ticket showed that it had not landed"


def look_up(sight: Sight, key: str, effect: Effect) -> Steps[int]:
    """Looks whether an effect in doubt landed.

    Gives how often it was sent when it did not, can no longer land, and is to be sent again; 0 when that is settled.
    """
    state, entry = sight.state, sight.state.journal[key]
    ticket = yield from state.ticket()
    if ticket is None:
        if effect.sort == "delete":
            yield from state.enter(key, Entry("done"))
            return 0
        raise Gone
    sent = less(effect, entry.without)
    done = sight.found(sent, ticket, entry.after)
    if _has_row(sent, ticket, done.rows) or shows(sent, ticket):
        yield from state.enter(key, msgspec.structs.replace(done, without=entry.without))
        return 0
    settled_at = entry.deadline + state.terms.doubt
    if state.now() < settled_at:
        raise Parked(max(settled_at - state.now(), 50), f"looks again whether its {effect.words} landed")
    if effect.sort == "forward" or entry.tries >= TRIES:
        yield from state.enter(key, _given_up(sight, effect, ticket, entry.tries))
        return 0
    sight.checked, sight.read_at = ticket, state.now()
    yield from state.enter(key, FORGET)
    return entry.tries


def _has_row(effect: Effect, ticket: TicketRead, found: tuple[int, ...]) -> bool:
    """Tells whether the row found is proof.

    One that names nobody may be anybody's, and one without words that of a person who works as our staff member: then
    the ticket itself tells, unless somebody else wrote later and may have taken back what ours did.
    """
    row = next((row for row in ticket.history if row.id in found), None)
    if row is None or row.author == "unknown":
        return False
    later = any(other.id > row.id and other.author != "contact" for other in ticket.history)
    return row.message is not None or later or not lacks(effect, ticket)


def _given_up(sight: Sight, effect: Effect, ticket: TicketRead, tries: int) -> Entry:
    evidence = {"rows": [row.id for row in ticket.history][-10:], "tries": tries}
    if effect.sort != "forward":
        return Entry("refused", said=UNTAKEN, evidence=evidence)
    # A forward may leave no row (KB 1039 shows none): that none is there tells nothing.
    floor = sight.plan.seen.floor
    doubt = Doubt(sight.staff, floor, tuple(row.id for row in ticket.history if row.id > floor))
    return Entry("refused", said=UNDECIDED, evidence=evidence, doubt=doubt)


def lacks(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether the ticket surely does not hold the tags or a custom field that an effect wanted."""
    return (effect.sort == "tags" and not shows(effect, ticket)) or differs(effect, ticket)


def shows(effect: Effect, ticket: TicketRead) -> bool:
    """Tells whether the ticket shows what an effect without message wanted."""
    if effect.sort == "tags":
        return set(effect.add) <= ticket.tags and not set(effect.remove) & ticket.tags
    if effect.sort == "subscribe":
        return set(effect.staff) <= {mapping(one).get("id") for one in items(ticket.raw.get("subscribers"))}
    now = properties(ticket)
    if effect.sort == "move":
        return now["category"] == str(effect.category)
    if effect.sort != "properties":
        return False
    set_so = all(now[name] == value for name, value in effect.values.items())
    return set_so and holds(effect, ticket)
