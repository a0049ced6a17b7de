"""Claims: which lane a worker comes to hold, and all that its turn starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workers.lanes.keys import prefix
from workers.lanes.pauses import NONE, Pauses, read_pauses
from workers.lanes.scripts import Args, Script

#: How many waiting events one turn takes at the most; the rest waits for the next turn.
MOST_EVENTS = 200

#: The sources of events that a schedule made, and a handler for a ticket that was not its own.
SCHEDULE = "schedule"
HANDLER = "handler"


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
    mean that this turn kills workers, and ``mark`` then names the handlers that were under way. ``plan``, ``owed``,
    ``seen`` are stored JSON or None; ``retry`` is the ms at which the lane was to be due for what is owed or a timer,
    ``birth`` that in which the store began; ``journal`` maps an effect to its stored entry; ``replays`` are dead
    letters (JSON) that a person wants run again, or what another ticket's handlers want; ``class_`` is the class under
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


def due(terms: ClaimTerms, most: int) -> Script[tuple[int, int]]:
    """Counts the lanes that may be claimed now, at most ``most``, and tells the ms until it is worth asking again.

    -1 stands for "not known".
    """
    args: Args = [most, int(terms.read), terms.budget]
    return Script("due", prefix(terms.account), args, lambda raw: (int(raw[0]), int(raw[1])))


def claim(terms: ClaimTerms, nonce: str) -> Script[Held | Nothing]:
    """Claims one due lane; the same ``nonce`` gets the same lane again till another claims it."""
    return Script("claim", prefix(terms.account), terms.args(nonce), lambda raw: claimed(terms, nonce, raw))


def claimed(terms: ClaimTerms, nonce: str, raw: Any) -> Held | Nothing:
    """Reads what a claim answers, by itself or behind a settling."""
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
        "mark": _text(turn.get("poison_mark", b"")),
        "reading": turn.get("reading"),
        "journal": _journal(turn, "effect:"),
        "foreign": _journal(turn, "external:"),
    }


def _journal(turn: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    """Return the journal entries of one kind, by what follows it in their fields."""
    return {name.removeprefix(kind): entry for name, entry in turn.items() if name.startswith(kind)}


#: Where an event's values stand in a claim's reply: see turn_state in ``lua/claims.lua``.
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
