"""Effects: the API writes that intents are folded into, and the marks by which their rows are known."""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from typing import Any, Literal, TypeVar

import msgspec

from workers.plugins.actions import TicketAction
from workers.store.lanes import EventSummary
from workers.tickets.change import Change
from workers.tickets.snapshot import Fingerprint, Snapshot
from workers.tickets.text import words

#: An effect's sort. Messages carry the properties of the turn; ``properties`` is a staff update without message.
Sort = Literal["tags", "note", "reply", "properties", "forward", "subscribe", "create", "move", "delete"]


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One API write, names already resolved to ids.

    ``handler`` wanted the message, the move and so on; ``owners`` maps each tag (``+x``, ``-x``), property and field
    (``#12``) to the handler that wanted it. ``set`` holds properties, ``fields`` custom fields by id, ``names`` what
    the account calls the ids in it, by property, field (``#12``), ``category`` or staff member (``@7``). ``dry`` tells
    that all who wanted it run dry. ``draft`` holds the members of a ticket to be created beside its subject and words.
    """

    sort: Sort
    handler: str = ""
    owners: Mapping[str, str] = {}
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    set: Mapping[str, int | str | None] = {}
    fields: Mapping[str, Any] = {}
    html: str = ""
    alert: int | str | None = None
    notify: bool = False
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    last_staff_message: int | None = None
    category: int = 0
    to: tuple[str, ...] = ()
    subject: str = ""
    staff: tuple[int, ...] = ()
    names: Mapping[str, str] = {}
    dry: bool = False
    draft: Mapping[str, Any] = {}

    @property
    def handlers(self) -> tuple[str, ...]:
        """Everyone who wanted a part of it, in order."""
        return tuple(dict.fromkeys(name for name in (self.handler, *self.owners.values()) if name))

    @property
    def words(self) -> str:
        """What it does, in plain words, without what customers or handlers wrote."""
        parts: list[str] = []
        if self.sort in ("note", "reply", "forward", "delete"):
            parts.append({"note": "private note", "forward": "forward", "delete": "delete"}.get(self.sort, "reply"))
        parts += [f"tag +{tag}" for tag in self.add] + [f"tag -{tag}" for tag in self.remove]
        parts += [f"{name} = {self._value(name, value)}" for name, value in self.set.items()]
        parts += [f"field {self.names.get(f'#{identity}', identity)}" for identity in self.fields]
        if self.sort == "move":
            parts.append(f"move to category {self.names.get('category', self.category)}")
        if self.sort == "create":
            parts.append(f"create ticket in {self.names.get('category', self.category)}")
        if self.staff:
            parts.append("subscribe " + ", ".join(self.names.get(f"@{one}", str(one)) for one in self.staff))
        return ", ".join(parts)

    def _value(self, name: str, value: int | str | None) -> str:
        return "none" if value is None else self.names.get(name, str(value))

    @property
    def values(self) -> dict[str, str]:
        """The properties it sets, as they are remembered: an id or a day as text, empty when cleared."""
        return {name: "" if value is None else str(value) for name, value in self.set.items()}

    @property
    def text(self) -> str:
        """The words of its message without markup, for whoever may read the ticket; never for logs."""
        return unescape(re.sub(r"<[^>]+>", "", self.html)).strip()


def fingerprint(effect: Effect, staff: int) -> Fingerprint | None:
    """Gives the look of the row that an effect makes, None for effects that leave no row (KB 1039)."""
    if effect.sort in ("note", "reply"):
        return Fingerprint("staff", staff, False, effect.sort, words(effect.html), effect.values)
    if effect.sort in ("tags", "properties"):
        return Fingerprint("staff", staff, effect.sort == "tags", "", (), effect.values)
    if effect.sort == "move":
        said = words(effect.html)
        return Fingerprint("staff", staff, False, "note" if said else "", said, {"category": str(effect.category)})
    return None


def left_out(wanted: Effect, effect: Effect) -> tuple[str, ...]:
    """Names the properties and fields (``#12``) of an effect that what is sent of it leaves out."""
    fields = {f"#{identity}" for identity in wanted.fields.keys() - effect.fields.keys()}
    return tuple(sorted((wanted.set.keys() - effect.set.keys()) | fields))


def less(effect: Effect, without: tuple[str, ...]) -> Effect:
    """Gives what is left of an effect without those."""
    if not without:
        return effect
    return msgspec.structs.replace(
        effect,
        set={name: value for name, value in effect.set.items() if name not in without},
        fields={identity: value for identity, value in effect.fields.items() if f"#{identity}" not in without},
    )


def split(effect: Effect) -> tuple[Effect, ...]:
    """Takes a folded effect apart by handler, for when HappyFox refuses the whole: the message's part comes first."""
    parts: list[Effect] = []
    for name in effect.handlers:
        own = {key for key, owner in effect.owners.items() if owner == name}
        part = msgspec.structs.replace(
            effect,
            owners={key: name for key in effect.owners if key in own},
            add=tuple(tag for tag in effect.add if f"+{tag}" in own),
            remove=tuple(tag for tag in effect.remove if f"-{tag}" in own),
            set={key: value for key, value in effect.set.items() if key in own},
            fields={key: value for key, value in effect.fields.items() if f"#{key}" in own},
        )
        if name != effect.handler:
            sort: Sort = "tags" if effect.sort == "tags" else "properties"
            part = msgspec.structs.replace(
                part,
                sort=sort,
                handler="",
                html="",
                alert=None,
                notify=False,
                cc=(),
                bcc=(),
                last_staff_message=None,
            )
        parts.append(part)
    return tuple(parts)


# The owed: what handlers must still hear or do, and the dead letters of what we stopped trying. Pure.


#: Stands for every handler, where something is theirs together: what they miss while the ticket's fuse is blown.
EVERYONE = "*"

#: The same for every handler of a router.
ALL_OF = "{}.*"


def whom(handler: str) -> str:
    """Says who is meant by a handler's name, or by what stands for several."""
    if handler == EVERYONE:
        return "every handler"
    return f"every handler of {handler[:-2]}" if handler.endswith(f".{EVERYONE}") else handler


class ExternalEffect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the journal says of an effect in another system, made by a handler in ``turn``.

    One that is ``begun`` and never ended is in doubt: ``looks`` tells whether its handler can find out if it happened,
    ``until`` is the time (ms) before which it is not made again. ``value`` is what it gave, ``said`` why that could not
    be kept, ``again`` that a person replays its handler.
    """

    state: Literal["begun", "done", "dry"]
    turn: str
    v: int = 1
    value: Any = None
    until: int = 0
    looks: bool = False
    again: bool = False
    said: str = ""


#: Effects in other systems by the names that their handler gave them.
EffectsByName = Mapping[str, ExternalEffect]


class Doubt(msgspec.Struct, frozen=True):
    """What is needed to look once more for an effect of which nobody can tell whether it happened.

    ``staff`` is whom it was written as. ``rows`` are those above ``floor`` that are surely not its own.
    """

    staff: int
    floor: int
    updates: tuple[int, ...]


#: Stands for the handler in the note that the ticket itself is missing; see ``missing``.
TICKET = ""


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handler that failed and must still run, with every change it has not seen yet. Times are ms.

    ``replay`` tells that a person asked for it. ``foreign`` is what it has done in other systems already. With an
    ``effect``, of the letter ``letter``, nothing runs: the effect is brought about again. Neither does anything with a
    ``wish``: that is what it wants of this ticket, decided on ticket ``origin``. ``missing`` is when its handler was
    first not to be found, ``look`` the time before which nobody need look again. ``paused`` tells that it waits for the
    end of a pause.
    """

    handler: str
    changes: tuple[Change, ...]
    attempt: int
    first_at: int
    first_error: str
    last_error: str
    retry: int
    replay: bool = False
    external: EffectsByName = {}
    actions: tuple[TicketAction, ...] = ()
    origin: int = 0
    effect: Effect | None = None
    doubt: Doubt | None = None
    dead_letter: str = ""
    missing: int = 0
    look: int = 0
    paused: bool = False

    @property
    def due(self) -> int:
        """When its lane is to be claimed for it."""
        return max(self.retry, self.look)


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter: a handler, an effect or a wish for which we stopped trying, with the evidence."""

    id: str
    handler: str
    reason: str
    attempts: int = 1
    first_error: str = ""
    last_error: str = ""
    changes: tuple[Change, ...] = ()
    effect: Effect | None = None
    evidence: Mapping[str, Any] = {}
    doubt: Doubt | None = None
    external: EffectsByName = {}
    actions: tuple[TicketAction, ...] = ()
    origin: int = 0


def together(pending: Iterable[Pending]) -> tuple[Pending, ...]:
    """Joins what one handler is owed several times over, so that it runs once, with every change in order.

    Effects stay by themselves, each once.
    """
    joined: dict[tuple[str, str], Pending] = {}
    for work in pending:
        key = work.handler, work.dead_letter
        before = joined.get(key, work)
        changes = (*before.changes, *(change for change in work.changes if change not in before.changes))
        external = {**work.external, **before.external}
        joined[key] = msgspec.structs.replace(before, changes=changes, external=external)
    return tuple(joined.values())


# The plan: what a turn will do and everything it needs to be resumed and explained, stored before the first effect.


#: What became of a handler: whether it runs again and whether anything is owed to it.
Said = Literal["decided", "skipped", "waits", "retrying", "dead"]


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one handler in a turn, in words for the trail.

    Holds texts only, so the garbage collector need not look at the hundreds that a turn may have.
    """

    handler: str
    state: Said
    reason: str = ""
    attempt: int = 1
    denied: tuple[str, ...] = ()


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a handler wants of another ticket; settling hands it over to that ticket's lane, unless it is ``dry``."""

    ticket: int
    handler: str
    actions: tuple[TicketAction, ...]
    dry: bool = False

    @property
    def words(self) -> str:
        """What is wanted, in plain words."""
        return f"{', '.join(dict.fromkeys(each.word for each in self.actions))} on ticket {self.ticket}"


class Plan(msgspec.Struct, frozen=True):
    """A turn's plan. ``seen`` is the memory of the read it was made from, ``read_at`` the time of that read in ms.

    ``shown`` holds the changes of the handlers that were owed some beside those of the turn, ``foreign`` what each
    handler has done in other systems, ``handed`` what is wanted of other tickets.
    ``handled`` and ``left`` are the ids of events that leave the lane and of those that nothing explains yet, ``look``
    the ms until these are looked at again, ``ticket`` is the answer of that read. ``staff`` is whom the plan writes as,
    0 in plans that were stored before it was a part of them; ``saved`` counts the calls that folding saved.
    """

    format: int
    turn: str
    read_at: int
    snapshot: Snapshot
    changes: tuple[Change, ...]
    verdicts: tuple[Verdict, ...]
    effects: tuple[Effect, ...]
    pending: tuple[Pending, ...]
    dead_letters: tuple[DeadLetter, ...]
    remarks: tuple[str, ...]
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    dry: bool
    ticket: Mapping[str, Any]
    events: tuple[EventSummary, ...]
    shown: Mapping[str, tuple[Change, ...]] = {}
    staff: int = 0
    external: Mapping[str, EffectsByName] = {}
    handed: tuple[Handover, ...] = ()
    saved: int = 0


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the journal says of an effect.

    ``begun`` entries carry permit, deadline (ms), tries and the newest row there was (``after``), ``missing`` ones
    since when (``at``) HappyFox has not known the ticket; the others how it ended: ``rows`` made by it,
    ``expected`` when its row has not shown up, ``fields`` the values of custom fields as HappyFox has them now,
    ``evidence`` for whoever looks at what was ``refused``, ``doubt`` when that may have happened all the same,
    ``without`` the properties and fields (``#12``) that were left out of it, ``ticket`` the number of one that it
    created.
    """

    state: Literal["begun", "missing", "done", "withheld", "refused", "split", "gone", "dry"]
    v: int = 1
    permit: str = ""
    at: int = 0
    deadline: int = 0
    tries: int = 0
    after: int = 0
    updates: tuple[int, ...] = ()
    expected: bool = False
    fields: Mapping[str, str] = {}
    said: str = ""
    evidence: Mapping[str, Any] = {}
    without: tuple[str, ...] = ()
    ticket: int = 0
    doubt: Doubt | None = None


def pieces(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[tuple[str, Effect, Entry]]:
    """Gives each effect, or the parts it was split into, with its key in the journal and its entry there."""
    for index, effect in enumerate(plan.effects):
        entry = journal.get(str(index))
        if entry is not None and entry.state == "split":
            for part, piece in enumerate(split(effect)):
                if (own := journal.get(f"{index}.{part}")) is not None:
                    yield f"{index}.{part}", piece, own
        elif entry is not None:
            yield str(index), effect, entry


class Record(msgspec.Struct, frozen=True):
    """A settled turn, kept for explaining, replaying and testing changed rules against."""

    format: int
    account: str
    number: int
    turn: str
    at: int
    events: tuple[EventSummary, ...]
    changes: tuple[Change, ...]
    verdicts: tuple[Verdict, ...]
    effects: tuple[Effect, ...]
    journal: Mapping[str, Entry]
    remarks: tuple[str, ...]
    dry: bool
    ticket: Mapping[str, Any]
    external: Mapping[str, EffectsByName] = {}
    handed: tuple[Handover, ...] = ()


# Stored values, read again: by a later attempt at the turn, by another version, or by a person.


T = TypeVar("T")

#: The format of plans and records that this version writes and reads.
FORMAT = 1


class Unreadable(Exception):
    """A stored value that this version cannot read; it says which and why."""


def decode_plan(stored: bytes) -> Plan:
    """Reads a stored plan; one of another format, or a broken one, is ``Unreadable``."""
    plan = _decoded(stored, Plan, "the stored plan")
    if plan.format != FORMAT:
        raise Unreadable(f"the stored plan has format {plan.format}, this version reads {FORMAT}")
    return plan


def decode_record(stored: bytes) -> Record:
    """Reads a stored record; one of another format, or a broken one, is ``Unreadable``."""
    try:
        record = _decoded(zlib.decompress(stored), Record, "the stored record")
    except zlib.error as error:
        raise Unreadable(f"the stored record cannot be read ({error})") from None
    if record.format != FORMAT:
        raise Unreadable(f"the stored record has format {record.format}, this version reads {FORMAT}")
    return record


def read_record(stored: bytes | None) -> Record | None:
    """Return a stored record; None if there is none or this version cannot read it."""
    try:
        return decode_record(stored) if stored is not None else None
    except Unreadable:
        return None


def decode_pending(stored: bytes | None) -> tuple[Pending, ...]:
    """Reads what is owed; nothing stored is nothing owed."""
    return _decoded(stored, tuple[Pending, ...], "what is owed") if stored else ()


def decode_replay(stored: bytes) -> Pending:
    """Makes of a dead letter what is owed again, at once: its wish, its effect, or else a run of its handler.

    Whoever replays it has looked: an effect in doubt that only a person could look up is made again.
    """
    dead_letter = _decoded(stored, DeadLetter, "the dead letter")
    external = {
        name: msgspec.structs.replace(entry, until=0, again=True) for name, entry in dead_letter.external.items()
    }
    work = Pending(
        dead_letter.handler, dead_letter.changes, 0, 0, dead_letter.first_error, dead_letter.reason, 0, True, external
    )
    if dead_letter.actions:
        return msgspec.structs.replace(
            work, actions=dead_letter.actions, origin=dead_letter.origin, dead_letter=dead_letter.id
        )
    if dead_letter.effect is None:
        return work
    own = dict(zip(dead_letter.effect.handlers, split(dead_letter.effect), strict=True)).get(
        dead_letter.handler, dead_letter.effect
    )
    return msgspec.structs.replace(work, effect=own, doubt=dead_letter.doubt, dead_letter=dead_letter.id)


def decode_external(stored: bytes) -> ExternalEffect:
    """Reads the journal entry of an effect in another system."""
    return _decoded(stored, ExternalEffect, "the journal of another system")


def decode_entry(stored: bytes) -> Entry:
    """Reads a journal entry."""
    return _decoded(stored, Entry, "the journal")


def _decoded(stored: bytes, shape: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(stored, type=shape)
    except msgspec.DecodeError as error:  # a ValidationError is one, too
        raise Unreadable(f"{what} cannot be read ({error})") from None
