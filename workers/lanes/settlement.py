"""Settling: a turn ends, and the next lane is claimed in the same trip."""

from collections.abc import Mapping
from typing import Any

import msgspec

from workers.lanes.claims import ClaimTerms, Held, Nothing, claimed
from workers.lanes.keys import prefix
from workers.lanes.scripts import Args, Script


class Handed(msgspec.Struct, frozen=True, gc=False, rename={"debt": "evidence"}):
    """An event for the lane of another ticket: ``debt`` is what is wanted there, as a dead letter would keep it."""

    id: str
    ticket: int
    debt: str


#: Field names as ``lua/settle.lua`` reads them, where they differ from the attributes.
STORED_NAMES = {
    "look": "recheck",
    "quiet": "settling",
    "letters": "dead_letters",
    "handed": "for_others",
    "trail": "history",
}


class Settlement(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename=STORED_NAMES):
    """What settling a turn writes besides blobs; see ``lua/settle.lua``. Times are ms, ``retry`` is absolute.

    What is at its default is not sent: an uneventful turn costs the store nothing for what it does not need.
    """

    lane: str
    token: str
    turn: str
    handled: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
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
        return bool(raw[0]), claimed(terms, nonce, raw[1]) if nonce is not None and raw[1] else None

    return Script("settle", prefix(account), args, read)
