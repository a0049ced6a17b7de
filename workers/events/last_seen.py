"""Last seen: what we knew of a ticket after its previous turn.

It is the snapshot that the handlers were given, plus our own confirmed operations; never the answer of a write, never
a later read. So a change that a person makes while a turn runs is news to the next one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from workers.events.early import Early
from workers.events.mark import Mark, fits
from workers.events.timers import Timer
from workers.models.row import Row
from workers.models.ticket import TicketRead

#: Rows may become visible late and out of order: ids are remembered one by one for this long (ms) behind the newest.
LATE = 15 * 60_000

#: How long (ms) a change that no delivery has told of yet can still explain one.
UNHEARD = 5 * 60_000

#: How long (ms) our own writes are remembered for the fuse.
HOUR = 3_600_000


class Act(msgspec.Struct, frozen=True, array_like=True):
    """A turn that acted: when it read the ticket (ms), what had changed, what was done, each in a few words."""

    at: int
    cause: str
    did: str


class Fuse(msgspec.Struct, frozen=True, array_like=True):
    """What stops handlers that go round in circles on a ticket.

    ``blown`` names the rule that made it blow, ``writes`` or ``turns``, empty while it is whole; ``at`` is when (ms).
    ``heard`` is when a row by a contact or a colleague was last new, ``acts`` are the last turns that acted.
    """

    blown: str = ""
    at: int = 0
    heard: int = 0
    acts: tuple[Act, ...] = ()


class LastSeen(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The memory of a ticket.

    Rows up to ``floor`` and those in ``ids`` are seen or ours. ``fields`` maps a custom field's id to its value as
    text; ``unread`` to what we sent, for one that was not read since: HappyFox may write it in its own way.
    ``created`` tells that the creation was presented. ``expected`` are own effects whose row was not in their answer,
    with the time (ms) of each.
    ``marks`` are own effects of the last minutes, done or perhaps done, with the time (ms) of each: a row that looks
    like one of them may have been made by a call that landed late or twice. Rows by our staff member of up to ``blind``
    (ms) are ours, for we do not know any more what we did.
    ``unheard`` holds times (ms) of changes for which no delivery came yet; ``writes`` times of our own writes.
    ``once`` names the handlers that have acted on this ticket and must not act again; ``timers`` are those that run.
    ``merged`` are the tickets that were merged into this one, None in a memory that knows nothing of merges.
    """

    format: int = 1
    floor: int = 0
    ids: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    created: bool = False
    expected: tuple[tuple[int, Mark], ...] = ()
    unheard: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    once: tuple[str, ...] = ()
    marks: tuple[tuple[int, Mark], ...] = ()
    blind: int = 0
    fuse: Fuse = Fuse()
    early: tuple[Early, ...] = ()
    timers: tuple[Timer, ...] = ()
    unread: Mapping[str, Any] = {}
    merged: tuple[int, ...] | None = None

    def made(self, row: Row, staff: int) -> bool:
        """Tells whether one of our recent effects may have made a row; ``staff`` is whom we write as."""
        at = 0 if row.at is None else int(row.at.timestamp() * 1000)
        if self.blind and at <= self.blind and row.author == "staff" and row.author_id == staff:
            return True
        return any(at <= then + LATE and fits(mark, row) for then, mark in self.marks)

    def knows(self, row: int) -> bool:
        """Tells whether a row is seen or ours."""
        return row <= self.floor or row in self.ids


def snapshot(ticket: TicketRead) -> LastSeen:
    """Gives the memory of exactly this read."""
    floor, ids = _compact(ticket.history, {row.id for row in ticket.history}, 0)
    return LastSeen(
        floor=floor,
        ids=ids,
        tags=tuple(sorted(ticket.tags)),
        fields={str(field.id): field.value for field in ticket.field_values},
        properties=properties(ticket),
        merged=ticket.merged,
    )


def properties(ticket: TicketRead) -> dict[str, str]:
    """Gives status, priority, assignee, category and due date as comparable texts, empty when there is none."""
    return {
        "status": _text(ticket.status.id),
        "priority": _text(ticket.priority.id),
        "assignee": _text(ticket.assignee.id if ticket.assignee else None),
        "category": _text(ticket.category.id),
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _compact(history: Iterable[Row], known: set[int], floor: int) -> tuple[int, tuple[int, ...]]:
    """Moves the floor up to the newest row that is old enough, and keeps the ids above it."""
    dated = [(row.at.timestamp() * 1000, row.id) for row in history if row.at is not None]
    if dated:
        line = max(at for at, _ in dated) - LATE
        floor = max([floor, *(identity for at, identity in dated if at <= line)])
    return floor, tuple(sorted(identity for identity in known if identity > floor))


def advance(
    shot: LastSeen,
    *,
    rows: Iterable[int] = (),
    tags_added: Iterable[str] = (),
    tags_removed: Iterable[str] = (),
    fields: Mapping[str, str] | None = None,
    unread: Mapping[str, Any] | None = None,
    changed: Mapping[str, str] | None = None,
    expected: Iterable[tuple[int, Mark]] = (),
    marks: Iterable[tuple[int, Mark]] = (),
    writes: Iterable[int] = (),
    unheard: Iterable[int] = (),
) -> LastSeen:
    """Adds our own confirmed operations to a snapshot: the rows they made, tags, fields and properties they set."""
    updates: dict[str, Any] = {
        "ids": tuple(sorted({*shot.ids, *(row for row in rows if row > shot.floor)})),
        "tags": tuple(sorted(({*shot.tags} | set(tags_added)) - set(tags_removed))),
        "fields": {**shot.fields, **(fields or {})},
        "unread": {**shot.unread, **(unread or {})},
        "properties": {**shot.properties, **(changed or {})},
        "expected": (*shot.expected, *expected),
        "marks": (*shot.marks, *((at, mark.brief) for at, mark in marks)),
        "writes": (*shot.writes, *writes),
        "unheard": (*shot.unheard, *unheard),
    }
    return msgspec.structs.replace(shot, **updates)


def carry(seen: LastSeen | None, shot: LastSeen, now: int) -> LastSeen:
    """Takes over into a new snapshot what the previous memory knew beyond the read; times out what is old."""
    if seen is None:
        return shot
    floor = max(seen.floor, shot.floor)
    return msgspec.structs.replace(
        shot,
        floor=floor,
        ids=tuple(sorted(identity for identity in {*seen.ids, *shot.ids} if identity > floor)),
        created=seen.created,
        expected=tuple((at, mark) for at, mark in seen.expected if at > now - LATE),
        marks=tuple((at, mark) for at, mark in seen.marks if at > now - LATE),
        blind=seen.blind,
        fuse=seen.fuse,
        unheard=tuple(at for at in seen.unheard if at > now - UNHEARD),
        writes=tuple(at for at in seen.writes if at > now - HOUR),
        once=seen.once,
        early=tuple(each for each in seen.early if each.at > now - LATE),
        timers=seen.timers,
        merged=tuple(dict.fromkeys((*(seen.merged or ()), *(shot.merged or ())))),
    )


_DECODER = msgspec.json.Decoder(LastSeen)


def encode(seen: LastSeen) -> bytes:
    """Writes the memory as compact JSON."""
    return msgspec.json.encode(seen)


def decode(stored: bytes | None) -> LastSeen | None:
    """Reads a stored memory; one that cannot be read counts as none, so that the ticket is seen for the first time."""
    if not stored:
        return None
    try:
        seen = _DECODER.decode(stored)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return seen if seen.format == 1 else None
