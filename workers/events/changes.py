"""From a read and what was last seen to the changes: the ticket is the truth, deliveries are hints. Pure."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.events.change import Actor, Change
from workers.events.differences import KIND_OF, field_changes, property_changes, tag_changes
from workers.events.early import differences, sift
from workers.events.last_seen import HOUR, LastSeen, carry, properties, snapshot
from workers.events.mark import attribute
from workers.models.reference import Named
from workers.models.row import Row
from workers.models.ticket import TicketRead


@dataclass(frozen=True, slots=True)
class FirstSight:
    """How a ticket is met that nothing is known of: rows at or after ``since`` are news, older ones are history.

    ``bare``: somebody told that something happened, so that a change there is, though no row shows which.
    """

    since: datetime
    created: bool
    bare: bool = True


@dataclass(frozen=True, slots=True)
class News:
    """What a read tells: the changes made by others, oldest first, and the memory to settle with.

    ``stray`` are new rows of our own that no effect is known to have made: the store forgot it, or a call landed after
    all hope. They are no news, and an effect that would make such a row again finds it there.
    """

    changes: tuple[Change, ...]
    seen: LastSeen
    stray: tuple[Row, ...] = ()


def news(
    ticket: TicketRead,
    seen: LastSeen | None,
    first: FirstSight,
    now: datetime,
    staff: int,
    brought: frozenset[int] = frozenset(),
) -> News:
    """Compares a read with what was last seen; what we did ourselves, as ``staff``, is left out.

    A person may work as the same staff member: a row by it is ours when an effect made it or, of late, one that looks
    like it. All others are that person's, but those that say nothing: such a row never is news by itself. Neither are
    the rows ``brought`` by merged tickets.
    On first sight rows before ``first.since`` are not presented: a missed first change is better than a second answer.
    """
    if seen is None:
        return _first(ticket, first, now, staff, brought)
    rows = [row for row in ticket.history if not seen.knows(row.id) and row.id not in brought]
    own = attribute([mark for _, mark in seen.expected], rows)
    others = [row for row in rows if row.id not in own.values()]
    stray = [row for row in others if seen.made(row, staff)]
    theirs = [row for row in others if row not in stray]
    foreign = [row for row in theirs if not (_by(row, staff) and _bare(row, ticket))]
    bare = [row for row in theirs if _bare(row, ticket)]
    quiet = tag_changes(ticket, seen, bare, now) + field_changes(ticket, seen, bare, now)
    if not rows:
        quiet += property_changes(ticket, seen, now)
    covered, waiting = sift(theirs, seen.early)
    told = [
        change
        for row in foreign
        for change in _changes(row, ticket, now, covered.get(row.id, frozenset()))
        if not (quiet and row in bare)
    ]
    late = _creation(ticket, seen, first, foreign, now)
    early = () if rows else differences(dict(seen.properties), properties(ticket), _ms(now))
    unheard = [row for row in others if row.id not in covered]
    memory = carry(msgspec.structs.replace(seen, early=(*waiting, *early)), snapshot(ticket), _ms(now))
    memory = msgspec.structs.replace(
        memory,
        created=memory.created or bool(late) or any(change.kind == "ticket-created" for change in told),
        expected=tuple(each for index, each in enumerate(memory.expected) if index not in own),
        unheard=(*memory.unheard, *([_ms(now)] * (len(unheard) or bool(quiet)))),
    )
    # What has no row of its own stands where the row stands that was made with it, else last.
    changes = sorted((*late, *told, *quiet), key=lambda change: change.update_id or sys.maxsize)
    return News(tuple(changes), memory, tuple(stray))


def _by(row: Row, staff: int) -> bool:
    return row.author == "staff" and row.author_id == staff


def _first(ticket: TicketRead, first: FirstSight, now: datetime, staff: int, brought: frozenset[int]) -> News:
    changes: list[Change] = []
    own = [row for row in ticket.history if row.id not in brought]
    recent = [row for row in own if row.at is not None and row.at >= first.since]
    for row in own:
        if (row in recent or (first.created and row is opening(ticket))) and not _by(row, staff):
            changes += _changes(row, ticket, now)
    if first.created and not ticket.history:
        changes.append(Change(kind="ticket-created", at=ticket.created_at or now, text=ticket.first_message))
    created = any(change.kind == "ticket-created" for change in changes)
    if first.bare and not changes and not recent:
        changes.append(Change(kind="ticket-updated", at=ticket.modified_at or now))
    heard = max(len(changes), len(recent))
    memory = msgspec.structs.replace(
        snapshot(ticket),
        created=created,
        unheard=(_ms(now),) * heard,
        # Whatever became of our memory, the ticket still tells how often we wrote of late.
        writes=tuple(
            _ms(row.at) for row in ticket.history if _by(row, staff) and row.at and _ms(row.at) > _ms(now) - HOUR
        ),
    )
    # A creation may be told again to a store that lost its memory: then all that we wrote since may be its answer.
    ours = ticket.history if created else recent
    return News(tuple(changes), memory, tuple(row for row in ours if _by(row, staff)))


def _creation(
    ticket: TicketRead, seen: LastSeen, first: FirstSight, foreign: list[Row], now: datetime
) -> tuple[Change, ...]:
    """A "created" delivery that comes after an "updated" one: the creation is presented all the same, once."""
    row = opening(ticket)
    if seen.created or not first.created or row in foreign:
        return ()
    if row is None:
        return (Change(kind="ticket-created", at=ticket.created_at or now, text=ticket.first_message),)
    return tuple(_changes(row, ticket, now))


def opening(ticket: TicketRead) -> Row | None:
    """Gives the row that opened the ticket; those of tickets that were merged into it may be older."""
    at = ticket.created_at if ticket.merged else None
    rows = (row for row in ticket.history if at is None or row.at is None or row.at >= at)
    return next(rows, ticket.history[0] if ticket.history else None)


def _bare(row: Row, ticket: TicketRead) -> bool:
    """A row that says nothing itself: a tag or a custom field may have changed (seen with live accounts)."""
    return row.message is None and not row.changes and row is not opening(ticket) and row.author != "rule"


def _changes(row: Row, ticket: TicketRead, now: datetime, covered: frozenset[str] = frozenset()) -> Iterable[Change]:
    actor = Actor(row.author, row.author_id, row.author_name)
    at = row.at or now
    if row is opening(ticket):
        yield _said("ticket-created", row, actor, at)
        return
    found = False
    if row.author == "rule":
        found = True
        yield Change(kind="smart-rule", at=at, update_id=row.id, actor=actor, new=Named(None, row.author_name))
    if (kind := _message_kind(row)) is not None:
        found = True
        yield _said(kind, row, actor, at)
    for name, change in row.changes.items():
        found = True
        if name in covered:
            continue
        yield Change(kind=KIND_OF[name], at=at, update_id=row.id, actor=actor, old=change.old, new=change.new)
    if not found:
        yield Change(kind="ticket-updated", at=at, update_id=row.id, actor=actor)


def _message_kind(row: Row) -> str | None:
    if row.message is None or row.message.forwarded:
        return None
    if row.message.private:
        return "note-added"
    return {"contact": "contact-replied", "unknown": None}.get(row.author, "staff-replied")


def _said(kind: str, row: Row, actor: Actor, at: datetime) -> Change:
    message = row.message
    if message is None:
        return Change(kind=kind, at=at, update_id=row.id, actor=actor)
    return Change(
        kind=kind,
        at=at,
        update_id=row.id,
        actor=actor,
        text=message.text,
        html=message.html,
        attachments=message.attachments,
    )


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)
