"""Pauses: a person has stopped an account, a router or a ticket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec

from workers.store.audit import UNKNOWN, By
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
    why: str = ""
    """The reason that was typed."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses that apply to a lane."""

    account: Pause | None = None
    routers: Mapping[str, Pause] = field(default_factory=dict)
    ticket: Pause | None = None
    ended: int = 0
    """How many pauses of the account have ended so far."""


NONE = Pauses()


def pause(account: str, scope: Scope, name: str, entry: Pause, by: By | None = None) -> Script[bool]:
    """Pause something, replacing an earlier pause; return whether there was one.

    The audit log says that ``by`` did it, or whom the pause names.
    """
    who = by or By(entry.by, "", "")
    entry = msgspec.structs.replace(entry, why=who.why)
    return Script("pause", account, [scope, name, msgspec.json.encode(entry), who.encode()], bool)


def resume(account: str, scope: Scope, name: str, by: By = UNKNOWN) -> Script[bool]:
    """End a pause and make due what waited for it. False: there was no pause."""
    return Script("pause", account, [scope, name, b"", by.encode()], bool)


def read_pauses(raw: Sequence[bytes | None] | None) -> Pauses:
    """Read the pauses in the reply of a claim."""
    if not raw or not any(raw):
        return NONE
    account, routers, ticket, ended = raw
    return Pauses(_decode(account), _decode_routers(routers), _decode(ticket), int(ended or 0))


def read_all_pauses(stored: Mapping[bytes, bytes]) -> dict[tuple[Scope, str], Pause]:
    """Read all pauses of an account, by scope and name, from the hash that stores them."""
    found: dict[tuple[Scope, str], Pause] = {}
    if account := _decode(stored.get(b"account")):
        found["account", ""] = account
    found |= {("router", name): each for name, each in sorted(_decode_routers(stored.get(b"routers")).items())}
    for number in sorted(int(name.removeprefix(b"ticket:")) for name in stored if name.startswith(b"ticket:")):
        found["ticket", str(number)] = _PAUSE.decode(stored[b"ticket:%d" % number])
    return found


_PAUSE = msgspec.json.Decoder(Pause)
_ROUTER_PAUSES = msgspec.json.Decoder(dict[str, Pause])


def _decode(stored: bytes | None) -> Pause | None:
    return _PAUSE.decode(stored) if stored else None


def _decode_routers(stored: bytes | None) -> dict[str, Pause]:
    return _ROUTER_PAUSES.decode(stored) if stored else {}


def describe_pause(what: str, pause: Pause) -> str:
    """Describe what is paused, since when and by whom."""
    since = datetime.fromtimestamp(pause.since / 1000, UTC)
    return f"{what} is paused since {since:%Y-%m-%d %H:%M} UTC by {pause.by}" + (f" ({pause.why})" if pause.why else "")


def read_paused(raw: Sequence[bytes]) -> tuple[str, Pause]:
    """Read what is paused in the refusal of a call: a description of it, and the pause."""
    scope, name, pause = raw[0].decode(), raw[1].decode("utf-8", "replace"), _PAUSE.decode(raw[2])
    return " ".join(filter(None, ("the", scope, name))), pause
