"""Lanes as values: the scripts of claiming, renewing, parking and settling, and what they answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workers.lanes.keys import prefix
from workers.lanes.pauses import NONE, Pauses, read_pauses
from workers.lanes.scripts import Script

Args = list[bytes | str | int]

#: How many waiting events one turn takes at the most; the rest waits for the next turn.
MOST_EVENTS = 200

#: The sources of events that a schedule made, and a handler for a ticket that was not its own.
SCHEDULE = "schedule"
HANDLER = "handler"

#: What a permit's holder tells about the call: see ``lua/lib/permits.lua``.
UNUSED = "unsent"


class Hint(msgspec.Struct, frozen=True, gc=False):
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
    debt: bool = False
    handler: str = ""


class Held(msgspec.Struct, frozen=True, gc=False):
    """A lane that this worker holds: its lease and everything its turn starts from.

    ``token`` proves the lease. ``now`` is the store's time of the claim in ms. ``permit`` is the permit for reading the
    ticket, taken with the claim, or None. ``claims`` counts claims since the lane was last given back in order: three
    mean that this turn kills workers. ``plan``, ``owed``, ``seen`` are stored JSON or None; ``birth`` is
    the ms in which the store began; ``journal`` maps an effect to its stored entry; ``replays`` are dead letters (JSON)
    that a person wants run again; ``class_`` is the class under which it was claimed. ``reading`` is what the turn's
    handlers were shown (JSON), once one of them has had an effect in another system; ``foreign`` maps ``handler name``
    to the stored entry of each. ``pauses`` are those that concern it.
    """

    account: str
    ticket: int
    token: str
    now: int
    permit: str | None
    turn: str
    claims: int
    hints: tuple[Hint, ...]
    plan: bytes | None = None
    owed: bytes | None = None
    retry: int | None = None
    mark: str = ""
    seen: bytes | None = None
    birth: int | None = None
    journal: Mapping[str, bytes] = {}
    replays: tuple[bytes, ...] = ()
    class_: str = "normal"
    reading: bytes | None = None
    foreign: Mapping[str, bytes] = {}
    pauses: Pauses = NONE

    @property
    def lane(self) -> str:
        """The lane's name in the store: the ticket's number."""
        return str(self.ticket)

    @property
    def events(self) -> bytes:
        """The ids of the turn's events, as they are stored when the turn is frozen."""
        return msgspec.json.encode([hint.id for hint in self.hints])


@dataclass(frozen=True, slots=True)
class Nothing:
    """No lane could be claimed: ``wait`` is the time in ms until it is worth asking again, -1 for "not known"."""

    wait: int
    why: str


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """What an account's claims have in common: lease and life of the read in ms, whether turns read their ticket."""

    account: str
    lease: int
    read: bool
    budget: bytes
    life: int

    def args(self, nonce: str) -> Args:
        """Gives the arguments of a claim."""
        return [nonce, self.lease, MOST_EVENTS, int(self.read), self.life, self.budget]


class ReadPermit(msgspec.Struct, frozen=True, gc=False):
    """The permit of a turn's read and what became of it; ``age`` is ms since the answer came, by the caller's clock."""

    id: str | None
    outcome: str = UNUSED
    age: int = 0
    wait: int = 0

    def args(self) -> Args:
        """Gives the arguments (permit, outcome, age) as the scripts take them."""
        return [self.id or "", self.outcome, self.age]


def due(terms: ClaimTerms, most: int) -> Script[tuple[int, int]]:
    """Counts the lanes that may be claimed now, at most ``most``, and tells the ms until it is worth asking again.

    -1 stands for "not known".
    """
    args: Args = [most, int(terms.read), terms.budget]
    return Script("due", prefix(terms.account), args, lambda raw: (int(raw[0]), int(raw[1])))


def claim(terms: ClaimTerms, nonce: str) -> Script[Held | Nothing]:
    """Claims one due lane; the same ``nonce`` gets the same lane again while its lease runs."""
    return Script("claim", prefix(terms.account), terms.args(nonce), lambda raw: _claimed(terms, nonce, raw))


def renew(account: str, lease: int, held: Sequence[tuple[str, str]]) -> Script[list[str]]:
    """Prolongs leases, given as (lane, token); answers the lanes that are lost."""
    args: Args = [lease]
    for lane, token in held:
        args += [lane, token]
    return Script("renew", prefix(account), args, lambda raw: [lane.decode() for lane in raw])


def park(held: Held, delay: int, budget: bytes, read: ReadPermit, line: str, life: int) -> Script[bool]:
    """Gives the lane back; it is due again after ``delay`` ms, everything else stays as it is."""
    args: Args = [held.lane, held.token, delay, budget, *read.args(), read.wait, line, life]
    return Script("park", prefix(held.account), args, bool)


def store_plan(held: Held, plan: bytes, calls: int, budget: bytes, read: ReadPermit) -> Script[bool]:
    """Stores the turn's plan of so many calls; from here on the turn is frozen. False: the lease is lost."""
    args: Args = [held.lane, held.token, plan, budget, *read.args(), calls, held.events]
    return Script("plan", prefix(held.account), args, bool)


def mark(held: Held, handler: str) -> Script[bool]:
    """Notes that ``handler`` is about to run ('' when it came back). False: the lease is lost."""
    return Script("mark", prefix(held.account), [held.lane, held.token, handler], bool)


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
    held: Held, effect: str, permit: str, life: int, budget: bytes, class_: str, tries: int
) -> Script[Begun | Refusal]:
    """Writes that an effect begins and takes its permit, both or neither; ``life`` is ms until the call's deadline."""
    args: Args = [held.lane, held.token, effect, permit, life, budget, class_, tries]
    return Script("begin", prefix(held.account), args, _begun)


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
    held: Held, effect: str, entry: bytes, permit: str, outcome: str, age: int, wait: int, budget: bytes
) -> Script[bool]:
    """Writes an effect's result and settles its permit in one step. False: the lease is lost."""
    args: Args = [held.lane, held.token, effect, entry, permit, outcome, age, wait, budget]
    return Script("done", prefix(held.account), args, bool)


def note_foreign(held: Held, handler: str, name: str, entry: bytes, reading: bytes) -> Script[bool]:
    """Writes what became of an effect in another system, ``FORGET`` that it began; False: the lease is lost.

    ``reading`` is what the turn's handlers were shown, empty when it is stored already.
    """
    args: Args = [held.lane, held.token, f"{handler} {name}", entry, reading, held.events]
    return Script("foreign", prefix(held.account), args, bool)


class Handed(msgspec.Struct, frozen=True, gc=False):
    """An event for the lane of another ticket: ``debt`` is what is wanted there, as a dead letter would keep it."""

    id: str
    ticket: int
    debt: str


class Settlement(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What settling a turn writes besides blobs; see ``lua/settle.lua``. Times are ms, ``retry`` is absolute.

    What is at its default is not sent: an uneventful turn costs the store nothing for what it does not need.
    """

    lane: str
    token: str
    turn: str
    handled: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    look: int = 0
    quiet: int = 0
    retry: int = 0
    timer: int = 0
    timed: bool = False
    paused: int = -1
    letters: Mapping[str, str] = {}
    created: tuple[tuple[str, int], ...] = ()
    handed: tuple[Handed, ...] = ()
    trail: tuple[str, ...] = ()
    saved: int = 0
    permit: str = ""
    outcome: str = ""
    age: int = 0
    lives: Mapping[str, int] = {}


def settle(
    account: str,
    settlement: Settlement,
    seen: bytes,
    record: bytes,
    owed: bytes,
    terms: ClaimTerms,
    nonce: str | None,
) -> Script[tuple[bool, Held | Nothing | None]]:
    """Ends the turn and, with a ``nonce``, claims the next lane in the same trip. (False, ...): the lease is lost."""
    args: Args = [msgspec.json.encode(settlement), seen, record, owed, *terms.args(nonce or "")]

    def read(raw: Any) -> tuple[bool, Held | Nothing | None]:
        return bool(raw[0]), _claimed(terms, nonce, raw[1]) if nonce is not None and raw[1] else None

    return Script("settle", prefix(account), args, read)


def _claimed(terms: ClaimTerms, nonce: str, raw: Any) -> Held | Nothing:
    if not raw[0]:
        return Nothing(int(raw[1]), raw[2].decode())
    _, lane, token, now, fields, seen, events, birth, class_, paused = raw
    held = Held(
        account=terms.account,
        ticket=int(lane),
        token=token.decode(),
        now=int(now),
        permit=f"read-{nonce}" if terms.read else None,
        turn=nonce,
        claims=1,
        hints=tuple(map(_hint, events)),
        replays=tuple(event[DEBT] for event in events if event[DEBT] is not None),
        seen=seen,
        birth=_optional(birth),
        class_=class_.decode(),
        pauses=read_pauses(paused),
    )
    return msgspec.structs.replace(held, **_unfinished(fields)) if fields else held


def _unfinished(fields: Sequence[bytes]) -> dict[str, Any]:
    """Gives what the store says of a turn that was claimed before, or whose lane is owed something."""
    turn = {_text(name): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
    return {
        "turn": _text(turn["id"]),
        "claims": int(turn.get("claims", 1)),
        "plan": turn.get("plan"),
        "owed": turn.get("owed"),
        "retry": _optional(turn.get("retry")),
        "mark": _text(turn.get("mark", b"")),
        "reading": turn.get("reading"),
        "journal": {name[2:]: entry for name, entry in turn.items() if name.startswith("j:")},
        "foreign": {name[2:]: entry for name, entry in turn.items() if name.startswith("e:")},
    }


#: Where an event's values stand in a claim's reply: the order of EVENT_FIELDS in ``lua/lib/claims.lua``.
DEBT = 6


def _hint(event: Sequence[bytes | None]) -> Hint:
    at, kind, update, update_id, source, since, debt, handler, _, id = event
    return Hint(
        id=id.decode() if id else "",
        at=int(at or 0),
        kind=_text(kind) if kind else "unknown",
        update=update == b"1",
        update_id=_optional(update_id),
        source=_text(source) if source else "webhook",
        since=_optional(since),
        debt=debt is not None,
        handler=handler.decode() if handler else "",
    )


def _text(value: bytes) -> str:
    """Reads a text; bytes that are none, which nobody but a person's hand can have stored, stop no lane."""
    return value.decode("utf-8", "replace")


def _optional(value: bytes | None) -> int | None:
    return int(value) if value else None
