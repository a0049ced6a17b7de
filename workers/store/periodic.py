"""Rounds: what is done once in the fleet, time and again. Whoever takes one up goes on where the last one left it."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from workers.store.keys import prefix
from workers.store.scripts import Script


class State(msgspec.Struct, frozen=True):
    """How a round stands; see ``lua/periodic.lua``. Times are ms of the store's clock."""

    slot: int
    period: int
    phase: Literal["search", "spread", "done"]
    token: str = ""
    till: int = 0
    page: int = 1
    found: int = 0
    put: int = 0
    cut: bool = False
    why: str = ""
    ended: int = 0
    told: list[str] | dict[str, str] = []

    @property
    def findings(self) -> tuple[str, ...]:
        """What the last round had to tell; the store writes an empty list as an object."""
        return tuple(self.told)

    @property
    def next(self) -> int:
        """When the next round is due (ms)."""
        return self.slot + self.period


class Taken(msgspec.Struct, frozen=True):
    """A round that this worker is at, proven by its token."""

    name: str
    token: str
    state: State


def take(account: str, token: str, lease: int, rounds: Sequence[tuple[str, int]]) -> Script[Taken | int]:
    """Takes up the round that is due longest, of those given as name and period in ms.

    Gives the ms until it is worth asking again when none is due, -1 when there are none.
    """

    def read(raw: Any) -> Taken | int:
        if not raw[0]:
            return int(raw[1])
        return Taken(raw[1].decode(), token, decode(raw[2]))

    return Script("take_task", prefix(account), [token, lease, msgspec.json.encode(rounds)], read)


def decode(stored: bytes) -> State:
    """Reads the state of a round."""
    return msgspec.json.decode(stored, type=State, strict=False)


def found(
    account: str, round: Taken, lease: int, page: int, tickets: Sequence[int], last: bool, most: int
) -> Script[bool]:
    """Notes the tickets on a page of the search. False: somebody else has taken up the round."""
    args: list[bytes | str | int] = [
        round.name,
        round.token,
        lease,
        page,
        msgspec.json.encode(tickets),
        int(last),
        most,
    ]
    return Script("add_matches", prefix(account), args, bool)


def spread(account: str, round: Taken, lease: int, most: int, keep: int) -> Script[int]:
    """Puts events into the lanes of tickets found, so many at a time; ``keep`` is the retention in seconds.

    Gives how many are left; -1: somebody else has taken up the round.
    """
    return Script("enqueue_matches", prefix(account), [round.name, round.token, lease, most, keep], int)


def leave(account: str, round: Taken, wait: int, why: str, told: Sequence[str] | None = None) -> Script[bool]:
    """Gives a round back for ``wait`` ms, or ends it with -1; ``told`` is what it found out."""
    findings = b"" if told is None else msgspec.json.encode(told)
    return Script("leave_task", prefix(account), [round.name, round.token, wait, why, findings], bool)
