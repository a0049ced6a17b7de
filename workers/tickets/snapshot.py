"""Snapshot: what we knew about a ticket after its previous turn.

It is what the handlers saw, plus our own confirmed writes; never the answer to a write, never a later read. So the
next turn still finds a change that a person makes while a turn runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeGuard

import msgspec

from workers.tickets.change import Change, matches
from workers.tickets.model import Message, TicketRead, Update, by_staff, id_or_name, millis, text
from workers.tickets.text import same_words, within, words

#: How many words of a message are stored: enough to recognize it.
STORED_WORDS = 24


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """What the update of an effect looks like."""

    author: Literal["staff", "contact"]
    """Whom the effect writes as."""
    author_id: int
    anonymous: bool = False
    """Whether the update may have no author (KB 1039: ``update_tags`` of 2020 has no staff id)."""
    message: Literal["", "note", "reply", "forward"] = ""
    """The kind of message, "" for none."""
    words: tuple[str, ...] = ()
    """The words of the message, as a person reads it."""
    changes: Mapping[str, str] = {}
    """The new id or day of each property that the effect sets, "" if it clears it."""

    def shortened(self) -> "Fingerprint":
        """Return the fingerprint with only the words that are stored."""
        return msgspec.structs.replace(self, words=self.words[:STORED_WORDS])


def attribute(fingerprints: Sequence[Fingerprint | None], updates: Iterable[Update]) -> dict[int, int]:
    """Return the id of the update of each effect, by the index of its fingerprint.

    In order, each effect gets the lowest update that fits and is still free. None is an effect without an update.
    """
    free = sorted(updates, key=lambda update: update.id)
    found: dict[int, int] = {}
    for index, fingerprint in enumerate(fingerprints):
        update = next((update for update in free if fingerprint is not None and fits(fingerprint, update)), None)
        if update is not None:
            found[index] = update.id
            free.remove(update)
    return found


def fits(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether the effect may have made an update."""
    message, new = update.message, {name: id_or_name(change.new) for name, change in update.changes.items()}
    if fingerprint.author == "contact":
        new.pop("status", None)  # HappyFox may open the ticket again
    if not _same_author(fingerprint, update) or not new.items() <= fingerprint.changes.items():
        return False
    if fingerprint.message == "forward":  # HappyFox may add the whole conversation to its words
        return message is not None and message.forwarded
    if not fingerprint.message:
        return message is None or not words(message.html or message.text)
    return _same_kind(message, fingerprint) and (
        same_words(fingerprint.words, words(message.html or message.text))
        or same_words(fingerprint.words, words(message.text))
    )


def fits_answer(fingerprint: Fingerprint, update: Update) -> bool:
    """Return whether a new update in the answer to the effect's call is its update.

    HappyFox may have added a signature or a banner to our words, and changed more, such as the status after a reply.
    """
    message, changed = update.message, fingerprint.changes.keys() & update.changes.keys()
    if not _same_author(fingerprint, update):
        return False
    if any(id_or_name(update.changes[name].new) != fingerprint.changes[name] for name in changed):
        return False
    if not fingerprint.message:
        return message is None and bool(changed)
    return _same_kind(message, fingerprint) and (
        within(fingerprint.words, words(message.html)) or within(fingerprint.words, words(message.text))
    )


def _same_author(fingerprint: Fingerprint, update: Update) -> bool:
    if update.client:
        return False
    if update.author in ("unknown", "staff") and update.author_id is None:
        return fingerprint.anonymous
    return update.author == fingerprint.author and update.author_id == fingerprint.author_id


def _same_kind(message: Message | None, fingerprint: Fingerprint) -> TypeGuard[Message]:
    return message is not None and not message.forwarded and message.private == (fingerprint.message == "note")


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A running timer, identified by its router and name."""

    router: str
    name: str
    due: int
    """When it is due (ms)."""
    at: int
    """When it was set (ms)."""
    unless: tuple[str, ...] = ()
    """The kinds of changes that end it."""
    dry: bool = False
    """Whether it was set in a dry run."""

    def ended_by(self, changes: Iterable[Change]) -> str:
        """Return the kind of the first change that ends it, or ""."""
        kinds = frozenset(self.unless)
        return next((change.kind for change in changes if matches(kinds, change)), "")

    @property
    def words(self) -> str:
        """The description for the ticket history."""
        return f"timer {self.name} of {self.router}"


class DueTimers(NamedTuple):
    """The timers of a ticket after a check."""

    changes: tuple[Change, ...]
    """A change for each timer that is due, in the order of their times."""
    left: tuple[Timer, ...]
    """The timers that keep running."""
    remarks: tuple[str, ...]
    """Lines for the history: which timers ended, and why."""


def split_due(
    timers: Iterable[Timer],
    changes: Sequence[Change],
    now: int,
    dry: Callable[[str], bool],
    waits: Callable[[Timer], bool] = lambda _: False,
) -> DueTimers:
    """Split timers into due, running and ended ones.

    ``changes`` are those of the turn, ``now`` is in ms, ``dry`` says which routers run dry, and ``waits`` which due
    timers wait for a worker that has their recipient.

    A change ends a timer even if the timer is due already: a late turn must still see the reply that came in time. A
    timer that was set in a dry run ends with the dry run, because what its handler did then was never sent.
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


def _change(timer: Timer) -> Change:
    return Change(kind="later", at=datetime.fromtimestamp(timer.due / 1000, UTC), name=timer.name, to=timer.router)


def replace_timer(timers: Sequence[Timer], new: Timer) -> tuple[Timer, ...]:
    """Add a timer in place of the one with the same router and name, if any."""
    return (*(each for each in timers if (each.router, each.name) != (new.router, new.name)), new)


#: How long (ms) single ids are remembered behind the newest update: updates may become visible late and out of order.
VISIBILITY_LAG = 15 * 60_000

#: How long (ms) a change that no delivery has announced yet can explain one.
UNDELIVERED_TTL = 5 * 60_000

#: How long (ms) our own writes are remembered for the loop guard.
HOUR = 3_600_000

#: How long (ms) after a change it may take until a read shows its update; its stamp may be there at once.
SHOWN_WITHIN = 155_000

#: How much later (ms) than its announcement an update may be dated: clocks differ.
CLOCK_MARGIN = 120_000


class EarlyAnnouncement(msgspec.Struct, frozen=True, array_like=True):
    """A changed property that handlers saw before its update was visible."""

    at: int
    """When it was announced (ms)."""
    name: str
    """The name of the property."""
    old: str
    """The previous id or day, "" for none."""
    new: str
    """The new id or day, "" for none."""


class ActingTurn(msgspec.Struct, frozen=True, array_like=True):
    """A turn in which handlers acted."""

    at: int
    """When it read the ticket (ms)."""
    cause: str
    """What had changed, in a few words."""
    actions: str
    """The actions, in a few words."""


class LoopGuard(msgspec.Struct, frozen=True, array_like=True):
    """Stops handlers that run in circles on a ticket."""

    tripped: str = ""
    """The limit that tripped it, ``writes`` or ``turns``; "" if it has not tripped."""
    at: int = 0
    """When it tripped (ms)."""
    last_update_by_others: int = 0
    """When an update by a contact or a colleague was last new (ms)."""
    acting_turns: tuple[ActingTurn, ...] = ()
    """The last turns in which handlers acted."""


class EmailRun(msgspec.Struct, frozen=True, array_like=True):
    """The emails that we have sent from a ticket, as the brakes count them."""

    unanswered: int = 0
    """How many in a row, without an update by a person between them."""
    any: bool = False
    """Whether we have sent one at all."""
    staff_wrote: bool = False
    """Whether a colleague has written since the last one."""

    def one_more(self) -> "EmailRun":
        """Return the run after another email."""
        return EmailRun(self.unanswered + 1, True)


class Snapshot(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is stored about a ticket between two turns."""

    format: int = 1
    floor: int = 0
    """All updates up to this id are known: seen, or made by us."""
    ids: tuple[int, ...] = ()
    """The known updates above the floor."""
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = {}
    """The value of each custom field as text, by its id."""
    properties: Mapping[str, str] = {}
    """Status, priority, assignee, category and due date, as ``properties`` returns them."""
    created: bool = False
    """Whether handlers have seen the creation."""
    expected: tuple[tuple[int, Fingerprint], ...] = ()
    """Own effects whose update was not in the answer, each with its time (ms)."""
    undelivered: tuple[int, ...] = ()
    """The times (ms) of changes that no delivery has announced yet."""
    writes: tuple[int, ...] = ()
    """The times (ms) of our own writes."""
    once: tuple[str, ...] = ()
    """The handlers that run once per ticket and have acted."""
    fingerprints: tuple[tuple[int, Fingerprint], ...] = ()
    """Own recent effects, certain or possible, each with its time (ms): their calls may land late or twice."""
    untrusted_until: int = 0
    """Updates by our staff member up to this time (ms) count as ours: the record of what we did is lost."""
    loop_guard: LoopGuard = LoopGuard()
    announced_early: tuple[EarlyAnnouncement, ...] = ()
    timers: tuple[Timer, ...] = ()
    """The timers that are running."""
    unread: Mapping[str, Any] = {}
    """The values we sent for custom fields not read since, by id: HappyFox may return them in another form."""
    merged: tuple[int, ...] | None = None
    """The tickets that were merged into this one; None if stored before merges were recorded."""
    emails: EmailRun = EmailRun()
    doubts: int = 0
    """How often the memory of the store had been in doubt when this was read; see ``store/memory.py``."""
    lost: tuple[int, ...] = ()
    """Updates that we made and the store has lost, oldest first: each may be what an action would do again."""
    site: str = ""
    """The address of the HappyFox account that the ticket belongs to."""
    modified: int = 0
    """When the ticket was last changed, by HappyFox's stamp in the read (ms); 0 if unknown."""
    read_at: int = 0
    """HappyFox's time when it was asked for the read (ms)."""
    client_write: int = 0
    """The number of the last write by a client of the gateway whose email is counted here."""

    def may_be_ours(self, update: Update, staff: int) -> bool:
        """Return whether a recent effect may have made an update; we write as ``staff``."""
        at = millis(update.at)
        if self.untrusted_until and at <= self.untrusted_until and by_staff(update, staff):
            return True
        return any(at <= then + VISIBILITY_LAG and fits(each, update) for then, each in self.fingerprints)

    def reflects(self, modified: int) -> bool:
        """Return whether the read shows everything until HappyFox's stamp ``modified`` (ms).

        Stamps have whole seconds, and updates may become visible late, so a read soon after may have missed it.
        """
        return modified == self.modified and modified < self.read_at - SHOWN_WITHIN

    def knows(self, update: int) -> bool:
        """Return whether the update with this id was seen before or is ours."""
        return update <= self.floor or update in self.ids


def take_snapshot(ticket: TicketRead) -> Snapshot:
    """Return the snapshot of exactly this read.

    The floor is the newest update that is older than any that can still become visible.
    """
    dated = [(millis(update.at), update.id) for update in ticket.history if update.at]
    limit = max((at for at, _ in dated), default=0) - VISIBILITY_LAG
    floor = max((identity for at, identity in dated if at <= limit), default=0)
    return Snapshot(
        floor=floor,
        ids=tuple(update.id for update in ticket.history if update.id > floor),
        tags=tuple(sorted(ticket.tags)),
        fields={str(field.id): field.value for field in ticket.field_values},
        properties=properties(ticket),
        merged=ticket.merged,
    )


def properties(ticket: TicketRead) -> dict[str, str]:
    """Return the ids of the properties, and the due date, as text; "" for none."""
    return {
        "status": text(ticket.status.id),
        "priority": text(ticket.priority.id),
        "assignee": text(ticket.assignee.id if ticket.assignee else None),
        "category": text(ticket.category.id),
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def add_own_writes(
    snapshot: Snapshot,
    *,
    ids: Iterable[int] = (),
    tags_added: Iterable[str] = (),
    tags_removed: Iterable[str] = (),
    **members: Iterable[Any] | Mapping[str, Any],
) -> Snapshot:
    """Add our own confirmed writes; other ``members`` extend those of that name."""
    added: dict[str, Any] = {}
    for name, value in members.items():
        before = getattr(snapshot, name)
        added[name] = {**before, **value} if isinstance(value, Mapping) else (*before, *value)
    return msgspec.structs.replace(
        snapshot,
        ids=tuple(sorted({*snapshot.ids, *(update for update in ids if update > snapshot.floor)})),
        tags=tuple(sorted(({*snapshot.tags} | set(tags_added)) - set(tags_removed))),
        **added,
    )


def carry_over(previous: Snapshot, new: Snapshot, now: int) -> Snapshot:
    """Return the new snapshot with what only the previous one knows, if not expired."""
    floor = max(previous.floor, new.floor)
    return msgspec.structs.replace(
        previous,
        floor=floor,
        ids=tuple(sorted(identity for identity in {*previous.ids, *new.ids} if identity > floor)),
        tags=new.tags,
        fields=new.fields,
        properties=new.properties,
        unread=new.unread,
        expected=tuple(each for each in previous.expected if each[0] > now - VISIBILITY_LAG),
        fingerprints=tuple(each for each in previous.fingerprints if each[0] > now - VISIBILITY_LAG),
        undelivered=tuple(at for at in previous.undelivered if at > now - UNDELIVERED_TTL),
        writes=tuple(at for at in previous.writes if at > now - HOUR),
        announced_early=tuple(each for each in previous.announced_early if each.at > now - VISIBILITY_LAG),
        merged=tuple(dict.fromkeys((*(previous.merged or ()), *(new.merged or ())))),
    )


def announce_early(old: Mapping[str, str], new: Mapping[str, str], at: int) -> tuple[EarlyAnnouncement, ...]:
    """Return an announcement for each property that differs between two snapshots."""
    return tuple(EarlyAnnouncement(at, name, old[name], now) for name, now in new.items() if old.get(name, now) != now)


def match_announced(
    updates: Iterable[Update], announced: Sequence[EarlyAnnouncement]
) -> tuple[dict[int, frozenset[str]], tuple[EarlyAnnouncement, ...]]:
    """Return each update's properties announced already, and what still waits.

    Without this, handlers would see a change twice: early, and when its update becomes visible. One announcement may
    cover several updates: one that begins where it begins, or ends where it ends, is a part of it. The updates may
    become visible in any order; one that ends there after another has gone on from there is a new change. A property
    may have several announcements, one for each read that showed another value.
    """
    waiting = list(announced)
    covered: dict[int, frozenset[str]] = {}
    over: set[tuple[str, str]] = set()
    for update in updates if waiting else ():
        at = millis(update.at) - CLOCK_MARGIN
        for name, change in update.changes.items():
            old, new = id_or_name(change.old), id_or_name(change.new)
            of = [each for each in waiting if each.name == name and at <= each.at]
            first = next((each for each in of if each.old == old), None)
            last = next((each for each in of if each.new == new and (name, new) not in over), None)
            over.add((name, old))
            if (early := first or last) is None:
                continue
            covered[update.id] = covered.get(update.id, frozenset()) | {name}
            rest = msgspec.structs.replace(early, old=new) if first else msgspec.structs.replace(early, new=old)
            index = waiting.index(early)
            waiting[index : index + 1] = [rest] if rest.old != rest.new else []
    return covered, tuple(waiting)


_DECODER = msgspec.json.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot as compact JSON."""
    return msgspec.json.encode(snapshot)


def decode(stored: bytes | None, site: str = "") -> Snapshot | None:
    """Read a stored snapshot; None if unreadable, or not of the account at ``site``: the ticket counts as new."""
    if not stored:
        return None
    try:
        snapshot = _DECODER.decode(stored)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    is_of_site = not site or snapshot.site in ("", site)
    return snapshot if snapshot.format == 1 and is_of_site else None
