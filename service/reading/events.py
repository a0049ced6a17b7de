"""The events of an account and what they led to, page by page, with filters that are applied before paging."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

from workers.engine.plan import Record, Verdict, decode_record, journaled_effects
from workers.store.failures import UnreadableKey, answered, reading
from workers.store.pages import Page, UnknownCursor
from workers.store.records import AccountRecords

#: How many turns one request searches, how many are read in one step, and how many waiting lanes one request looks at.
SEARCHED, STEP, WAITING = 500, 100, 200

#: How many events of one lane, and of all lanes that one request looks at, are listed.
OF_LANE, OF_LANES = 200, 1000

#: What the cursor of a page of waiting events begins with.
IN_LANES = "waiting"

#: Verdicts of handlers that failed.
FAILED = ("retrying", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to list; an empty member selects all."""

    ticket: int | None = None
    kind: str = ""
    """Of a change that the event led to; ``ticket-updated`` is any but the creation."""
    state: str = ""
    """``waiting``, ``settled`` or ``failed``."""
    source: str = ""
    handler: str = ""
    """A router, or router.function, that decided or failed."""
    text: str = ""
    """What the subject, a message or a contact contains."""
    since: int = 0
    until: int = 0

    @property
    def needs_records(self) -> bool:
        """Whether only settled turns can match."""
        return bool(self.kind or self.handler or self.text or self.state in ("settled", "failed"))

    def selects(self, row: "EventRow", record: Record | None) -> bool:
        """Return whether a row matches; ``record`` is that of its turn."""
        return (
            self.ticket in (None, row.ticket)
            and self.source in ("", row.source)
            and row.at >= self.since
            and (not self.until or row.at <= self.until)
            and (not self.kind or any(_is_kind(kind, self.kind) for kind in row.changes))
            and (self.state != "failed" or bool(row.failed))
            and (not self.handler or any(_is_of(name, self.handler) for name in (*row.decided, *row.failed)))
            and (not self.text or (record is not None and _contains(record, self.text.casefold())))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event and what it led to."""

    id: str
    ticket: int
    subject: str
    at: int
    """When it arrived (ms)."""
    source: str
    kind: str
    turn: str = ""
    """Empty while it waits."""
    settled: int = 0
    changes: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()
    """The handlers that asked for something."""
    failed: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    """What was done, without texts."""
    dry: bool = False

    @property
    def state(self) -> str:
        """Return whether it waits, failed or is settled."""
        return "waiting" if not self.turn else "failed" if self.failed else "settled"

    @property
    def took(self) -> int:
        """Return the ms from its arrival to the end of its turn."""
        return max(0, self.settled - self.at)


def read_events(records: AccountRecords, chosen: EventFilter, cursor: str = "", most: int = 50) -> Page[EventRow]:
    """Return the events of an account, waiting ones first, then the newest.

    A request searches `SEARCHED` turns; if there are more, ``next`` continues, whatever has been found so far. It looks
    at `WAITING` lanes, those that are due first; ``next`` continues with the others if only waiting events are wanted.
    """
    if chosen.state == "waiting":
        return _waiting(records, chosen, cursor, most)
    found = [] if cursor or chosen.needs_records else list(_waiting(records, chosen, "", most).items)
    turns = _turns_of(records, chosen, cursor)
    for number, turn in enumerate(turns, 1):
        cursor, record = turn
        if isinstance(record, UnreadableKey):
            found += [row for row in [_unreadable(cursor, chosen.ticket or 0, record)] if chosen.selects(row, None)]
        elif record is not None:
            found += [row for row in rows_of(record) if chosen.selects(row, record)]
        if len(found) >= most or number >= SEARCHED:
            following = next(turns, None)
            return Page(tuple(found), cursor if following else "")
    return Page(tuple(found))


def _turns_of(
    records: AccountRecords, chosen: EventFilter, cursor: str
) -> Iterator[tuple[str, Record | UnreadableKey | None]]:
    """Yield turns after a cursor, newest first: the cursor behind each turn, and its record."""
    names = _named(records, chosen.ticket) if chosen.ticket is not None else _listed(records, chosen, cursor)
    if chosen.ticket is not None and cursor:
        ids = list(names)
        if cursor not in ids:
            raise UnknownCursor(cursor)
        names = iter(ids[ids.index(cursor) + 1 :])
    while step := list(islice(names, STEP)):
        yield from _decoded(records, step)


def _named(records: AccountRecords, ticket: int) -> Iterator[str]:
    """Yield the turns of one ticket, newest first, by its history."""
    yield from dict.fromkeys(line.turn for line in reversed(records.history(ticket)) if line.turn)


def _listed(records: AccountRecords, chosen: EventFilter, cursor: str) -> Iterator[str]:
    """Yield the turns of the account, newest first; a cursor is a time and the turn that was seen last."""
    until, _, last = cursor.partition("@")
    if cursor and not (until.isdecimal() and last):
        raise UnknownCursor(cursor)
    newest: Any = until or (f"{chosen.until + 86_400_000}" if chosen.until else "+inf")
    keys, offset, skipping = records.keys, 0, bool(last)
    while True:
        step = records.client.zrange(
            keys.turns,
            newest,
            chosen.since or "-inf",
            desc=True,
            byscore=True,
            offset=offset,
            num=STEP,
            withscores=True,
        )
        for turn, at in step:
            name = turn.decode()
            if skipping and int(at) == int(until):
                skipping = name != last
                continue
            skipping = False
            yield f"{int(at)}@{name}"
        if len(step) < STEP:
            return
        offset += STEP


def _decoded(records: AccountRecords, cursors: Sequence[str]) -> Iterator[tuple[str, Record | UnreadableKey | None]]:
    names = [records.keys.record(cursor.rpartition("@")[2]) for cursor in cursors]
    with records.client.pipeline(transaction=False) as batch:
        for name in names:
            batch.get(name)
        answers = batch.execute(raise_on_error=False)
    for cursor, name, stored in zip(cursors, names, answers, strict=True):
        try:
            with reading(name):
                yield cursor, decode_record(stored) if answered(stored) is not None else None
        except UnreadableKey as error:
            yield cursor, error


def rows_of(record: Record) -> Iterator[EventRow]:
    """Yield a row for each event of a turn."""
    facts: dict[str, Any] = {
        "ticket": record.number,
        "subject": subject_of(record),
        "turn": record.turn,
        "settled": record.at,
        "changes": tuple(dict.fromkeys(change.kind for change in record.changes)),
        "decided": _handlers(record.verdicts, ("decided",)),
        "failed": _handlers(record.verdicts, FAILED),
        "actions": actions_of(record),
        "dry": record.dry,
    }
    for event in record.events:
        yield EventRow(id=event.id, at=event.at, source=event.source, kind=event.kind, **facts)


def actions_of(record: Record) -> tuple[str, ...]:
    """Return what a turn did, or would have done in a dry run, without texts."""
    done = (
        effect.summary
        for _, effect, entry in journaled_effects(record, record.journal)
        if entry.state in ("done", "dry")
    )
    return tuple(done)


def subject_of(record: Record) -> str:
    """Return the subject of a turn's ticket, as it was read."""
    return str(record.ticket.get("subject") or "")


def _handlers(verdicts: Sequence[Verdict], states: Sequence[str]) -> tuple[str, ...]:
    return tuple(verdict.handler for verdict in verdicts if verdict.state in states)


def _waiting(records: AccountRecords, chosen: EventFilter, cursor: str, most: int) -> Page[EventRow]:
    """Return a page of events that wait.

    A request looks at the next lanes in the order in which they are due, and sorts their events, the newest first. The
    cursor names the lane after which they begin, and how many of their events have been shown.
    """
    after, shown = _place(cursor)
    lanes, is_last = _next_lanes(records, chosen, after)
    rows = [row for row in _events_of(records, [name for name, _ in lanes]) if chosen.selects(row, None)]
    rows.sort(key=lambda row: -row.at)
    page = rows[shown : shown + most]
    if shown + len(page) < len(rows):
        return Page(tuple(page), f"{IN_LANES}@{after}@{shown + len(page)}")
    name, at = lanes[-1] if lanes else ("", 0.0)
    return Page(tuple(page), "" if is_last else f"{IN_LANES}@{at!r}:{name}@0")


def _place(cursor: str) -> tuple[str, int]:
    """Return the lane after which a page begins, with its time, and how many events were shown before."""
    if not cursor:
        return "", 0
    found = re.fullmatch(rf"{IN_LANES}@((?:[\d.e+]+:\d+)?)@(\d+)", cursor)
    if not found:
        raise UnknownCursor(cursor)
    return found[1], int(found[2])


def _next_lanes(records: AccountRecords, chosen: EventFilter, after: str) -> tuple[list[tuple[str, float]], bool]:
    """Return the lanes that follow in the order of the schedule, with their times, and whether these are the last."""
    if chosen.ticket:
        return [(str(chosen.ticket), 0.0)], True
    at, _, last = after.partition(":")
    # Redis orders members of one score by their bytes; those that were seen have to be read again to be skipped.
    found: list[tuple[str, float]] = []
    offset, low = 0, at or "-inf"
    while len(found) <= WAITING:
        step: Any = records.client.zrange(
            records.keys.schedule, low, "+inf", byscore=True, offset=offset, num=WAITING, withscores=True
        )
        lanes = [(name.decode(), score) for name, score in step]
        found += [each for each in lanes if not at or (each[1], each[0]) > (float(at), last)]
        offset += WAITING
        if len(lanes) < WAITING:
            break
    lengths = _lengths(records, [name for name, _ in found[:WAITING]])
    taken = next((n for n, total in enumerate(accumulate(lengths), 1) if total >= OF_LANES), WAITING)
    return found[:taken], len(found) <= taken


def _lengths(records: AccountRecords, lanes: Sequence[str]) -> list[int]:
    with records.client.pipeline(transaction=False) as batch:
        for lane in lanes:
            batch.llen(records.keys.lane(lane))
        lengths = batch.execute(raise_on_error=False)
    return [min(OF_LANE, length) if isinstance(length, int) else 1 for length in lengths]


def _events_of(records: AccountRecords, lanes: Sequence[str]) -> list[EventRow]:
    """Return the first events of some lanes, and a row for each key that cannot be read."""
    keys, rows, ids = records.keys, list[EventRow](), list[tuple[int, str]]()
    with records.client.pipeline(transaction=False) as batch:
        for lane in lanes:
            batch.lrange(keys.lane(lane), 0, OF_LANE - 1)
        for lane, events in zip(lanes, batch.execute(raise_on_error=False), strict=True):
            try:
                with reading(keys.lane(lane)):
                    ids += [(int(lane), event.decode()) for event in answered(events)]
            except UnreadableKey as error:
                rows.append(_unreadable("", int(lane), error))
        for _, event in ids:
            batch.hmget(keys.event(event), "at", "source", "kind")
        fields = batch.execute(raise_on_error=False)
    for (ticket, event), found in zip(ids, fields, strict=True):
        try:
            with reading(keys.event(event)):
                at, source, kind = (each or b"" for each in answered(found))
                rows.append(
                    EventRow(
                        id=event, ticket=ticket, subject="", at=int(at or 0), source=source.decode(), kind=kind.decode()
                    )
                )
        except UnreadableKey as error:
            rows.append(_unreadable("", ticket, error, event))
    return rows


def _unreadable(cursor: str, ticket: int, error: UnreadableKey, event: str = "") -> EventRow:
    """Return the row of a key that cannot be read: of a turn, of a lane or of an event."""
    at, _, turn = cursor.rpartition("@")
    return EventRow(
        id=event,
        ticket=ticket,
        subject="",
        at=int(at or 0),
        source="",
        kind="unreadable",
        turn=turn,
        settled=int(at or 0),
        changes=(str(error),),
    )


def _is_kind(kind: str, wanted: str) -> bool:
    return kind == wanted or (wanted == "ticket-updated" and kind != "ticket-created")


def _is_of(handler: str, wanted: str) -> bool:
    return handler == wanted or handler.startswith(f"{wanted}.")


def _contains(record: Record, text: str) -> bool:
    """Return whether a turn's ticket or its changes contain a text in any case."""
    contact = record.ticket.get("user") or {}
    found = (subject_of(record), *(str(value) for value in contact.values() if isinstance(value, str)))
    return any(text in each.casefold() for each in (*found, *(change.text for change in record.changes)))
