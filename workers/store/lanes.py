"""Claims: which lane a worker comes to hold, and all that its turn starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from workers.store.scripts import Args, Script

# Pauses: what of an account a person has stopped for a while, as the store keeps it and as claims are told.


#: What can be paused: a whole account, a router of it, a ticket of it.
Scope = Literal["account", "router", "ticket"]


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pause: since when (ms), by whom, and whether what comes meanwhile is skipped instead of waiting."""

    since: int
    by: str
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that concern a lane; ``ended`` counts the account's pauses that have ended."""

    account: Pause | None = None
    routers: Mapping[str, Pause] = field(default_factory=dict)
    ticket: Pause | None = None
    ended: int = 0


NONE = Pauses()


def read_pauses(raw: Sequence[bytes | None] | None) -> Pauses:
    """Read what a claim's reply tells of pauses."""
    if not raw or not any(raw):
        return NONE
    account, routers, ticket, ended = raw
    return Pauses(_one(account), _each(routers), _one(ticket), int(ended or 0))


def pause(account: str, scope: Scope, name: str, entry: Pause) -> Script[bool]:
    """Pause something; tells whether it was paused before. A pause takes the place of the one before it."""
    return Script("pause", account, [scope, name, msgspec.json.encode(entry)], bool)


def resume(account: str, scope: Scope, name: str) -> Script[bool]:
    """End a pause; what waited for it becomes due. False when there was none."""
    return Script("pause", account, [scope, name, b""], bool)


def listed(stored: Mapping[bytes, bytes]) -> dict[tuple[Scope, str], Pause]:
    """Read every pause of an account, by scope and name, from the hash that holds them."""
    found: dict[tuple[Scope, str], Pause] = {}
    if (account := _one(stored.get(b"account"))) is not None:
        found["account", ""] = account
    found |= {("router", name): each for name, each in sorted(_each(stored.get(b"routers")).items())}
    tickets = sorted(int(name.removeprefix(b"ticket:")) for name in stored if name.startswith(b"ticket:"))
    for number in tickets:
        if (each := _one(stored[b"ticket:%d" % number])) is not None:
            found["ticket", str(number)] = each
    return found


def _one(stored: bytes | None) -> Pause | None:
    return msgspec.json.decode(stored, type=Pause) if stored else None


def _each(stored: bytes | None) -> dict[str, Pause]:
    return msgspec.json.decode(stored, type=dict[str, Pause]) if stored else {}


#: How many waiting events one turn takes at the most; the rest waits for the next turn.
MOST_EVENTS = 200

#: The sources of events that a schedule made, and a handler for a ticket that was not its own.
SCHEDULE = "schedule"
HANDLER = "handler"


class EventSummary(msgspec.Struct, frozen=True, gc=False):
    """A waiting event, as far as a turn needs it: when it came and what it told; never the body.

    ``debt`` tells that it carries a dead letter to be replayed, ``handler`` for whom alone it is.
    """

    id: str
    at: int
    kind: str
    update: bool
    update_id: int | None
    source: str
    since: int | None = None
    work: bool = False
    handler: str = ""


class ClaimedLane(msgspec.Struct, frozen=True, gc=False):
    """A lane that this worker holds: its lease and everything its turn starts from.

    ``token`` proves the lease. ``now`` is the store's time of the claim in ms. ``permit`` is the permit for reading the
    ticket, taken with the claim, or None. ``claims`` counts claims since the lane was last given back in order: three
    mean that this turn kills workers, and ``mark`` then names the handlers that were under way. ``plan``, ``owed``,
    ``seen`` are stored JSON or None; ``retry`` is the ms at which the lane was to be due for what is owed or a timer,
    ``birth`` that in which the store began; ``journal`` maps an effect to its stored entry; ``replays`` are dead
    letters (JSON) that a person wants run again, or what another ticket's handlers want; ``priority`` is the class
    which it was claimed. ``reading`` is what the turn's handlers were shown (JSON), once one of them has had an effect
    in another system; ``foreign`` maps ``handler name`` to the stored entry of each. ``pauses`` are those that concern
    it.
    """

    account: str
    ticket: int
    token: str
    now: int
    permit: str | None
    turn: str
    claims: int
    events: tuple[EventSummary, ...]
    plan: bytes | None = None
    pending: bytes | None = None
    retry: int | None = None
    poison_mark: str = ""
    snapshot: bytes | None = None
    store_epoch: int | None = None
    journal: Mapping[str, bytes] = {}
    replays: tuple[bytes, ...] = ()
    priority: str = "normal"
    reading: bytes | None = None
    external: Mapping[str, bytes] = {}
    pauses: Pauses = NONE

    @property
    def name(self) -> str:
        """The lane's name in the store: the ticket's number."""
        return str(self.ticket)

    @property
    def event_ids(self) -> bytes:
        """The ids of the turn's events, as they are stored when the turn is frozen."""
        return msgspec.json.encode([event.id for event in self.events])


@dataclass(frozen=True, slots=True)
class NothingDue:
    """No lane could be claimed: ``wait`` is the time in ms until it is worth asking again, -1 for "not known"."""

    wait: int
    why: str


@dataclass(frozen=True, slots=True)
class ClaimConfig:
    """What an account's claims have in common: lease and life of the read in ms, whether turns read their ticket."""

    account: str
    lease: int
    read: bool
    budget: bytes
    life: int

    def args(self, nonce: str) -> Args:
        """Return the arguments of a claim."""
        return [nonce, self.lease, MOST_EVENTS, int(self.read), self.life, self.budget]


def due(config: ClaimConfig, most: int) -> Script[tuple[int, int]]:
    """Count the lanes that may be claimed now, at most ``most``, and tells the ms until it is worth asking again.

    -1 stands for "not known".
    """
    args: Args = [most, int(config.read), config.budget]
    return Script("due", config.account, args, lambda raw: (int(raw[0]), int(raw[1])))


def claim(config: ClaimConfig, nonce: str) -> Script[ClaimedLane | NothingDue]:
    """Claim one due lane; the same ``nonce`` gets the same lane again till another claims it."""
    return Script("claim", config.account, config.args(nonce), lambda raw: claimed(config, nonce, raw))


def claimed(config: ClaimConfig, nonce: str, raw: Any) -> ClaimedLane | NothingDue:
    """Read what a claim answers, by itself or behind a settling."""
    if not raw[0]:
        return NothingDue(int(raw[1]), raw[2].decode())
    _, number, token, now, fields, snapshot, events, store_epoch, priority, paused = raw
    lane = ClaimedLane(
        account=config.account,
        ticket=int(number),
        token=token.decode(),
        now=int(now),
        permit=f"read-{nonce}" if config.read else None,
        turn=nonce,
        claims=1,
        events=tuple(map(_hint, events)),
        replays=tuple(event[DEBT] for event in events if event[DEBT] is not None),
        snapshot=snapshot,
        store_epoch=_optional(store_epoch),
        priority=priority.decode(),
        pauses=read_pauses(paused),
    )
    return msgspec.structs.replace(lane, **_unfinished(fields)) if fields else lane


def _unfinished(fields: Sequence[bytes]) -> dict[str, Any]:
    """Return what the store says of a turn that was claimed before, or whose lane is owed something."""
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
    """Return the journal entries of one kind, by what follows it in their fields."""
    return {name.removeprefix(kind): entry for name, entry in turn.items() if name.startswith(kind)}


#: Where an event's values stand in a claim's reply: see turn_state in ``lua/claims.lua``.
DEBT = 6


def _hint(event: Sequence[bytes | None]) -> EventSummary:
    at, kind, update, update_id, source, since, work, handler, _, id = event
    return EventSummary(
        id=id.decode() if id else "",
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
    """Read a text; bytes that are none, which nobody but a person's hand can have stored, stop no lane."""
    return value.decode("utf-8", "replace")


def _optional(value: bytes | None) -> int | None:
    return int(value) if value else None


# Holding: what the holder of a lane may write, under the token of its lease, until it settles.


#: What a permit's holder tells about the call: see ``lua/permits.lua``.
UNUSED = "unsent"


class ReadPermit(msgspec.Struct, frozen=True, gc=False):
    """The permit of a turn's read and what became of it; ``age`` is ms since the answer came, by the caller's clock."""

    id: str | None
    outcome: str = UNUSED
    age: int = 0
    wait: int = 0

    def args(self) -> Args:
        """Return the arguments (permit, outcome, age) as the scripts take them."""
        return [self.id or "", self.outcome, self.age]


def renew(account: str, lease: int, leases: Sequence[tuple[str, str]]) -> Script[list[str]]:
    """Extend leases, given as (lane, token); the answer names the lanes that are lost."""
    args: Args = [lease]
    for lane, token in leases:
        args += [lane, token]
    return Script("renew", account, args, lambda raw: [lane.decode() for lane in raw])


def park(lane: ClaimedLane, delay: int, budget: bytes, read: ReadPermit, line: str, life: int) -> Script[bool]:
    """Return the lane back; it is due again after ``delay`` ms, everything else stays as it is."""
    args: Args = [lane.name, lane.token, delay, budget, *read.args(), read.wait, line, life]
    return Script("park", lane.account, args, bool)


def store_plan(lane: ClaimedLane, plan: bytes, calls: int, budget: bytes, read: ReadPermit) -> Script[bool]:
    """Store the turn's plan of so many calls; from here on the turn is frozen. False: the lease is lost."""
    args: Args = [lane.name, lane.token, plan, budget, *read.args(), calls, lane.event_ids]
    return Script("plan", lane.account, args, bool)


def set_poison_mark(lane: ClaimedLane, handler: str) -> Script[bool]:
    """Record that ``handler`` is about to run ('' when it came back). False: the lease is lost."""
    return Script("mark", lane.account, [lane.name, lane.token, handler], bool)


@dataclass(frozen=True, slots=True)
class Begun:
    """The effect may be sent; ``at`` is the store's time in ms."""

    at: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The effect may not begin: the lease is lost, it is in doubt already, or there is no permit for ``wait`` ms."""

    lost: bool = False
    doubt: bool = False
    wait: int = 0
    why: str = ""


def begin(
    lane: ClaimedLane,
    effect: str,
    permit: str,
    life: int,
    budget: bytes,
    priority: str,
    tries: int,
    without: Sequence[str],
    after: int,
) -> Script[Begun | Refusal]:
    """Write that an effect begins and takes its permit, both or neither; ``life`` is ms until the call's deadline.

    ``tries`` is how often it was sent before, ``after`` the newest row there was then. ``without`` names the parts of
    the effect that are not sent, so that a look-up asks for no more than was sent.
    """
    left = msgspec.json.encode(without) if without else b""
    args: Args = [lane.name, lane.token, effect, permit, life, budget, priority, tries, left, after]
    return Script("begin", lane.account, args, _begun)


def _begun(raw: Any) -> Begun | Refusal:
    code = int(raw[0])
    if code == 1:
        return Begun(int(raw[1]))
    if code == 0:
        return Refusal(wait=int(raw[1]), why=raw[2].decode())
    return Refusal(lost=code == -1, doubt=code == -2)


#: Journal entries for ``done``: forget that the effect began, or leave what stands there.
FORGET = b""
LEAVE = b"-"


def done(
    lane: ClaimedLane, effect: str, entry: bytes, permit: str, outcome: str, age: int, wait: int, budget: bytes
) -> Script[bool]:
    """Write an effect's result and settles its permit in one step. False: the lease is lost."""
    args: Args = [lane.name, lane.token, effect, entry, permit, outcome, age, wait, budget]
    return Script("finish", lane.account, args, bool)


def store_external(lane: ClaimedLane, handler: str, name: str, entry: bytes, reading: bytes) -> Script[bool]:
    """Write what became of an effect in another system, ``FORGET`` that it began; False: the lease is lost.

    ``reading`` is what the turn's handlers were shown, empty when it is stored already.
    """
    args: Args = [lane.name, lane.token, f"{handler} {name}", entry, reading, lane.event_ids]
    return Script("external", lane.account, args, bool)


# Settling: a turn ends, and the next lane is claimed in the same trip.


class EventForOther(msgspec.Struct, frozen=True, gc=False):
    """An event for the lane of another ticket: ``evidence`` is what is wanted there, as a dead letter would keep it."""

    id: str
    ticket: int
    evidence: str


class Settlement(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What settling a turn writes besides blobs; see ``lua/settle.lua``. Times are ms, ``retry`` is absolute.

    What is at its default is not sent: an uneventful turn costs the store nothing for what it does not need.
    """

    lane: str
    token: str
    turn: str
    handled: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    recheck: int = 0
    settling: int = 0
    retry: int = 0
    timer: int = 0
    timed: bool = False
    paused: int = -1
    dead_letters: Mapping[str, str] = {}
    created: tuple[tuple[str, int], ...] = ()
    for_others: tuple[EventForOther, ...] = ()
    history: tuple[str, ...] = ()
    saved: int = 0
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
) -> Script[tuple[bool, ClaimedLane | NothingDue | None]]:
    """End the turn and, with a ``nonce``, claims the next lane in the same trip. (False, ...): the lease is lost."""
    args: Args = [msgspec.json.encode(settlement), snapshot, record, pending, *config.args(nonce or "")]

    def read(raw: Any) -> tuple[bool, ClaimedLane | NothingDue | None]:
        return bool(raw[0]), claimed(config, nonce, raw[1]) if nonce is not None and raw[1] else None

    return Script("settle", account, args, read)
