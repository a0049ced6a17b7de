"""Frozen: a reading as it is stored with its turn, once a handler has had an effect in another system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from workers.engine.context import Parked, TurnContext
from workers.engine.create import drop_own_creation
from workers.engine.missing import SEARCH, known_elsewhere
from workers.engine.plan import Unreadable
from workers.engine.steps import Outcome, Steps, ask
from workers.errors import HappyFoxError
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, read
from workers.store.lanes import HANDLER, SCHEDULE, EventSummary
from workers.store.records import LIFE, MISS, memories, recall, remember
from workers.tickets.change import Change, schedule_kind, timer_kind
from workers.tickets.diff import (
    FirstSight,
    ReadDiff,
    add_merge_changes,
    diff_read,
    merged_since,
    opening_update,
    updates_from_merge,
)
from workers.tickets.model import TicketRead, read_ticket
from workers.tickets.snapshot import Snapshot, decode, split_due

# Reading: the ticket once, the changes since it was last seen, and which of the waiting events they explain.


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
    diff: ReadDiff
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    at: int
    remarks: tuple[str, ...] = ()


def read_and_compare(context: TurnContext) -> Steps[Reading | None]:
    """Reads the ticket once and compares it with what was last seen; None when HappyFox does not know it (404)."""
    outcome = yield from context.fetch_ticket()
    ticket = context.parse_ticket(outcome)
    snapshot = decode(context.lane.snapshot)
    if ticket is None:
        return None
    first, now, staff = _first_sight(context, outcome), context.utc_now(), context.config.staff_id
    merged = merged_since(ticket, snapshot)
    old = (yield from _brought(context, ticket, snapshot, merged, first.since)) if merged else frozenset()
    found = diff_read(ticket, snapshot, first, now, staff, old)
    if merged and snapshot:
        found = add_merge_changes(found, ticket, snapshot, merged, now)
    found, created = yield from drop_own_creation(context, ticket, found)
    called, remarks = _called(context, found)
    return _explain(context, ticket, called, (*created, *remarks))


def _brought(
    context: TurnContext, ticket: TicketRead, snapshot: Snapshot | None, merged: Sequence[int], since: datetime
) -> Steps[frozenset[int]]:
    """Gives the rows that came with merged tickets and are no news, by what is remembered of these."""
    stored = yield from ask(memories(context.lane.account, merged))
    named = {event.update_id for event in context.lane.events if event.update_id is not None}
    updates = [update for update in ticket.history if snapshot is None or not snapshot.knows(update.id)]
    return updates_from_merge(
        updates,
        opening_update(ticket),
        snapshot,
        [decode(each) for each in stored],
        named,
        since,
        context.config.staff_id,
    )


def _called(context: TurnContext, found: ReadDiff) -> tuple[ReadDiff, tuple[str, ...]]:
    """Adds what the clock brings behind what happened: timers that are due, schedules that found the ticket."""
    due = split_due(
        found.snapshot.timers,
        found.changes,
        context.now(),
        context.config.dry,
        lambda timer: known_elsewhere(context, timer_kind(timer.router, timer.name), timer.due),
    )
    scheduled = {
        event.handler: Change(kind="scheduled", at=_moment(event.at), to=event.handler)
        for event in context.lane.events
        if event.source == SCHEDULE and not _early(context, event)
    }
    changes = (*found.changes, *due.changes, *scheduled.values())
    return ReadDiff(changes, msgspec.structs.replace(found.snapshot, timers=due.left), found.unattributed), due.remarks


def _early(context: TurnContext, event: EventSummary) -> bool:
    """Tells whether an event is of a schedule that only other workers know, and waits for one of them."""
    return event.source == SCHEDULE and known_elsewhere(context, schedule_kind(event.handler), event.at)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _look(event: EventSummary, now: int) -> int:
    """The ms until an event that nothing explains is worth another look, 0 when it never will be."""
    return next((look - (now - event.at) for look in LOOKS if event.at + look > now), 0)


def _first_sight(context: TurnContext, outcome: Outcome) -> FirstSight:
    events = context.lane.events
    oldest = min((event.since or event.at for event in events), default=context.now())
    since = _moment(oldest) + _skew(context, outcome) - MARGIN
    if context.lane.store_epoch is not None:
        # What happened before this store began is history. Rows carry whole seconds.
        since = max(since, datetime.fromtimestamp(context.lane.store_epoch / 1000 - 2, UTC))
    return FirstSight(
        since,
        created=any(event.kind == "created" for event in events),
        silent=not events or any(event.source not in (SCHEDULE, HANDLER) for event in events),
    )


def _skew(context: TurnContext, outcome: Outcome) -> timedelta:
    """How far HappyFox's clock is ahead of the store's, by the answer's Date header; zero when it has none."""
    stated = outcome.headers.get("date") if isinstance(outcome, Answer) else None
    try:
        return parsedate_to_datetime(stated) - context.utc_now() if stated else timedelta(0)
    except (ValueError, TypeError):
        return timedelta(0)


def _explain(context: TurnContext, ticket: TicketRead, found: ReadDiff, remarks: tuple[str, ...]) -> Reading:
    """Tells which events the read explains.

    A delivery that names a row is explained by that row. One that says "something changed" without naming it uses up
    one change that no delivery has told of yet.
    """
    updates = {update.id for update in ticket.history}
    undelivered = sorted(found.snapshot.undelivered)
    left: dict[str, int] = {}
    for event in context.lane.events:
        look = _look(event, context.now())
        if _early(context, event):
            left[event.id] = SEARCH
        elif event.update_id is not None:
            if look and event.update_id not in updates and event.update_id > found.snapshot.floor:
                left[event.id] = look
        elif event.update or event.kind == "created":
            if undelivered:
                undelivered.pop(0)
            elif look and event.kind != "created":
                left[event.id] = look
    return Reading(
        ticket,
        ReadDiff(found.changes, _heard(found.snapshot, undelivered), found.unattributed),
        tuple(event.id for event in context.lane.events if event.id not in left),
        tuple(left),
        min(left.values(), default=0),
        context.now(),
        remarks,
    )


def _heard(snapshot: Snapshot, undelivered: list[int]) -> Snapshot:
    return msgspec.structs.replace(snapshot, undelivered=tuple(undelivered))


class StoredReading(msgspec.Struct, frozen=True):
    """A reading as it is stored with the turn: later attempts of the turn show their handlers exactly this."""

    format: int
    ticket: Mapping[str, Any]
    changes: tuple[Change, ...]
    snapshot: Snapshot
    unattributed: tuple[int, ...]
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    at: int
    remarks: tuple[str, ...] = ()


def encode_reading(reading: Reading) -> bytes:
    """Writes a reading for the turn's later attempts."""
    diff = reading.diff
    unattributed = tuple(update.id for update in diff.unattributed)
    return msgspec.json.encode(
        StoredReading(
            format=1,
            ticket=reading.ticket.raw,
            changes=diff.changes,
            snapshot=diff.snapshot,
            unattributed=unattributed,
            handled=reading.handled,
            left=reading.left,
            look=reading.look,
            at=reading.at,
            remarks=reading.remarks,
        )
    )


def decode_reading(stored: bytes, site: str) -> Reading:
    """Reads what ``freeze`` wrote; ``Unreadable`` when this version cannot."""
    try:
        kept = msgspec.json.decode(stored, type=StoredReading)
        ticket = read_ticket(kept.ticket, site)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise Unreadable(f"what the turn's handlers were shown cannot be read ({error})") from None
    unattributed = tuple(update for update in ticket.history if update.id in kept.unattributed)
    diff = ReadDiff(kept.changes, kept.snapshot, unattributed)
    return Reading(ticket, diff, kept.handled, kept.left, kept.look, kept.at, kept.remarks)


# Listing: the account's directory, from the store or, when that is too old, from HappyFox.


def directory(context: TurnContext, *, fresh: bool) -> Steps[Directory]:
    """Gives the account's names and ids; ``fresh`` takes only lists read within the last minute."""
    names = list(Directory.LISTS)
    stored = yield from ask(recall(context.lane.account, names, MISS if fresh else LIFE))
    lists: dict[str, list[object]] = {}
    for name, kept in zip(names, stored, strict=True):
        lists[name] = msgspec.json.decode(kept) if kept is not None else (yield from _fetch(context, name))
    return Directory(**lists)


def _fetch(context: TurnContext, name: str) -> Steps[list[object]]:
    outcome = yield from context.get(Directory.LISTS[name])
    if not isinstance(outcome, Answer):
        raise Parked(5_000, f"the list of {name} could not be read: {outcome}")
    try:
        content = read(outcome)
    except HappyFoxError as error:
        raise Parked(5_000, f"the list of {name} could not be read: {error}") from None
    if not isinstance(content, list):
        # Kept for an hour, an empty answer would make every name an unknown one.
        raise Parked(5_000, f"HappyFox answered the list of {name} with something other than a list")
    yield from ask(remember(context.lane.account, name, msgspec.json.encode(content)))
    return content
