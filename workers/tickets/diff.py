"""Compare a read with the snapshot: the ticket is the truth, deliveries are hints. Pure."""

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.tickets.change import MERGED, Actor, Change
from workers.tickets.model import Named, TicketRead, Update, readable
from workers.tickets.snapshot import (
    HOUR,
    Snapshot,
    attribute,
    carry,
    differences,
    match_announced,
    properties,
    take_snapshot,
)
from workers.tickets.text import same_value

#: The kind of change that each property makes.
KIND_OF = {
    "status": "status-changed",
    "priority": "priority-changed",
    "assignee": "assigned",
    "category": "moved",
    "due_date": "due-date-changed",
}


def _teller(ticket: TicketRead, silent: list[Update], now: datetime) -> tuple[datetime, int | None, Actor]:
    """Who changed what has no row of its own: the author of the last row that says nothing, if there is one."""
    if not silent:
        return ticket.modified_at or now, None, Actor("unknown")
    update = silent[-1]
    return update.at or now, update.id, Actor(update.author, update.author_id, update.author_name)


def tag_changes(ticket: TicketRead, snapshot: Snapshot, silent: list[Update], now: datetime) -> list[Change]:
    """Return the tags that were added and removed; ``bare`` are the new rows that say nothing themselves."""
    added, removed = ticket.tags - set(snapshot.tags), frozenset(snapshot.tags) - ticket.tags
    if not added and not removed:
        return []
    at, update, actor = _teller(ticket, silent, now)
    return [Change(kind="tags-changed", at=at, update_id=update, actor=actor, added=added, removed=removed)]


def field_changes(ticket: TicketRead, snapshot: Snapshot, silent: list[Update], now: datetime) -> list[Change]:
    """Return the custom fields that hold something else; what we sent ourselves is held against what HappyFox shows."""
    at, update, actor = _teller(ticket, silent, now)
    found = []
    for field in ticket.field_values:
        old = snapshot.fields.get(str(field.id), "")
        changed = old != field.value
        if str(field.id) in snapshot.unread:
            sent = snapshot.unread[str(field.id)]
            old, changed = readable(sent), same_value(sent, field.told) is False
        if changed:
            found.append(
                Change(
                    kind="field-changed",
                    at=at,
                    update_id=update,
                    actor=actor,
                    field=field.name,
                    old=Named(None, old) if old else None,
                    new=Named(None, field.value) if field.value else None,
                )
            )
    return found


def property_changes(ticket: TicketRead, snapshot: Snapshot, now: datetime) -> list[Change]:
    """Return the properties that differ; used only when the read shows no new row, since rows tell more."""
    names = labels(ticket)
    found = []
    for name, new in properties(ticket).items():
        old = snapshot.properties.get(name, new)
        if old != new:
            found.append(
                Change(
                    kind=KIND_OF[name],
                    at=ticket.modified_at or now,
                    old=named(name, old, ""),
                    new=named(name, new, names[name]),
                )
            )
    return found


def labels(ticket: TicketRead) -> dict[str, str]:
    """Return the names of status, priority, assignee and category, and the due date, empty when there is none."""
    return {
        "status": ticket.status.name,
        "priority": ticket.priority.name,
        "assignee": ticket.assignee.name if ticket.assignee else "",
        "category": ticket.category.name,
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def named(name: str, value: str, label: str) -> Named | None:
    """Make the value of a property, an id or a day as text and what it is called, into one side of its change."""
    if not value:
        return None
    return Named(None, value) if name == "due_date" else Named(int(value), label)


@dataclass(frozen=True, slots=True)
class FirstSight:
    """How a ticket is met that nothing is known of: rows at or after ``since`` are news, older ones are history.

    ``bare``: somebody told that something happened, so that a change there is, though no row shows which.
    """

    since: datetime
    created: bool
    silent: bool = True


@dataclass(frozen=True, slots=True)
class ReadDiff:
    """What a read tells: the changes made by others, oldest first, and the memory to settle with.

    ``stray`` are new rows of our own that no effect is known to have made: the store forgot it, or a call landed after
    all hope. They are no news, and an effect that would make such a row again finds it there.
    """

    changes: tuple[Change, ...]
    snapshot: Snapshot
    unattributed: tuple[Update, ...] = ()


def diff_read(
    ticket: TicketRead,
    snapshot: Snapshot | None,
    first: FirstSight,
    now: datetime,
    staff: int,
    brought: frozenset[int] = frozenset(),
) -> ReadDiff:
    """Compare a read with what was last seen; what we did ourselves, as ``staff``, is left out.

    A person may work as the same staff member: a row by it is ours when an effect made it or, of late, one that looks
    like it. All others are that person's, but those that say nothing: such a row never is news by itself. Neither are
    the rows ``brought`` by merged tickets.
    On first sight rows before ``first.since`` are not presented: a missed first change is better than a second answer.
    """
    if snapshot is None:
        return _first(ticket, first, now, staff, brought)
    updates = [update for update in ticket.history if not snapshot.knows(update.id) and update.id not in brought]
    own = attribute([fingerprint for _, fingerprint in snapshot.expected], updates)
    others = [update for update in updates if update.id not in own.values()]
    unattributed = [update for update in others if snapshot.made(update, staff)]
    theirs = [update for update in others if update not in unattributed]
    external = [update for update in theirs if not (_by(update, staff) and _bare(update, ticket))]
    silent = [update for update in theirs if _bare(update, ticket)]
    quiet = tag_changes(ticket, snapshot, silent, now) + field_changes(ticket, snapshot, silent, now)
    if not updates:
        quiet += property_changes(ticket, snapshot, now)
    covered, waiting = match_announced(theirs, snapshot.announced_early)
    told = [
        change
        for update in external
        for change in _changes(update, ticket, now, covered.get(update.id, frozenset()))
        if not (quiet and update in silent)
    ]
    late = _creation(ticket, snapshot, first, external, now)
    announced_early = () if updates else differences(dict(snapshot.properties), properties(ticket), _ms(now))
    undelivered = [update for update in others if update.id not in covered]
    memory = carry(
        msgspec.structs.replace(snapshot, announced_early=(*waiting, *announced_early)), take_snapshot(ticket), _ms(now)
    )
    memory = msgspec.structs.replace(
        memory,
        created=memory.created or bool(late) or any(change.kind == "ticket-created" for change in told),
        expected=tuple(each for index, each in enumerate(memory.expected) if index not in own),
        undelivered=(*memory.undelivered, *([_ms(now)] * (len(undelivered) or bool(quiet)))),
    )
    # What has no row of its own stands where the row stands that was made with it, else last.
    changes = sorted((*late, *told, *quiet), key=lambda change: change.update_id or sys.maxsize)
    return ReadDiff(tuple(changes), memory, tuple(unattributed))


def _by(update: Update, staff: int) -> bool:
    return update.author == "staff" and update.author_id == staff


def _first(ticket: TicketRead, first: FirstSight, now: datetime, staff: int, brought: frozenset[int]) -> ReadDiff:
    changes: list[Change] = []
    own = [update for update in ticket.history if update.id not in brought]
    recent = [update for update in own if update.at is not None and update.at >= first.since]
    for update in own:
        if (update in recent or (first.created and update is opening_update(ticket))) and not _by(update, staff):
            changes += _changes(update, ticket, now)
    if first.created and not ticket.history:
        changes.append(Change(kind="ticket-created", at=ticket.created_at or now, text=ticket.first_message))
    created = any(change.kind == "ticket-created" for change in changes)
    if first.silent and not changes and not recent:
        changes.append(Change(kind="ticket-updated", at=ticket.modified_at or now))
    heard = max(len(changes), len(recent))
    memory = msgspec.structs.replace(
        take_snapshot(ticket),
        created=created,
        undelivered=(_ms(now),) * heard,
        # Whatever became of our memory, the ticket still tells how often we wrote of late.
        writes=tuple(
            _ms(update.at)
            for update in ticket.history
            if _by(update, staff) and update.at and _ms(update.at) > _ms(now) - HOUR
        ),
    )
    # A creation may be told again to a store that lost its memory: then all that we wrote since may be its answer.
    ours = ticket.history if created else recent
    return ReadDiff(tuple(changes), memory, tuple(update for update in ours if _by(update, staff)))


def _creation(
    ticket: TicketRead, snapshot: Snapshot, first: FirstSight, external: list[Update], now: datetime
) -> tuple[Change, ...]:
    """A "created" delivery that comes after an "updated" one: the creation is presented all the same, once."""
    update = opening_update(ticket)
    if snapshot.created or not first.created or update in external:
        return ()
    if update is None:
        return (Change(kind="ticket-created", at=ticket.created_at or now, text=ticket.first_message),)
    return tuple(_changes(update, ticket, now))


def opening_update(ticket: TicketRead) -> Update | None:
    """Return the row that opened the ticket; those of tickets that were merged into it may be older."""
    at = ticket.created_at if ticket.merged else None
    updates = (update for update in ticket.history if at is None or update.at is None or update.at >= at)
    return next(updates, ticket.history[0] if ticket.history else None)


def _bare(update: Update, ticket: TicketRead) -> bool:
    """A row that says nothing itself: a tag or a custom field may have changed (seen with live accounts)."""
    return (
        update.message is None
        and not update.changes
        and update is not opening_update(ticket)
        and update.author != "rule"
    )


def _changes(
    update: Update, ticket: TicketRead, now: datetime, covered: frozenset[str] = frozenset()
) -> Iterable[Change]:
    actor = Actor(update.author, update.author_id, update.author_name)
    at = update.at or now
    if update is opening_update(ticket):
        yield _said("ticket-created", update, actor, at)
        return
    found = False
    if update.author == "rule":
        found = True
        yield Change(kind="smart-rule", at=at, update_id=update.id, actor=actor, new=Named(None, update.author_name))
    if (kind := _message_kind(update)) is not None:
        found = True
        yield _said(kind, update, actor, at)
    for name, change in update.changes.items():
        found = True
        if name in covered:
            continue
        yield Change(kind=KIND_OF[name], at=at, update_id=update.id, actor=actor, old=change.old, new=change.new)
    if not found:
        yield Change(kind="ticket-updated", at=at, update_id=update.id, actor=actor)


def _message_kind(update: Update) -> str | None:
    if update.message is None or update.message.forwarded:
        return None
    if update.message.private:
        return "note-added"
    return {"contact": "contact-replied", "unknown": None}.get(update.author, "staff-replied")


def _said(kind: str, update: Update, actor: Actor, at: datetime) -> Change:
    message = update.message
    if message is None:
        return Change(kind=kind, at=at, update_id=update.id, actor=actor)
    return Change(
        kind=kind,
        at=at,
        update_id=update.id,
        actor=actor,
        text=message.text,
        html=message.html,
        attachments=message.attachments,
    )


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)


# Merging: a ticket into which others were merged shows their rows, too. What was answered there is no news here.
# Pure.
#
# Nobody knows whether HappyFox keeps the ids and dates of such rows. Where it keeps ids, the memory of the merged
# ticket tells which of them its own turns have shown. Where that tells nothing only young rows are news, as on first
# sight: a missed change is better than a second answer.


def merged_since(ticket: TicketRead, snapshot: Snapshot | None) -> tuple[int, ...]:
    """Return the tickets that were merged into this one since it was last seen; on first sight all there are."""
    if snapshot is None:
        return ticket.merged
    # A memory from before merges were known of cannot tell which are new.
    return () if snapshot.merged is None else tuple(number for number in ticket.merged if number not in snapshot.merged)


def updates_from_merge(
    updates: Sequence[Update],
    first: Update | None,
    snapshot: Snapshot | None,
    memories: Sequence[Snapshot | None],
    named: Collection[int],
    since: datetime,
    staff: int,
) -> frozenset[int]:
    """Return those of the new ``rows`` that came with a merge and are no news.

    ``first`` is the row that opened the ticket. ``memories`` are those of the merged tickets, None for one that nothing
    is known of; ``named`` the rows that this ticket's own deliveries named. Rows before ``since`` are old, and
    those from before a merged ticket last heard of somebody. Rows by our staff member are ours.
    """
    known = [memory for memory in memories if memory]
    theirs = {identity for memory in known for identity in (*memory.ids, memory.floor)}
    kept = len(known) == len(memories) and any(update.id in theirs for update in updates)
    heard = max((memory.loop_guard.heard for memory in known), default=0)
    young = max(since, datetime.fromtimestamp((heard + 1) / 1000, UTC))

    def old(update: Update) -> bool:
        if update.id in theirs or any(memory.made(update, staff) for memory in known):
            return True
        if update is first and snapshot is None:
            return False
        if update.author == "staff" and update.author_id == staff:
            return snapshot is not None and not snapshot.made(update, staff)  # first sight leaves them out itself
        if update.id not in named and any(memory.knows(update.id) for memory in known):
            return True
        return not kept and (update.at is None or update.at < young)

    return frozenset(update.id for update in updates if old(update))


def add_merge_changes(
    found: ReadDiff, ticket: TicketRead, snapshot: Snapshot, merged: Sequence[int], now: datetime
) -> ReadDiff:
    """Add the changes that tell of a merge; ``found`` is what else is new to a ticket that was seen before.

    A row of a merged ticket tells of that ticket's properties: its changes count only where this one's have changed.
    """
    current = properties(ticket)
    same = {KIND_OF[name] for name, value in current.items() if snapshot.properties.get(name, value) == value}
    changes = [change for change in found.changes if change.kind not in same or change.update_id is None]
    at = ticket.modified_at or now
    changes += [Change(kind="ticket-updated", at=at, new=Named(each, f"#{each}"), name=MERGED) for each in merged]
    undelivered = (*found.snapshot.undelivered, int(now.timestamp() * 1000))
    return ReadDiff(
        tuple(changes), msgspec.structs.replace(found.snapshot, undelivered=undelivered), found.unattributed
    )
