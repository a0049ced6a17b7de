"""Holding: what the holder of a lane may write, under the token of its lease, until it settles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workers.lanes.claims import Held
from workers.lanes.keys import prefix
from workers.lanes.scripts import Args, Script

#: What a permit's holder tells about the call: see ``lua/permits.lua``.
UNUSED = "unsent"


class ReadPermit(msgspec.Struct, frozen=True, gc=False):
    """The permit of a turn's read and what became of it; ``age`` is ms since the answer came, by the caller's clock."""

    id: str | None
    outcome: str = UNUSED
    age: int = 0
    wait: int = 0

    def args(self) -> Args:
        """Gives the arguments (permit, outcome, age) as the scripts take them."""
        return [self.id or "", self.outcome, self.age]


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
    held: Held,
    effect: str,
    permit: str,
    life: int,
    budget: bytes,
    class_: str,
    tries: int,
    without: Sequence[str],
    after: int,
) -> Script[Begun | Refusal]:
    """Writes that an effect begins and takes its permit, both or neither; ``life`` is ms until the call's deadline.

    ``tries`` is how often it was sent before, ``after`` the newest row there was then. ``without`` names the parts of
    the effect that are not sent, so that a look-up asks for no more than was sent.
    """
    left = msgspec.json.encode(without) if without else b""
    args: Args = [held.lane, held.token, effect, permit, life, budget, class_, tries, left, after]
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
    return Script("finish", prefix(held.account), args, bool)


def note_foreign(held: Held, handler: str, name: str, entry: bytes, reading: bytes) -> Script[bool]:
    """Writes what became of an effect in another system, ``FORGET`` that it began; False: the lease is lost.

    ``reading`` is what the turn's handlers were shown, empty when it is stored already.
    """
    args: Args = [held.lane, held.token, f"{handler} {name}", entry, reading, held.events]
    return Script("external", prefix(held.account), args, bool)
