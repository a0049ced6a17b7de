"""Pauses: accounts, routers and tickets whose handlers an operator has stopped for a while."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from workers.store.scripts import Script

#: What can be paused: a whole account, one of its routers, one of its tickets.
Scope = Literal["account", "router", "ticket"]


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pause."""

    since: int
    """When it began (ms)."""
    by: str
    """Who paused."""
    skip: bool = False
    """Whether new events are skipped instead of queued until the pause ends."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that concern a lane."""

    account: Pause | None = None
    routers: Mapping[str, Pause] = field(default_factory=dict)
    ticket: Pause | None = None
    ended: int = 0
    """How many pauses of the account have ended so far."""


NONE = Pauses()


def pause(account: str, scope: Scope, name: str, entry: Pause) -> Script[bool]:
    """Pause something, replacing an earlier pause; return whether there was one."""
    return Script("pause", account, [scope, name, msgspec.json.encode(entry)], bool)


def resume(account: str, scope: Scope, name: str) -> Script[bool]:
    """End a pause and make due what waited for it. False: there was no pause."""
    return Script("pause", account, [scope, name, b""], bool)


def read_pauses(raw: Sequence[bytes | None] | None) -> Pauses:
    """Read the pauses in the reply of a claim."""
    if not raw or not any(raw):
        return NONE
    account, routers, ticket, ended = raw
    return Pauses(_decode(account), _decode_routers(routers), _decode(ticket), int(ended or 0))


def read_all_pauses(stored: Mapping[bytes, bytes]) -> dict[tuple[Scope, str], Pause]:
    """Read all pauses of an account, by scope and name, from the hash that stores them."""
    found: dict[tuple[Scope, str], Pause] = {}
    if (account := _decode(stored.get(b"account"))) is not None:
        found["account", ""] = account
    found |= {("router", name): each for name, each in sorted(_decode_routers(stored.get(b"routers")).items())}
    tickets = sorted(int(name.removeprefix(b"ticket:")) for name in stored if name.startswith(b"ticket:"))
    for number in tickets:
        if (each := _decode(stored[b"ticket:%d" % number])) is not None:
            found["ticket", str(number)] = each
    return found


def _decode(stored: bytes | None) -> Pause | None:
    return msgspec.json.decode(stored, type=Pause) if stored else None


def _decode_routers(stored: bytes | None) -> dict[str, Pause]:
    return msgspec.json.decode(stored, type=dict[str, Pause]) if stored else {}
