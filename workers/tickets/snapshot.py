"""Snapshot: what we knew of a ticket after its previous turn.

It is the snapshot that the handlers were given, plus our own confirmed operations; never the answer of a write, never
a later read. So a change that a person makes while a turn runs is news to the next one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from workers.tickets.change import Change, matches
from workers.tickets.model import Named, PropertyChange, TicketRead, Update
from workers.tickets.text import same_words, within, words

# Early: a property's change that was told by its difference, before the row that tells of it could be read. Pure.
#
# Rows may become visible late. When the row comes, it must not be told a second time.


#: How much later (ms) than it was told a change may be dated: clocks differ.
MARGIN = 120_000


class EarlyAnnouncement(msgspec.Struct, frozen=True, array_like=True):
    """A change told at ``at`` (ms): of which property, from which id or day to which, empty where there was none."""

    at: int
    name: str
    old: str
    new: str


def differences(old: dict[str, str], new: dict[str, str], at: int) -> tuple[EarlyAnnouncement, ...]:
    """Return what differs between two snapshots' properties."""
    return tuple(EarlyAnnouncement(at, name, old[name], now) for name, now in new.items() if old.get(name, now) != now)


def match_announced(
    updates: Iterable[Update], told: Sequence[EarlyAnnouncement]
) -> tuple[dict[int, frozenset[str]], tuple[EarlyAnnouncement, ...]]:
    """Return for each row the properties whose change in it was told already, and what still waits for its row.

    A difference may stand for several rows: each that goes on from where it began is a part of it.
    """
    waiting = {announced_early.name: announced_early for announced_early in told}
    covered: dict[int, frozenset[str]] = {}
    for update in updates if waiting else ():
        for name, change in update.changes.items():
            announced_early = waiting.get(name)
            if (
                announced_early is None
                or _update_text(change.old) != announced_early.old
                or _after(update, announced_early)
            ):
                continue
            covered[update.id] = covered.get(update.id, frozenset()) | {name}
            waiting[name] = msgspec.structs.replace(announced_early, old=_update_text(change.new))
            if _update_text(change.new) == announced_early.new:
                del waiting[name]
    return covered, tuple(waiting.values())


def _after(update: Update, announced_early: EarlyAnnouncement) -> bool:
    return update.at is not None and update.at.astimezone(UTC).timestamp() * 1000 > announced_early.at + MARGIN


def _update_text(side: Named | None) -> str:
    if side is None:
        return ""
    return str(side.id) if side.id is not None else side.name


#: So many words of a message are enough to know it again in what a ticket remembers of it.
TELLING = 24


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """The look of an effect's row.

    ``author`` and ``author_id`` tell whom the effect writes as; ``anonymous`` that the row may name nobody (KB 1039:
    the 2020 edition of ``update_tags`` has no staff id). ``message`` is the sort of message or empty; ``words`` what it
    says, as a person reads it. ``changes`` maps a property to the id, or day, it is set to, empty when cleared.
    """

    author: Literal["staff", "contact"]
    author_id: int
    anonymous: bool = False
    message: Literal["", "note", "reply"] = ""
    words: tuple[str, ...] = ()
    changes: Mapping[str, str] = {}

    @property
    def brief(self) -> "Fingerprint":
        """The fingerprint with no more words than are kept for a while."""
        return msgspec.structs.replace(self, words=self.words[:TELLING])


def fits(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether a row may be the one that the marked effect made."""
    if not _author_fits(fingerprint, update):
        return False
    if any(_new(change) != fingerprint.changes.get(name) for name, change in update.changes.items()):
        return False
    said = words(update.message.html or update.message.text) if update.message else ()
    if not fingerprint.message:
        return not said
    if update.message is None or update.message.forwarded or update.message.private != (fingerprint.message == "note"):
        return False
    return same_words(fingerprint.words, said) or same_words(fingerprint.words, words(update.message.text))


def answers(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether a new row in the answer to the marked effect is its row, whatever HappyFox made of it.

    It may have put a signature or a banner around our words, and have changed more, as a status that follows a reply.
    """
    if not _author_fits(fingerprint, update) or any(
        _new(update.changes[name]) != fingerprint.changes[name] for name in _both(fingerprint, update)
    ):
        return False
    if not fingerprint.message:
        return update.message is None and bool(_both(fingerprint, update))
    if update.message is None or update.message.forwarded or update.message.private != (fingerprint.message == "note"):
        return False
    return within(fingerprint.words, words(update.message.html)) or within(
        fingerprint.words, words(update.message.text)
    )


def _both(fingerprint: Fingerprint, update: Update) -> set[str]:
    return fingerprint.changes.keys() & update.changes.keys()


def _author_fits(fingerprint: Fingerprint, update: Update) -> bool:
    if update.author == "unknown" and update.author_id is None:
        return fingerprint.anonymous
    return update.author == fingerprint.author and update.author_id == fingerprint.author_id


def _new(change: PropertyChange) -> str:
    if change.new is None:
        return ""
    return str(change.new.id) if change.new.id is not None else change.new.name


def attribute(fingerprints: Sequence[Fingerprint | None], updates: Iterable[Update]) -> dict[int, int]:
    """Return each mark, in order, the lowest fitting row that no other has: index of the mark -> id of the row.

    A None among the marks stands for an effect that leaves no row.
    """
    free = sorted(updates, key=lambda update: update.id)
    found: dict[int, int] = {}
    for index, fingerprint in enumerate(fingerprints):
        update = next((update for update in free if fingerprint is not None and fits(fingerprint, update)), None)
        if update is not None:
            found[index] = update.id
            free.remove(update)
    return found


# Timers of a ticket: what a handler wants to come back to, unless something else happens before. Pure.


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A timer that runs, known by its router and name. ``due`` and ``at``, when it was set, are ms.

    A change of a kind in ``unless`` ends it. ``dry`` tells that it was set in a dry run.
    """

    router: str
    name: str
    due: int
    at: int
    unless: tuple[str, ...] = ()
    dry: bool = False

    def ended_by(self, changes: Iterable[Change]) -> str:
        """Return the kind of the first change that ends it, empty when none does."""
        kinds = frozenset(self.unless)
        return next((change.kind for change in changes if matches(kinds, change)), "")

    @property
    def words(self) -> str:
        """Which timer it is, for the ticket history."""
        return f"timer {self.name} of {self.router}"


@dataclass(frozen=True, slots=True)
class DueTimers:
    """What became of a ticket's timers: the changes that those make which are due, those that run on, and remarks."""

    changes: tuple[Change, ...]
    left: tuple[Timer, ...]
    remarks: tuple[str, ...]


def split_due(
    timers: Iterable[Timer],
    changes: Sequence[Change],
    now: int,
    dry: Callable[[str], bool],
    waits: Callable[[Timer], bool] = lambda _: False,
) -> DueTimers:
    """Check the timers in a turn with these changes, at ``now`` (ms); ``dry`` tells which routers run dry.

    ``waits`` tells which of those that are due wait for a worker that knows who receives them.

    What has happened counts before what is due: a reply that came while nobody looked still ends the timer. What was
    set in a dry run ends with it, for what its handler did then was never sent.
    """
    due: list[Timer] = []
    left: list[Timer] = []
    remarks: list[str] = []
    for timer in timers:
        if kind := timer.ended_by(changes):
            remarks.append(f"{timer.words}: ended by {kind}")
        elif timer.dry and not dry(timer.router):
            remarks.append(f"{timer.words}: ended with the dry run in which it was set")
        else:
            (left if timer.due > now or waits(timer) else due).append(timer)
    due.sort(key=lambda timer: timer.due)
    return DueTimers(tuple(map(_change, due)), tuple(left), tuple(remarks))


def replace_timer(timers: Sequence[Timer], new: Timer) -> tuple[Timer, ...]:
    """Add a timer, which takes the place of the one of the same router and name."""
    return (*(each for each in timers if (each.router, each.name) != (new.router, new.name)), new)


def _change(timer: Timer) -> Change:
    at = datetime.fromtimestamp(timer.due / 1000, UTC)
    return Change(kind="later", at=at, name=timer.name, to=timer.router)


#: Rows may become visible late and out of order: ids are remembered one by one for this long (ms) behind the newest.
LATE = 15 * 60_000

#: How long (ms) a change that no delivery has told of yet can still explain one.
UNHEARD = 5 * 60_000

#: How long (ms) our own writes are remembered for the fuse.
HOUR = 3_600_000


class ActingTurn(msgspec.Struct, frozen=True, array_like=True):
    """A turn that acted: when it read the ticket (ms), what had changed, what was done, each in a few words."""

    at: int
    cause: str
    did: str


class LoopGuard(msgspec.Struct, frozen=True, array_like=True):
    """What stops handlers that go round in circles on a ticket.

    ``blown`` names the rule that made it blow, ``writes`` or ``turns``, empty while it is whole; ``at`` is when (ms).
    ``heard`` is when a row by a contact or a colleague was last new, ``acts`` are the last turns that acted.
    """

    tripped: str = ""
    at: int = 0
    heard: int = 0
    acts: tuple[ActingTurn, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
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
    expected: tuple[tuple[int, Fingerprint], ...] = ()
    undelivered: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    once: tuple[str, ...] = ()
    fingerprints: tuple[tuple[int, Fingerprint], ...] = ()
    untrusted_until: int = 0
    loop_guard: LoopGuard = LoopGuard()
    announced_early: tuple[EarlyAnnouncement, ...] = ()
    timers: tuple[Timer, ...] = ()
    unread: Mapping[str, Any] = {}
    merged: tuple[int, ...] | None = None

    def made(self, update: Update, staff: int) -> bool:
        """Return whether one of our recent effects may have made a row; ``staff`` is whom we write as."""
        at = 0 if update.at is None else int(update.at.timestamp() * 1000)
        if (
            self.untrusted_until
            and at <= self.untrusted_until
            and update.author == "staff"
            and update.author_id == staff
        ):
            return True
        return any(at <= then + LATE and fits(fingerprint, update) for then, fingerprint in self.fingerprints)

    def knows(self, update: int) -> bool:
        """Return whether a row is seen or ours."""
        return update <= self.floor or update in self.ids


def take_snapshot(ticket: TicketRead) -> Snapshot:
    """Return the memory of exactly this read."""
    floor, ids = _compact(ticket.history, {update.id for update in ticket.history}, 0)
    return Snapshot(
        floor=floor,
        ids=ids,
        tags=tuple(sorted(ticket.tags)),
        fields={str(field.id): field.value for field in ticket.field_values},
        properties=properties(ticket),
        merged=ticket.merged,
    )


def properties(ticket: TicketRead) -> dict[str, str]:
    """Return status, priority, assignee, category and due date as comparable texts, empty when there is none."""
    return {
        "status": _text(ticket.status.id),
        "priority": _text(ticket.priority.id),
        "assignee": _text(ticket.assignee.id if ticket.assignee else None),
        "category": _text(ticket.category.id),
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _compact(history: Iterable[Update], known: set[int], floor: int) -> tuple[int, tuple[int, ...]]:
    """Move the floor up to the newest row that is old enough, and keeps the ids above it."""
    dated = [(update.at.timestamp() * 1000, update.id) for update in history if update.at is not None]
    if dated:
        line = max(at for at, _ in dated) - LATE
        floor = max([floor, *(identity for at, identity in dated if at <= line)])
    return floor, tuple(sorted(identity for identity in known if identity > floor))


def advance(
    shot: Snapshot,
    *,
    updates: Iterable[int] = (),
    tags_added: Iterable[str] = (),
    tags_removed: Iterable[str] = (),
    fields: Mapping[str, str] | None = None,
    unread: Mapping[str, Any] | None = None,
    changed: Mapping[str, str] | None = None,
    expected: Iterable[tuple[int, Fingerprint]] = (),
    fingerprints: Iterable[tuple[int, Fingerprint]] = (),
    writes: Iterable[int] = (),
    undelivered: Iterable[int] = (),
) -> Snapshot:
    """Add our own confirmed operations to a snapshot: the rows they made, tags, fields and properties they set."""
    members: dict[str, Any] = {
        "ids": tuple(sorted({*shot.ids, *(update for update in updates if update > shot.floor)})),
        "tags": tuple(sorted(({*shot.tags} | set(tags_added)) - set(tags_removed))),
        "fields": {**shot.fields, **(fields or {})},
        "unread": {**shot.unread, **(unread or {})},
        "properties": {**shot.properties, **(changed or {})},
        "expected": (*shot.expected, *expected),
        "fingerprints": (*shot.fingerprints, *((at, fingerprint.brief) for at, fingerprint in fingerprints)),
        "writes": (*shot.writes, *writes),
        "undelivered": (*shot.undelivered, *undelivered),
    }
    return msgspec.structs.replace(shot, **members)


def carry(snapshot: Snapshot | None, shot: Snapshot, now: int) -> Snapshot:
    """Take over into a new snapshot what the previous memory knew beyond the read; times out what is old."""
    if snapshot is None:
        return shot
    floor = max(snapshot.floor, shot.floor)
    return msgspec.structs.replace(
        shot,
        floor=floor,
        ids=tuple(sorted(identity for identity in {*snapshot.ids, *shot.ids} if identity > floor)),
        created=snapshot.created,
        expected=tuple((at, fingerprint) for at, fingerprint in snapshot.expected if at > now - LATE),
        fingerprints=tuple((at, fingerprint) for at, fingerprint in snapshot.fingerprints if at > now - LATE),
        untrusted_until=snapshot.untrusted_until,
        loop_guard=snapshot.loop_guard,
        undelivered=tuple(at for at in snapshot.undelivered if at > now - UNHEARD),
        writes=tuple(at for at in snapshot.writes if at > now - HOUR),
        once=snapshot.once,
        announced_early=tuple(each for each in snapshot.announced_early if each.at > now - LATE),
        timers=snapshot.timers,
        merged=tuple(dict.fromkeys((*(snapshot.merged or ()), *(shot.merged or ())))),
    )


_DECODER = msgspec.json.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """Write the memory as compact JSON."""
    return msgspec.json.encode(snapshot)


def decode(stored: bytes | None) -> Snapshot | None:
    """Read a stored memory; one that cannot be read counts as none, so that the ticket is seen for the first time."""
    if not stored:
        return None
    try:
        snapshot = _DECODER.decode(stored)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return snapshot if snapshot.format == 1 else None
