"""The plan of a turn, its journal and its record, as they are stored.

A turn stores its plan before its first effect, so that any worker can resume it. The journal records how far each
effect got. When the turn settles, both become part of its record.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from workers.engine.effect import Effect, Held, split_actions
from workers.plugins.actions import StateChange, TicketAction
from workers.plugins.state import StateRead
from workers.store.lanes import EventSummary
from workers.tickets.change import Change
from workers.tickets.snapshot import Snapshot

#: The format of stored plans, records and journal entries that this version writes and reads.
FORMAT = 1


class ExternalEffect(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The journal entry of an effect in another system; it is in doubt if it began and did not end."""

    state: Literal["begun", "done", "dry"]
    turn: str
    format: int = 1
    """May be left out while it is 1."""
    value: Any = None
    """The return value of its call."""
    problem: str = ""
    """Why the value could not be stored."""
    not_before: int = 0
    """When it may be repeated (ms), because an earlier call can no longer take effect."""
    can_check: bool = False
    """Whether its handler can check if it happened."""
    replayed: bool = False
    """Whether a person replays its handler."""


#: Effects in other systems by the names that their handler gave them.
EffectsByName = Mapping[str, ExternalEffect]


class Doubt(msgspec.Struct, frozen=True):
    """The facts for checking again whether an effect has happened."""

    staff: int
    """The staff member it was written as."""
    floor: int
    """Its update is newer than this one."""
    other_updates: tuple[int, ...]
    """Newer updates that are certainly not its own."""


#: The name for all handlers, if work is pending for them together.
EVERYONE = "*"

#: The name for all handlers of a router.
ALL_OF = "{}.*"

#: Used as a handler's name for the note that the ticket could not be read; see ``missing``.
TICKET = ""


def describe_handler(name: str) -> str:
    """Describe the handlers that a name refers to."""
    if name == EVERYONE:
        return "every handler"
    return f"every handler of {name[:-2]}" if name.endswith(f".{EVERYONE}") else name


class HandlerWork(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Work of a handler, to do or given up."""

    handler: str
    changes: tuple[Change, ...] = ()
    """The changes that the handler has not seen yet."""
    first_error: str = ""
    last_error: str = ""
    traceback: tuple[str, ...] = ()
    """Where the plug-in's code was when it failed last: files, lines and functions, but no values."""
    external: EffectsByName = {}
    """What the handler has already done in other systems."""
    effect: Effect | None = None
    """An effect to perform without running the handler."""
    doubt: Doubt | None = None
    """Set if ``effect`` may have happened already."""
    actions: tuple[TicketAction, ...] = ()
    """Actions for this ticket that the handler decided in a turn of ticket ``origin``; it does not run for them."""
    origin: int = 0
    since: int = 0
    """When the first of the changes happened that led to ``actions`` (ms, HappyFox's time)."""
    until: int = 0
    """When the last of them happened."""
    events_since: int = 0
    """When the first event came (ms) that was given up because the ticket could not be read; then no handler is set."""
    created_at: int = 0
    """When one of these events announced the ticket's creation (ms), if any did."""
    site: str = ""
    """The address of the HappyFox account that it is for."""


class Pending(HandlerWork, frozen=True, omit_defaults=True, kw_only=True):
    """Work that is still to do for a handler; all times are ms."""

    attempt: int = 0
    """How often the handler has failed."""
    first_at: int = 0
    retry_at: int = 0
    check_at: int = 0
    """When to check again for what the work waits for: its ticket, its handler, or the end of a pause."""
    missing_since: int = 0
    """Since when no worker has the handler, or HappyFox does not know the ticket."""
    paused: bool = False
    """Whether it waits for the end of a pause."""
    replay: bool = False
    """Whether a person asked for it."""
    dead_letter: str = ""
    """The id of the dead letter that ``effect`` or ``actions`` come from."""

    @property
    def due(self) -> int:
        """When its lane must be claimed for it."""
        return max(self.retry_at, self.check_at)


class DeadLetter(HandlerWork, frozen=True, omit_defaults=True, kw_only=True):
    """Work that we gave up on: of a handler, an effect, or actions."""

    id: str
    reason: str
    attempts: int = 1
    evidence: Mapping[str, Any] = {}
    by_person: bool = False
    """Whether a person's replay hands over ``actions``: they count as that person's."""


def merge_pending(pending: Iterable[Pending]) -> tuple[Pending, ...]:
    """Merge the pending work of each handler, so that it runs once with all changes in order.

    Work from different dead letters stays separate.
    """
    merged: dict[tuple[str, str], Pending] = {}
    for work in pending:
        key = work.handler, work.dead_letter
        before = merged.get(key, work)
        changes = (*before.changes, *(change for change in work.changes if change not in before.changes))
        external = {**work.external, **before.external}
        merged[key] = replace(before, changes=changes, external=external, replay=before.replay or work.replay)
    return tuple(merged.values())


#: What became of a handler in a turn.
VerdictState = Literal["decided", "skipped", "waits", "retrying", "dead"]


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What became of one handler in a turn.

    A turn may have hundreds. They contain only text, so the garbage collector can ignore them.
    """

    handler: str
    state: VerdictState
    reason: str = ""
    attempt: int = 1
    took: int = 0
    """How long the handler ran (ms)."""
    denied: tuple[str, ...] = ()
    """The permissions that the actions lack that were left out."""
    grant: str = ""
    """The setting that would grant them."""


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handler's actions for another ticket; settling adds them to that ticket's lane, unless the handler is dry."""

    ticket: int
    handler: str
    actions: tuple[TicketAction, ...]
    since: int
    """When the first of the changes happened that led to them (ms, HappyFox's time)."""
    until: int = 0
    """When the last of them happened."""
    dry: bool = False
    by_person: bool = False
    """Whether a person asked for them by a replay."""

    @property
    def summary(self) -> str:
        """A description without any text that handlers wrote."""
        return f"{', '.join(dict.fromkeys(action.description for action in self.actions))} on ticket {self.ticket}"


class StateDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a handler changes in the state of its router, together with the plan."""

    handler: str
    changes: tuple[StateChange, ...]
    reads: tuple[StateRead, ...] = ()
    """What it has read, and what must not have changed until the plan is stored."""
    dry: bool = False


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The journal entry of an effect: how far it got, or how it ended."""

    state: Literal["begun", "missing", "done", "withheld", "refused", "split", "gone", "dry", "held", "paused"]
    format: int = 1
    """May be left out while it is 1."""
    at: int = 0
    """When it began, or when HappyFox first did not know the ticket (ms)."""
    permit: str = ""
    deadline: int = 0
    """When its call ends (ms)."""
    attempts: int = 0
    """How many calls were made for it."""
    newest_update: int = 0
    """The newest update of the ticket before the call."""
    omitted: tuple[str, ...] = ()
    """Properties and fields (``#12``) that were not sent, because a person had changed them."""
    updates: tuple[int, ...] = ()
    """The updates it made."""
    expected: bool = False
    """Whether its update is not visible yet."""
    fields: Mapping[str, str] = {}
    """The values of custom fields as HappyFox has them now."""
    ticket: int = 0
    """The number of the ticket it created."""
    reason: str = ""
    """Why it ended in this way; for ``done``: why there was nothing to do."""
    evidence: Mapping[str, Any] = {}
    """Facts for people who look into a refusal."""
    doubt: Doubt | None = None
    """Set if it was given up although it may have happened."""
    held: Held | None = None
    """Set if a brake held the email when it was about to be sent."""


class TurnDecisions(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a turn, and what was decided in it."""

    format: int
    turn: str
    events: tuple[EventSummary, ...]
    ticket: Mapping[str, Any]
    """The ticket as HappyFox returned it to the turn's read, with some of its updates; see ``excerpt``."""
    updates: int = 0
    """How many updates the ticket had."""
    changes: tuple[Change, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    effects: tuple[Effect, ...] = ()
    external: Mapping[str, EffectsByName] = {}
    """What each handler has done in other systems."""
    handovers: tuple[Handover, ...] = ()
    state: tuple[StateDecision, ...] = ()
    """What handlers change in the state of their routers."""
    remarks: tuple[str, ...] = ()
    """Further lines for the ticket's history."""
    dry: bool


class Plan(TurnDecisions, frozen=True, kw_only=True):
    """What a turn will do, and everything needed to resume and settle it."""

    read_at: int
    """When the ticket was read (ms)."""
    snapshot: Snapshot
    """The snapshot taken of that read."""
    staff: int = 0
    """The staff member that effects are written as."""
    site: str = ""
    """The address of the HappyFox account."""
    pending: tuple[Pending, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    handled: tuple[str, ...]
    """Ids of the events that leave the lane."""
    unexplained: tuple[str, ...] = ()
    """Ids of the events that the read does not explain yet."""
    recheck_in: int = 0
    """When to read the ticket again, usually for those (ms from settling)."""
    handler_changes: Mapping[str, tuple[Change, ...]] = {}
    """The changes shown to each handler that had pending ones in addition to those of the turn."""
    calls_saved: int = 0
    """How many calls merging the actions saved."""


class Record(TurnDecisions, frozen=True, kw_only=True):
    """A settled turn, kept to explain it, to replay from it, and to test changed handlers on it."""

    account: str
    number: int
    """The ticket's number."""
    at: int
    """When the turn settled (ms)."""
    journal: Mapping[str, Entry]


def journaled_effects(plan: TurnDecisions, journal: Mapping[str, Entry]) -> Iterator[tuple[str, Effect, Entry]]:
    """Yield each effect, or the parts it was split into, with its journal key and its entry."""
    for index, effect in enumerate(plan.effects):
        entry = journal.get(str(index))
        if entry is not None and entry.state == "split":
            for number, part in enumerate(split_actions(effect)):
                if (own := journal.get(f"{index}.{number}")) is not None:
                    yield f"{index}.{number}", part, own
        elif entry is not None:
            yield str(index), effect, entry


def count_calls(plan: Plan, journal: Mapping[str, Entry]) -> int:
    """Count the calls that a plan has made, whatever HappyFox answered, without what a person asked for."""
    entries = [(effect, entry) for _, effect, entry in journaled_effects(plan, journal)]
    wholes = ((effect, journal.get(str(index))) for index, effect in enumerate(plan.effects))
    entries += [(effect, entry) for effect, entry in wholes if entry and entry.state == "split"]
    return sum(max(entry.attempts, entry.state == "done") for effect, entry in entries if not effect.by_person)


class Unreadable(ValueError):
    """A stored value cannot be read by this version; the text names it and the reason."""


#: How stored values are read, by their type. Decoders are built here and not when they are needed: msgspec 0.22 crashes
#: the process if two threads use a type for the first time at the same moment.
DECODERS: Mapping[Any, msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape)
    for shape in (Plan, Record, Entry, ExternalEffect, DeadLetter, tuple[Pending, ...])
}

T = TypeVar("T")


def decode_record(stored: bytes) -> Record:
    """Read a stored record."""
    try:
        return decode_stored(zlib.decompress(stored), Record, "the stored record")
    except zlib.error as error:
        raise Unreadable(f"the stored record cannot be read ({error})") from None


def read_record(stored: bytes | None) -> Record | None:
    """Return a stored record; None if there is none or this version cannot read it."""
    try:
        return decode_record(stored) if stored is not None else None
    except Unreadable:
        return None


def decode_pending(stored: bytes | None) -> tuple[Pending, ...]:
    """Read a lane's pending work."""
    return decode_stored(stored, tuple[Pending, ...], "the pending work") if stored else ()


def decode_replay(stored: bytes, *, by_person: bool) -> Pending:
    """Turn a dead letter into work that is due at once: its actions, its effect, or a run of its handler.

    The person who replays it has checked: an effect in doubt that only a person could check is repeated. Actions that
    another ticket's handler hands over are in a dead letter too, before any person has looked.
    """
    dead_letter = decode_stored(stored, DeadLetter, "the dead letter")
    effect, handler = dead_letter.effect, dead_letter.handler
    return Pending(
        handler=handler,
        changes=dead_letter.changes,
        first_error=dead_letter.first_error,
        last_error=dead_letter.reason,
        replay=by_person or dead_letter.by_person,
        external={
            name: replace(entry, not_before=0, replayed=by_person) for name, entry in dead_letter.external.items()
        },
        actions=dead_letter.actions,
        origin=dead_letter.origin,
        since=dead_letter.since,
        until=dead_letter.until,
        events_since=dead_letter.events_since,
        created_at=dead_letter.created_at,
        effect=effect,
        doubt=dead_letter.doubt,
        site=dead_letter.site,
        dead_letter=dead_letter.id if dead_letter.actions or effect else "",
    )


def decode_stored(stored: bytes, shape: type[T], what: str) -> T:
    """Read a stored value; raise Unreadable, with ``what`` it is, if it is broken or has another format."""
    try:
        found: T = DECODERS[shape].decode(stored)
    except msgspec.DecodeError as error:  # ValidationError is a subclass
        raise Unreadable(f"{what} cannot be read ({error})") from None
    if (number := getattr(found, "format", FORMAT)) != FORMAT:
        raise Unreadable(f"{what} has format {number}, this version reads {FORMAT}")
    return found
