"""Reading: the ticket once, the changes since it was last seen, and which of the waiting events they explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from workers.events.change import Change, schedule_kind, timer_kind
from workers.events.changes import FirstSight, News, news, opening
from workers.events.last_seen import LastSeen, decode
from workers.events.merging import brought, merged_since, tell
from workers.events.timers import ring
from workers.happyfox.messages import Answer
from workers.lanes.claims import HANDLER, SCHEDULE, Hint
from workers.lanes.memories import memories
from workers.models.ticket import TicketRead
from workers.turns.deciding.missing import SEARCH, known_elsewhere
from workers.turns.performing.creating import ours
from workers.turns.state import State
from workers.turns.steps import Outcome, Steps, ask

#: A first sight presents rows this much older than the oldest waiting event: clocks differ, deliveries take time.
MARGIN = timedelta(seconds=120)

#: The ages (ms) at which an event that nothing explains has its ticket looked at again: a row may show up late.
LOOKS = (5_000, 35_000, 155_000)


@dataclass(frozen=True, slots=True)
class Reading:
    """A read of the ticket, at ``at`` (ms), with what is new in it; ``left`` are events that nothing explains yet.

    ``remarks`` tell of timers that ended and of a ticket that is our own doing.
    """

    ticket: TicketRead
    news: News
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    at: int
    remarks: tuple[str, ...] = ()


def read(state: State) -> Steps[Reading | None]:
    """Reads the ticket once and compares it with what was last seen; None when HappyFox does not know it (404)."""
    outcome = yield from state.fetch()
    ticket = state.understand(outcome)
    seen = decode(state.held.seen)
    if ticket is None:
        return None
    first, now, staff = _first_sight(state, outcome), state.moment(), state.terms.staff
    merged = merged_since(ticket, seen)
    old = (yield from _brought(state, ticket, seen, merged, first.since)) if merged else frozenset()
    found = news(ticket, seen, first, now, staff, old)
    if merged and seen:
        found = tell(found, ticket, seen, merged, now)
    found, created = yield from ours(state, ticket, found)
    called, remarks = _called(state, found)
    return _explain(state, ticket, called, (*created, *remarks))


def _brought(
    state: State, ticket: TicketRead, seen: LastSeen | None, merged: Sequence[int], since: datetime
) -> Steps[frozenset[int]]:
    """Gives the rows that came with merged tickets and are no news, by what is remembered of these."""
    stored = yield from ask(memories(state.held.account, merged))
    named = {hint.update_id for hint in state.held.hints if hint.update_id is not None}
    rows = [row for row in ticket.history if seen is None or not seen.knows(row.id)]
    return brought(rows, opening(ticket), seen, [decode(each) for each in stored], named, since, state.terms.staff)


def _called(state: State, found: News) -> tuple[News, tuple[str, ...]]:
    """Adds what the clock brings behind what happened: timers that are due, schedules that found the ticket."""
    rung = ring(
        found.seen.timers,
        found.changes,
        state.now(),
        state.terms.dry,
        lambda timer: known_elsewhere(state, timer_kind(timer.router, timer.name), timer.due),
    )
    scheduled = {
        hint.handler: Change(kind="scheduled", at=_moment(hint.at), to=hint.handler)
        for hint in state.held.hints
        if hint.source == SCHEDULE and not _early(state, hint)
    }
    changes = (*found.changes, *rung.changes, *scheduled.values())
    return News(changes, msgspec.structs.replace(found.seen, timers=rung.left), found.stray), rung.remarks


def _early(state: State, hint: Hint) -> bool:
    """Tells whether an event is of a schedule that only other workers know, and waits for one of them."""
    return hint.source == SCHEDULE and known_elsewhere(state, schedule_kind(hint.handler), hint.at)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _look(hint: Hint, now: int) -> int:
    """The ms until an event that nothing explains is worth another look, 0 when it never will be."""
    return next((look - (now - hint.at) for look in LOOKS if hint.at + look > now), 0)


def _first_sight(state: State, outcome: Outcome) -> FirstSight:
    hints = state.held.hints
    oldest = min((hint.since or hint.at for hint in hints), default=state.now())
    since = _moment(oldest) + _skew(state, outcome) - MARGIN
    if state.held.birth is not None:
        # What happened before this store began is history. Rows carry whole seconds.
        since = max(since, datetime.fromtimestamp(state.held.birth / 1000 - 2, UTC))
    return FirstSight(
        since,
        created=any(hint.kind == "created" for hint in hints),
        bare=not hints or any(hint.source not in (SCHEDULE, HANDLER) for hint in hints),
    )


def _skew(state: State, outcome: Outcome) -> timedelta:
    """How far HappyFox's clock is ahead of the store's, by the answer's Date header; zero when it has none."""
    stated = outcome.headers.get("date") if isinstance(outcome, Answer) else None
    try:
        return parsedate_to_datetime(stated) - state.moment() if stated else timedelta(0)
    except (ValueError, TypeError):
        return timedelta(0)


def _explain(state: State, ticket: TicketRead, found: News, remarks: tuple[str, ...]) -> Reading:
    """Tells which events the read explains.

    A delivery that names a row is explained by that row. One that says "something changed" without naming it uses up
    one change that no delivery has told of yet.
    """
    rows = {row.id for row in ticket.history}
    unheard = sorted(found.seen.unheard)
    left: dict[str, int] = {}
    for hint in state.held.hints:
        look = _look(hint, state.now())
        if _early(state, hint):
            left[hint.id] = SEARCH
        elif hint.update_id is not None:
            if look and hint.update_id not in rows and hint.update_id > found.seen.floor:
                left[hint.id] = look
        elif hint.update or hint.kind == "created":
            if unheard:
                unheard.pop(0)
            elif look and hint.kind != "created":
                left[hint.id] = look
    return Reading(
        ticket,
        News(found.changes, _heard(found.seen, unheard), found.stray),
        tuple(hint.id for hint in state.held.hints if hint.id not in left),
        tuple(left),
        min(left.values(), default=0),
        state.now(),
        remarks,
    )


def _heard(seen: LastSeen, unheard: list[int]) -> LastSeen:
    return msgspec.structs.replace(seen, unheard=tuple(unheard))
