"""Lanes: claim one, write its plan and journal under its lease, settle it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import msgspec

from workers.store.figures import count_turn
from workers.store.memory import CERTAIN, Memory, Seen, read_memory
from workers.store.pauses import NONE, Pauses, describe_pause, read_paused, read_pauses
from workers.store.scripts import Args, Script
from workers.tickets.clients import ClientWrite, decode_writes

#: The most waiting events that one turn takes; the others wait for the next turn.
MAX_EVENTS = 200

#: The source of events that are deliveries, that a schedule added, or a handler for another ticket than its own.
WEBHOOK = "webhook"
SCHEDULE = "schedule"
HANDLER = "handler"

#: The source of events that other systems sent.
HOOK = "hook"


class EventSummary(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a turn needs to know about a waiting event; never the body."""

    id: str
    at: int
    """When the event was stored (ms)."""
    kind: str
    update: bool
    """Whether it announces an update of the ticket."""
    update_id: int | None
    source: str
    """webhook, hook, replay, handler, schedule or sweep."""
    since: int | None = None
    """When the reported change happened (ms), if that was earlier than ``at``."""
    work: bool = False
    """Whether it carries handler work: a dead letter to replay, or actions of another ticket's handlers."""
    handler: str = ""
    """The only handler that the event is for, if any; of a hook, its router and its name."""


class ClaimedLane(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A lane that this worker has claimed: its lease, and the data its turn starts from."""

    account: str
    ticket: int
    token: str
    """The proof of the lease."""
    now: int
    """When the lane was claimed (ms of the store's clock)."""
    permit: str | None
    """The permit for reading the ticket, taken with the claim."""
    turn: str
    """The id of the turn."""
    claims: int
    """Claims since the lane was last released normally; three mean that this turn crashes workers."""
    events: tuple[EventSummary, ...]
    plan: bytes | None = None
    """The stored plan (JSON)."""
    pending: bytes | None = None
    """The pending handler work (JSON)."""
    retry: int | None = None
    """When pending work or a timer makes the lane due (ms)."""
    poison_mark: str = ""
    """The handler that was running when a worker crashed."""
    snapshot: bytes | None = None
    """What we knew about the ticket after the last turn (JSON)."""
    store_epoch: int | None = None
    """When the store was first used (ms); only set if there is no snapshot."""
    journal: Mapping[str, bytes] = {}
    """The journal entry of each effect."""
    replays: tuple[bytes, ...] = ()
    """The work that events carry: dead letters to replay, actions of other tickets' handlers (JSON)."""
    priority: str = "normal"
    reading: bytes | None = None
    """What the handlers were shown (JSON), once one of them has had an effect in another system."""
    external: Mapping[str, bytes] = {}
    """The journal entry of each effect in another system, by ``handler name``."""
    pauses: Pauses = NONE
    """The pauses that apply to the lane."""
    memory: Memory = CERTAIN
    """Since when the memory of the store is in doubt."""
    bodies: Mapping[str, bytes] = {}
    """The bodies of hooks, by event."""
    maybe_created: bool = False
    """Whether we may have created the ticket; False is certain."""
    client_writes: tuple[ClientWrite, ...] = ()
    """What clients of the gateway have written to the ticket lately."""
    sweep: bytes | None = None
    """The state of the account's sweep (JSON), see periodic.py; only set if there is no snapshot."""

    @property
    def name(self) -> str:
        """The lane's name in the store: the ticket's number."""
        return str(self.ticket)

    @property
    def work(self) -> Iterator[tuple[bytes, bool]]:
        """The work that events carry, and whether a person asked for it: a replay, not another ticket's handler."""
        carriers = (event for event in self.events if event.work)
        return ((stored, event.source != HANDLER) for stored, event in zip(self.replays, carriers, strict=True))

    @property
    def event_ids(self) -> bytes:
        """The ids of the turn's events, as they are stored when the turn is frozen."""
        return msgspec.json.encode([event.id for event in self.events])


@dataclass(frozen=True, slots=True)
class NothingDue:
    """No lane could be claimed."""

    wait: int
    """The ms until it is worth asking again, -1 if that is not known."""
    why: str


@dataclass(frozen=True, slots=True)
class ClaimConfig:
    """The arguments that all claims of an account share."""

    account: str
    lease: int
    """How long a lease lasts (ms)."""
    read: bool
    """Whether turns read their ticket, so that a claim needs a permit."""
    budget: bytes
    """The account's budget, as scripts take it."""
    life: int
    """The deadline of the read, in ms from the claim."""
    durable: bool = True
    """Whether a restart of the store loses nothing, so that calls need not pause after it."""
    seen: Callable[[], Seen] = Seen
    """Returns which server of the store this process saw last."""
    newest_first: bool = False
    """Whether the newest lanes of a class are claimed first."""

    def args(self, nonce: str) -> Args:
        """Return the arguments of a claim."""
        server, ago = self.seen()
        flags: Args = [int(self.durable), server, ago, int(self.newest_first)]
        return [nonce, self.lease, MAX_EVENTS, int(self.read), self.life, self.budget, *flags]


def due(config: ClaimConfig, most: int) -> Script[tuple[int, int]]:
    """Count the lanes that may be claimed now, at most ``most``.

    The second number is the ms until it is worth asking again, -1 if that is not known.
    """
    args: Args = [most, int(config.read), config.budget]
    return Script("due", config.account, args, lambda raw: (int(raw[0]), int(raw[1])))


def claim(config: ClaimConfig, nonce: str) -> Script[ClaimedLane | NothingDue]:
    """Claim one due lane; the same ``nonce`` gets the same lane until it is claimed again."""
    return Script("claim", config.account, config.args(nonce), lambda raw: _claimed(config, nonce, raw))


def _claimed(config: ClaimConfig, nonce: str, raw: Any) -> ClaimedLane | NothingDue:
    """Read the reply of a claim, on its own or after a settlement."""
    if not raw[0]:
        return NothingDue(int(raw[1]), raw[2].decode())
    _, number, token, now, fields, snapshot, events, store_epoch, priority, paused, memory, created, writes, sweep = raw
    lane = ClaimedLane(
        account=config.account,
        ticket=int(number),
        token=token.decode(),
        now=int(now),
        permit=f"read-{nonce}" if config.read else None,
        turn=nonce,
        claims=1,
        events=tuple(map(_summary, events)),
        replays=tuple(event[_WORK] for event in events if event[_WORK] is not None),
        bodies={event[_ID].decode(): event[_BODY] for event in events if len(event) > _BODY and event[_BODY]},
        snapshot=snapshot,
        store_epoch=_optional(store_epoch),
        priority=priority.decode(),
        pauses=read_pauses(paused),
        memory=read_memory(memory),
        maybe_created=bool(created),
        client_writes=decode_writes(writes) if writes else (),
        sweep=sweep,
    )
    return msgspec.structs.replace(lane, **_unfinished(fields)) if fields else lane


def _unfinished(fields: Sequence[bytes]) -> dict[str, Any]:
    """Return the fields of a turn that was claimed before, or whose lane has pending work."""
    turn = {_text(name): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
    return {
        "turn": _text(turn["id"]),
        "claims": int(turn.get("claims", 1)),
        "plan": turn.get("plan"),
        "pending": turn.get("pending"),
        "retry": _optional(turn.get("retry")),
        "poison_mark": _text(turn.get("poison_mark", b"")),
        "reading": turn.get("reading"),
        "journal": _journal(turn, "effect:"),
        "external": _journal(turn, "external:"),
    }


def _journal(turn: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    """Return the journal entries whose fields start with ``kind``, without that prefix."""
    return {name.removeprefix(kind): entry for name, entry in turn.items() if name.startswith(kind)}


#: The positions of an event's work, id and body in the reply of a claim; see read_lane in ``lua/claims.lua``.
_WORK, _ID, _BODY = 6, 9, 10


def _summary(event: Sequence[bytes | None]) -> EventSummary:
    at, kind, update, update_id, source, since, work, handler, _, event_id, *_ = event
    return EventSummary(
        id=event_id.decode() if event_id else "",
        at=int(at or 0),
        kind=_text(kind) if kind else "unknown",
        update=update == b"1",
        update_id=_optional(update_id),
        source=_text(source) if source else "webhook",
        since=_optional(since),
        work=work is not None,
        handler=handler.decode() if handler else "",
    )


def _text(value: bytes) -> str:
    """Decode a text. Invalid bytes, which only manual edits can store, must not stop a lane."""
    return value.decode("utf-8", "replace")


def _optional(value: bytes | None) -> int | None:
    return int(value) if value else None


#: The outcome of a permit whose call was never sent.
UNUSED = "unsent"


class ReadPermit(msgspec.Struct, frozen=True, gc=False):
    """The permit of a turn's read, and how the read ended."""

    id: str | None
    outcome: str = UNUSED
    """See ``permits.PermitOutcome``."""
    age: int = 0
    """Milliseconds since the answer arrived, by the caller's clock."""
    wait: int = 0
    """How long HappyFox asked to wait (ms)."""
    counted: bytes = b""
    """The figures of the call."""

    def args(self) -> Args:
        """Return permit, outcome and age, as scripts take them."""
        return [self.id or "", self.outcome, self.age]


def renew(account: str, lease: int, leases: Sequence[tuple[str, str]]) -> Script[list[str]]:
    """Extend leases, given as (lane, token); return the lanes whose lease is lost."""
    args: Args = [lease, *chain.from_iterable(leases)]
    return Script("renew", account, args, lambda raw: [lane.decode() for lane in raw])


def _under_lease(name: str, lane: ClaimedLane, *args: bytes | str | int) -> Script[bool]:
    """Return a script that changes a lane if its lease is still valid, and answers whether it was."""
    return Script(name, lane.account, [lane.name, lane.token, *args], bool)


def park(lane: ClaimedLane, delay: int, budget: bytes, read: ReadPermit, line: str, life: int) -> Script[bool]:
    """Release a lane before its turn is over; it is due again after ``delay`` ms. False: the lease is lost."""
    figures = (read.counted, count_turn("parked"))
    return _under_lease("park", lane, delay, budget, *read.args(), read.wait, line, life, *figures)


#: Whether a plan was stored: ``stale`` if not, because what its handlers read in their store has changed since.
PlanStored = Literal["stored", "lost", "stale"]

_PLAN_STORED: dict[int, PlanStored] = {1: "stored", 0: "lost", -1: "stale"}


def store_plan(
    lane: ClaimedLane, plan: bytes, calls: int, budget: bytes, read: ReadPermit, state: bytes = b""
) -> Script[PlanStored]:
    """Store the turn's plan of ``calls`` calls, which freezes the turn, and change the ``state`` of routers (JSON)."""
    args: Args = [lane.name, lane.token, plan, budget, *read.args(), calls, lane.event_ids, state, read.counted]
    return Script("plan", lane.account, args, lambda raw: _PLAN_STORED[int(raw)])


def read_state(account: str, entry: str) -> Script[dict[str, str]]:
    """Return an entry of a router's state, as ``lua/state.lua`` documents it; empty if there is none."""

    def read(raw: Sequence[bytes]) -> dict[str, str]:
        fields = map(_text, raw)
        return dict(zip(fields, fields, strict=True))

    return Script("read_state", account, [entry], read)


def set_poison_mark(lane: ClaimedLane, handler: str) -> Script[bool]:
    """Record which handler is about to run, '' when it has returned. False: the lease is lost."""
    return _under_lease("mark", lane, handler)


@dataclass(frozen=True, slots=True)
class Begun:
    """The effect may be sent."""

    at: int
    """The store's time (ms)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The effect may not begin."""

    lost: bool = False
    """The lease is lost."""
    doubt: bool = False
    """The effect has begun before, and its result is unknown."""
    wait: int = 0
    """There is no permit for this many ms, because of ``why``."""
    why: str = ""
    address: str = ""
    """The address that has got its limit of emails (an HMAC)."""
    emails: tuple[str, ...] = ()
    """The emails it has got, as ``<ticket> <turn>.<effect>``."""
    paused: str = ""
    """What is paused, since when and by whom."""


class Emails(msgspec.Struct, frozen=True, gc=False):
    """The addresses that an effect or a client's call sends email to, and that count."""

    addresses: tuple[str, ...]
    """As HMACs; one that gets several emails is there several times."""
    limit: int
    """How many emails each may get within a day; 0 for no limit."""


def begin(  # noqa: PLR0913 - the arguments of one script
    lane: ClaimedLane,
    effect: str,
    permit: str,
    life: int,
    budget: bytes,
    priority: str,
    tries: int,
    without: Sequence[str],
    after: int,
    routers: Sequence[str],
    emails: Emails | None = None,
) -> Script[Begun | Refusal]:
    """Write that an effect begins and take its permit, both or neither; ``life`` is ms until the call's deadline.

    ``tries`` counts earlier attempts, ``after`` is the ticket's newest update before this one. ``without`` names the
    parts of the effect that are not sent, so that a look-up does not expect them. ``emails`` are counted; if an address
    exceeds its limit, the effect may not begin, and neither may one of a paused account, ticket or router.
    """
    omitted = msgspec.json.encode(without) if without else b""
    args: Args = [lane.name, lane.token, effect, permit, life, budget, priority, tries, omitted, after]
    args += [msgspec.json.encode(emails) if emails else b"", lane.turn, msgspec.json.encode(routers)]
    return Script("begin", lane.account, args, _begun, before_call=True)


def _begun(raw: Any) -> Begun | Refusal:
    code = int(raw[0])
    if code == 1:
        return Begun(int(raw[1]))
    if code == 0:
        return Refusal(wait=int(raw[1]), why=raw[2].decode())
    if code == -3:
        return Refusal(address=raw[1].decode(), emails=tuple(each.decode() for each in raw[2]))
    if code == -4:
        return Refusal(paused=describe_pause(*read_paused(raw[1:])))
    return Refusal(lost=code == -1, doubt=code == -2)


#: Special entries for ``done``: delete the journal entry, or keep what is stored.
FORGET = b""
LEAVE = b"-"


def done(  # noqa: PLR0913 - the arguments of one script
    lane: ClaimedLane,
    effect: str,
    entry: bytes,
    permit: str,
    outcome: str,
    age: int,
    wait: int,
    budget: bytes,
    counted: bytes = b"",
) -> Script[bool]:
    """Write an effect's result and settle its permit in one step; ``counted`` are the figures of the call.

    False: the lease is lost.
    """
    return _under_lease("finish", lane, effect, entry, permit, outcome, age, wait, budget, counted)


def store_external(
    lane: ClaimedLane, handler: str, name: str, entry: bytes, reading: bytes, *, before_call: bool
) -> Script[bool]:
    """Write the state of an effect in another system, or ``FORGET`` it. False: the lease is lost.

    ``reading`` is what the turn's handlers were shown, empty if it is already stored. ``before_call`` says whether the
    call comes next.
    """
    script = _under_lease("external", lane, f"{handler} {name}", entry, reading, lane.event_ids)
    return msgspec.structs.replace(script, before_call=before_call)


class EventForOther(msgspec.Struct, frozen=True, gc=False):
    """An event for the lane of another ticket."""

    id: str
    ticket: int
    evidence: str
    """The actions for that ticket, in the format of a dead letter."""


class HeldEmail(msgspec.Struct, frozen=True, gc=False):
    """An email that a brake holds back."""

    dead_letter: str
    """The dead letter that holds it, together with others of the same ticket or address."""
    evidence: str
    """That dead letter (JSON)."""
    id: str
    email: str
    """The email as a dead letter of its own (JSON)."""


class Settlement(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What settling a turn writes besides the blobs; ``settle`` in ``lua/settle.lua`` documents the fields.

    Defaults are omitted, so that an uneventful turn sends little.
    """

    lane: str
    token: str
    turn: str
    handled: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    recheck: int = 0
    settling: int = 0
    quiet: bool = False
    retry: int = 0
    timer: int = 0
    timed: bool = False
    paused: int = -1
    dead_letters: Mapping[str, str] = {}
    held: tuple[HeldEmail, ...] = ()
    created: tuple[tuple[str, int], ...] = ()
    for_others: tuple[EventForOther, ...] = ()
    history: tuple[str, ...] = ()
    saved: int = 0
    learned: str = ""
    news: int = 0
    missed: str = ""
    reset: str = ""
    permit: str = ""
    outcome: str = ""
    age: int = 0
    lives: Mapping[str, int] = {}


def settle(
    account: str,
    settlement: Settlement,
    snapshot: bytes,
    record: bytes,
    pending: bytes,
    config: ClaimConfig,
    nonce: str | None,
    counted: tuple[bytes, bytes] = (b"", b""),
) -> Script[tuple[bool, ClaimedLane | NothingDue | None]]:
    """End a turn and, with a ``nonce``, claim the next lane in the same call. (False, ...): the lease is lost.

    ``counted`` are the figures of its read and those of the turn.
    """
    args: Args = [msgspec.json.encode(settlement), snapshot, record, pending, *config.args(nonce or ""), *counted]

    def read(raw: Any) -> tuple[bool, ClaimedLane | NothingDue | None]:
        return bool(raw[0]), _claimed(config, nonce, raw[1]) if nonce is not None and raw[1] else None

    return Script("settle", account, args, read)
