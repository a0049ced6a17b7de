"""Read the ticket, find the changes since the last turn, and the waiting events that they explain."""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, Parked, TurnContext, clock_difference, ms_ahead, utc
from workers.engine.create import drop_own_creation
from workers.engine.missing import SEARCH, hook_changes, hook_waits, known_elsewhere
from workers.engine.plan import FORMAT, Unreadable
from workers.engine.steps import CallOutcome, Steps, StepT
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Request
from workers.store.lanes import HANDLER, HOOK, SCHEDULE, EventSummary
from workers.store.periodic import SECOND, memo_of, news_since
from workers.store.records import read_lists, read_snapshots, store_list
from workers.store.scripts import Script
from workers.tickets.change import Change, schedule_kind, timer_kind
from workers.tickets.clients import count_client_emails
from workers.tickets.diff import (
    FirstSight,
    LostTime,
    ReadDiff,
    add_merge_changes,
    diff_read,
    merged_since,
    opening_update,
    updates_from_merge,
)
from workers.tickets.model import TicketRead, millis, read_ticket
from workers.tickets.snapshot import SHOWN_WITHIN, Snapshot, decode, split_due

#: On the first read of a ticket, updates count as new if they are at most this much older than the oldest waiting
#: event: clocks differ, and deliveries take time.
FIRST_SIGHT_MARGIN = timedelta(seconds=120)

#: A ticket that was opened longer before the delivery that announces its creation is not new: the delivery is wrong.
LONGEST_CREATION = timedelta(minutes=15)

#: The ages (ms) of an unexplained event at which its ticket is read again, because updates may become visible late.
RECHECK_AGES = (5_000, 35_000, SHOWN_WITHIN)


#: The sources of events that say nothing of what happened in HappyFox.
NOT_FROM_HAPPYFOX = (SCHEDULE, HANDLER, HOOK)

#: How long (ms) after a loss of the store workers that saw it before may take to say so.
SURVIVORS = 5_000


class ReadingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a reading and its stored form have in common."""

    handled: tuple[str, ...]
    """Ids of the waiting events that are explained, or never will be."""
    unexplained: tuple[str, ...]
    """Ids of the waiting events that are not explained yet."""
    recheck_in: int
    """The ms until the ticket is read again for those, 0 if there are none."""
    at: int
    """When the ticket was read (ms)."""
    remarks: tuple[str, ...] = ()
    """Lines for the history: timers that ended, a ticket that we created."""
    ahead: int = 0
    """How far HappyFox's clock is ahead of the store's (ms)."""


class Reading(ReadingFacts, frozen=True, kw_only=True):
    """A read of the ticket and what is new in it."""

    ticket: TicketRead
    diff: ReadDiff


class StoredReading(ReadingFacts, frozen=True, kw_only=True):
    """A reading stored with its turn, after a handler had an effect in another system.

    Handlers get exactly this in later attempts of the turn.
    """

    format: int
    ticket: Mapping[str, Any]
    changes: tuple[Change, ...]
    snapshot: Snapshot
    unattributed: tuple[int, ...]


def read_and_compare(context: TurnContext) -> Steps[Reading | None]:
    """Read the ticket and compare it with its snapshot; return None if HappyFox does not know it (404)."""
    outcome = yield from context.fetch_ticket()
    if (ticket := (yield from context.parse_ticket(outcome))) is None:
        return None
    snapshot, lost_time = context.snapshot, _lost_time(context, outcome, ticket)
    first, now, staff = _first_sight(context, outcome, lost_time), context.utc_now(), context.config.staff_id
    ahead = ms_ahead(outcome, context.utc_now())
    read_at = context.now() + ahead - context.call_time()
    if snapshot is not None:
        snapshot = count_client_emails(snapshot, context.lane.client_writes)
    merged = merged_since(ticket, snapshot)
    known = frozenset[int]()
    if merged:
        known = yield from _known_from_merge(context, ticket, snapshot, merged, first.since, lost_time)
    diff = diff_read(ticket, snapshot, first, now, staff, known, lost_time)
    if diff.lost and _may_learn_more(context):
        raise Parked(1_000, "the store has lost time, and no worker has said yet until when it worked before")
    if lost_time.at and (left := _calls_under_way(context, diff, lost_time)) > 0:
        raise Parked(left, "a call that the store has lost may still be under way")
    later = diff.interrupted and _comes_later(diff)
    if later:
        diff = diff_read(_until_last_loss(ticket, diff), snapshot, first, now, staff, known, lost_time)
    last_write = max((each.number for each in context.lane.client_writes), default=diff.snapshot.client_write)
    known_now = replace(
        diff.snapshot,
        doubts=context.lane.memory.doubts,
        site=context.config.site,
        modified=0 if later else millis(ticket.modified_at),
        read_at=read_at,
        client_write=last_write,
    )
    diff = dataclasses.replace(diff, snapshot=known_now)
    if merged and snapshot:
        diff = add_merge_changes(diff, ticket, snapshot, merged, now)
    created: tuple[str, ...] = ()
    if context.lane.maybe_created:
        diff, created = yield from drop_own_creation(context, ticket, diff)
    diff, ended = _add_due(context, diff, ahead)
    remarks = (*_describe_loss(context, diff), *created, *ended)
    reading = replace(_explain_events(context, ticket, diff, remarks), ahead=ahead)
    return _leave_deliveries(context, reading) if later else reading


def _comes_later(diff: ReadDiff) -> bool:
    """Return whether a turn that the store's loss interrupted must be completed before later changes are shown.

    A handler that was shown both could not be told which of its messages are there already.
    """
    newest = max(update.id for update in diff.lost)
    return any(change.update_id is not None and change.update_id > newest for change in diff.changes)


def _until_last_loss(ticket: TicketRead, diff: ReadDiff) -> TicketRead:
    """Return the ticket as if nothing had happened after the last update that the store has lost."""
    newest = max(update.id for update in diff.lost)
    return dataclasses.replace(ticket, history=tuple(update for update in ticket.history if update.id <= newest))


def _leave_deliveries(context: TurnContext, reading: Reading) -> Reading:
    """Leave the deliveries for the next turn, which is due at once, also if there are none."""
    left = tuple(event.id for event in context.lane.events if _is_delivery(event))
    return replace(
        reading,
        handled=tuple(event for event in reading.handled if event not in left),
        unexplained=tuple(dict.fromkeys((*reading.unexplained, *left))),
        recheck_in=1,
    )


def _is_delivery(event: EventSummary) -> bool:
    return not event.work and event.source not in NOT_FROM_HAPPYFOX


def _lost_time(context: TurnContext, outcome: CallOutcome, ticket: TicketRead) -> LostTime:
    """Return the time that the store has lost since the ticket's snapshot, in HappyFox's time.

    After a day, a ticket without a snapshot is one that the store never knew, unless it has an update of that time.
    """
    memory, snapshot = context.lane.memory, context.snapshot
    if memory.doubts <= (snapshot.doubts if snapshot else 0):
        return LostTime()
    ahead = ms_ahead(outcome, context.utc_now())
    if not snapshot and (age := context.now() - memory.at) >= DAY:
        then = any(memory.ends <= millis(update.at) - ahead <= memory.at for update in ticket.history)
        if not then or age >= context.config.snapshot_ttl:
            return LostTime()
    at, alive = memory.at + ahead, memory.alive + ahead if memory.alive else 0
    return LostTime(at, at + context.config.call_ms + context.config.doubt_ms, alive)


def _calls_under_way(context: TurnContext, diff: ReadDiff, lost_time: LostTime) -> int:
    """Return for how long (ms) a call from the lost time may still take effect on the ticket, 0 or less if none can.

    It can only follow from something that happened before the loss. A second write at the same time may be refused.
    """
    earlier = diff.lost or any(millis(change.at) <= lost_time.at for change in diff.changes)
    return context.lane.memory.at + context.config.call_ms + context.config.doubt_ms - context.now() if earlier else 0


def _may_learn_more(context: TurnContext) -> bool:
    """Return whether a worker that saw the store before the loss may still say until when it worked."""
    memory = context.lane.memory
    return not memory.alive and context.now() < memory.at + SURVIVORS


def _describe_loss(context: TurnContext, diff: ReadDiff) -> Iterator[str]:
    """Describe for the history what the ticket shows of the time that the store has lost."""
    if diff.lost:
        since = f"{utc(context.lane.memory.at):%Y-%m-%d %H:%M:%S}"
        yield (
            f"the store's memory is in doubt since {since} UTC: {len(diff.lost)} updates by us were not known, "
            f"{len(diff.answered)} changes before them are not shown again"
        )


def _known_from_merge(
    context: TurnContext,
    ticket: TicketRead,
    snapshot: Snapshot | None,
    merged: Sequence[int],
    since: datetime,
    lost_time: LostTime,
) -> Steps[frozenset[int]]:
    """Return the updates that came with merged tickets and are not new, by the snapshots of those tickets."""
    stored: Sequence[bytes | None] = yield read_snapshots(context.lane.account, merged)
    named = {event.update_id for event in context.lane.events if event.update_id is not None}
    updates = [update for update in ticket.history if snapshot is None or not snapshot.knows(update.id)]
    snapshots, staff = [decode(each, context.config.site) for each in stored], context.config.staff_id
    return updates_from_merge(updates, opening_update(ticket), snapshot, snapshots, named, since, staff, lost_time)


def _add_due(context: TurnContext, diff: ReadDiff, ahead: int) -> tuple[ReadDiff, tuple[str, ...]]:
    """Add due timers, the schedules that found the ticket and calls of other systems, after its changes.

    A timer that was due before our last update in a time that the store has lost has run then. HappyFox's clock is
    ``ahead`` of the store's, by which timers are due, by that many ms.
    """
    # Updates have whole seconds.
    last = max((millis(update.at) for update in diff.lost), default=0) - ahead + 999
    ran = [timer for timer in diff.snapshot.timers if timer.due <= last and diff.lost]
    due = split_due(
        [timer for timer in diff.snapshot.timers if timer not in ran],
        (*diff.answered, *diff.changes),
        context.now(),
        context.config.dry,
        lambda timer: known_elsewhere(context, timer_kind(timer.router, timer.name), timer.due),
    )
    scheduled = {
        event.handler: Change(kind="scheduled", at=utc(event.at), to=event.handler)
        for event in context.lane.events
        if event.source == SCHEDULE and not _waits_for_worker(context, event)
    }
    called = [event for event in context.lane.events if not _waits_for_worker(context, event)]
    changes = (*diff.changes, *due.changes, *scheduled.values(), *hook_changes(called, context))
    remarks = (*(f"{timer.words}: has run in the time that the store has lost" for timer in ran), *due.remarks)
    return dataclasses.replace(diff, changes=changes, snapshot=replace(diff.snapshot, timers=due.left)), remarks


def _waits_for_worker(context: TurnContext, event: EventSummary) -> bool:
    """Return whether an event is for a handler that only other workers may have: a schedule's, or a hook's."""
    if event.source == HOOK:
        return hook_waits(context, event)
    return event.source == SCHEDULE and known_elsewhere(context, schedule_kind(event.handler), event.at)


def _first_sight(context: TurnContext, outcome: CallOutcome, lost_time: LostTime) -> FirstSight:
    """Return what counts as new on a ticket without a snapshot.

    Deliveries of the lost time are lost, so everything since the store's memory ends may be new. So may everything
    since the last complete sweep: had an earlier change been missed, that sweep would have had the ticket read.
    """
    events = context.lane.events
    note = context.note
    times = [event.since or event.at for event in events] + [note.events_since] * bool(note.events_since)
    created = [event.since or event.at for event in events if event.kind == "created"]
    announced = min(created + [note.created_at] * bool(note.created_at), default=None)
    oldest = min(times, default=context.now())
    if swept := _swept_until(context):
        oldest = min(oldest, swept)
    if lost_time.at:
        oldest = min(oldest, context.lane.memory.ends)
    ahead = clock_difference(outcome, context.utc_now())
    since = utc(oldest) + ahead - FIRST_SIGHT_MARGIN
    if context.lane.store_epoch is not None:
        # What happened before this store began is history. Updates have whole seconds.
        since = max(since, utc(context.lane.store_epoch - SECOND) + ahead)
    new_since = [utc(announced) - LONGEST_CREATION] if announced is not None else []
    new_since += [utc(swept)] if swept else []
    return FirstSight(
        since,
        created_since=min(new_since) + ahead if new_since else None,
        silent=not events or any(event.source not in NOT_FROM_HAPPYFOX for event in events),
    )


def _swept_until(context: TurnContext) -> int:
    """Return the time (ms) from which on the next sweep would find the ticket's changes, 0 if sweeps are off.

    A delivery that comes before that sweep must hide nothing from it. Only for a ticket without a stored snapshot.
    """
    lane = context.lane
    if context.config.sweep is None or lane.store_epoch is None:
        return 0
    return news_since(memo_of(lane.sweep), lane.store_epoch, context.now())


def _explain_events(context: TurnContext, ticket: TicketRead, diff: ReadDiff, remarks: Iterable[str]) -> Reading:
    """Find the waiting events that the read explains.

    A delivery that names an update is explained by that update. One that names none is explained by a change that no
    delivery has announced yet.
    """
    updates, now = {update.id for update in ticket.history}, context.now()
    undelivered = sorted(diff.snapshot.undelivered)
    unexplained: dict[str, int] = {}
    for event in context.lane.events:
        recheck_in = next((age - (now - event.at) for age in RECHECK_AGES if event.at + age > now), 0)
        if _waits_for_worker(context, event):
            unexplained[event.id] = SEARCH
        elif event.update_id is not None:
            if recheck_in and event.update_id not in updates and event.update_id > diff.snapshot.floor:
                unexplained[event.id] = recheck_in
        elif event.update or event.kind == "created":
            if undelivered:
                undelivered.pop(0)
            elif recheck_in and event.kind != "created":
                unexplained[event.id] = recheck_in
    snapshot = replace(diff.snapshot, undelivered=tuple(undelivered))
    return Reading(
        ticket=ticket,
        diff=dataclasses.replace(diff, snapshot=snapshot),
        handled=tuple(event.id for event in context.lane.events if event.id not in unexplained),
        unexplained=tuple(unexplained),
        recheck_in=min(unexplained.values(), default=0),
        at=now,
        remarks=tuple(remarks),
    )


def encode_reading(reading: Reading) -> bytes:
    """Encode a reading for later attempts of the turn."""
    stored = StoredReading(
        format=FORMAT,
        ticket=reading.ticket.raw,
        changes=reading.diff.changes,
        snapshot=reading.diff.snapshot,
        unattributed=tuple(update.id for update in reading.diff.unattributed),
        **_facts(reading),
    )
    return msgspec.json.encode(stored)


_READING = msgspec.json.Decoder(StoredReading)


def decode_reading(encoded: bytes, site: str) -> Reading | None:
    """Decode a stored reading; return None if it is of another account, raise ``Unreadable`` if this version cannot."""
    try:
        stored = _READING.decode(encoded)
        ticket = read_ticket(stored.ticket, site)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise Unreadable(f"the turn's stored reading cannot be read ({error})") from None
    if stored.snapshot.site not in ("", site):
        return None
    unattributed = tuple(update for update in ticket.history if update.id in stored.unattributed)
    return Reading(ticket=ticket, diff=ReadDiff(stored.changes, stored.snapshot, unattributed), **_facts(stored))


def _facts(reading: ReadingFacts) -> dict[str, Any]:
    return {name: getattr(reading, name) for name in ReadingFacts.__struct_fields__}


def read_directory(
    account: str,
    max_age: int,
    get: Callable[[Request, str], Generator[StepT, Any, object]],
    names: Sequence[str] = tuple(Directory.LISTS),
) -> Generator[StepT | Script[Any], Any, Directory]:
    """Return the names and ids of the lists ``names``; ``get`` reads those that are older than ``max_age`` (ms)."""
    stored: Sequence[bytes | None] = yield read_lists(account, names, max_age)
    lists: dict[str, object] = {name: [] for name in Directory.LISTS}
    for name, kept in zip(names, stored, strict=True):
        if kept is not None:
            lists[name] = msgspec.json.decode(kept)
            continue
        content = lists[name] = yield from get(Directory.CALLS[name], f"the list of {name}")
        if not isinstance(content, list):
            # Stored for an hour, an empty list would make every name unknown.
            raise Parked(60_000, f"HappyFox answered the list of {name} with something other than a list")
        yield store_list(account, name, msgspec.json.encode(content))
    return Directory(**lists)
