"""Absence: an effect whose ticket HappyFox does not know (404), be it by mistake or for good."""

from workers.lanes.holding import FORGET
from workers.turns.deciding.missing import next_look
from workers.turns.performing.doubt import TRIES
from workers.turns.performing.sight import Sight
from workers.turns.plan.effects import Effect
from workers.turns.plan.owed import Doubt
from workers.turns.plan.plan import Entry
from workers.turns.state import Gone, Parked
from workers.turns.steps import Steps

#: What is said of an effect that did not happen because its ticket is not there any more.
SAID = "the ticket is gone"

#: What is said of an effect that HappyFox knows no place for although the ticket is there.
UNPLACED = f"HappyFox answered 404 to it, sent {TRIES} times, though the ticket is there"


def miss_ticket(sight: Sight, key: str, gone: str) -> Steps[None]:
    """Lets an effect wait for its ticket as all work waits; in the end, or when ``gone`` says why, gives it up."""
    state = sight.state
    now, entry = state.now(), state.journal.get(key)
    since = entry.at if entry else now
    look = next_look(since, now)
    if gone or not look:
        doubt = Doubt(sight.staff, sight.plan.seen.floor, ()) if entry and entry.state == "begun" else None
        yield from state.enter(key, Entry("gone", said=gone or SAID, doubt=doubt))
        return
    if entry is None:
        yield from state.enter(key, Entry("missing", at=now))
    raise Parked(max(look, 50), "HappyFox does not know the ticket (404)")


def search_ticket(sight: Sight, key: str, effect: Effect) -> Steps[int]:
    """Looks for the ticket; when it is there the effect did not happen and is sent again.

    Gives how often it was sent, at least 1; 0 when it was too often.
    """
    state, entry = sight.state, sight.state.journal[key]
    ticket = yield from state.ticket()
    if ticket is None:
        raise Gone
    if entry.tries >= TRIES:
        yield from state.enter(key, Entry("refused", said=UNPLACED))
        return 0
    sight.checked, sight.read_at = ticket, state.now()
    yield from state.enter(key, FORGET)
    return max(entry.tries, 1)
