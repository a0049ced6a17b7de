"""Pauses: what of an account a person has stopped for a while, as the store keeps it and as claims are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script

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
    """Reads what a claim's reply tells of pauses."""
    if not raw or not any(raw):
        return NONE
    account, routers, ticket, ended = raw
    return Pauses(_one(account), _each(routers), _one(ticket), int(ended or 0))


def pause(account: str, scope: Scope, name: str, entry: Pause) -> Script[bool]:
    """Pauses something; tells whether it was paused before. A pause takes the place of the one before it."""
    return Script("pause", prefix(account), [scope, name, msgspec.json.encode(entry)], bool)


def resume(account: str, scope: Scope, name: str) -> Script[bool]:
    """Ends a pause; what waited for it becomes due. False when there was none."""
    return Script("pause", prefix(account), [scope, name, b""], bool)


def listed(stored: Mapping[bytes, bytes]) -> dict[tuple[Scope, str], Pause]:
    """Reads every pause of an account, by scope and name, from the hash that holds them."""
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
