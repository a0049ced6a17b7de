"""The memory of the store, and since when it is in doubt.

The store may be older than what foxhooks has done on the tickets: an older copy was restored, a replica that lagged
behind took over, or a restart lost the last writes. The store keeps the name of the server that wrote it. The first
claim on another server puts the memory in doubt, in the same script, so that no turn starts from it unknowingly.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workers.store.audit import By
from workers.store.scripts import Script


class Memory(NamedTuple):
    """Since when the memory of the store is in doubt; all zero if it never was."""

    doubts: int = 0
    """How often it has been in doubt; what was stored under a lower number is older than the last time."""
    at: int = 0
    """When this was noticed last (ms)."""
    ends: int = 0
    """The time of the last thing that the store still knew then (ms)."""
    alive: int = 0
    """Until when the server before certainly worked (ms), 0 if no process that saw it is left."""
    why: str = ""
    """``server``, the person who said so, or ``moved`` and more; a claim leaves it out."""

    @property
    def cause(self) -> str:
        """Describe what put the memory in doubt."""
        if self.why.startswith(MOVED):
            account, _, who = self.why.removeprefix(MOVED).partition(" ")
            return f"{who} moved here what the account {account} had in the store"
        if self.why and self.why != SERVER:
            return f"{self.why} reported that an older copy was restored"
        return "the store was restarted or restored, or another server took over"


SERVER = "server"

#: Begins ``why`` if a person moved another account here; its name and the person follow.
MOVED = "moved "

#: A memory that never was in doubt.
CERTAIN = Memory()


class Server(NamedTuple):
    """The server of the store, as its scripts see it."""

    name: str
    store_epoch: int | None
    doubts: int
    why: str

    @property
    def cause(self) -> str:
        """Describe what put the memory in doubt last."""
        return Memory(why=self.why).cause


def read_memory(raw: Sequence[int] | None) -> Memory:
    """Read the memory in the reply of a claim."""
    return Memory(raw[0], raw[1], raw[2], raw[3]) if raw else CERTAIN


def decode_memory(stored: Mapping[bytes, bytes]) -> Memory:
    """Read the memory from the hash that stores it."""
    if not stored.get(b"doubts"):
        return CERTAIN
    doubts, at, ends, alive = (int(stored[name]) for name in (b"doubts", b"at", b"ends", b"alive"))
    return Memory(doubts, at, ends, alive, stored[b"why"].decode("utf-8", "replace"))


class Seen(NamedTuple):
    """The server that a process saw last, and how many ms ago."""

    name: str = ""
    ago: int = 0


NOTHING_SEEN = Seen()


def notice(account: str, seen: Seen = NOTHING_SEEN) -> Script[Server]:
    """Put the memory in doubt if this is another server than the one that wrote it; return what is known of it."""
    return Script("notice", account, seen, _server)


def doubt(account: str, by: By) -> Script[Memory]:
    """Put the memory in doubt because a person says so."""
    who = by.who
    return Script("doubt", account, [who, by.encode()], lambda raw: Memory(raw[0], raw[1], raw[2], raw[3], who))


def _server(raw: tuple[bytes, bytes | None, int, bytes]) -> Server:
    name, epoch, doubts, why = raw
    return Server(name.decode(), int(epoch) if epoch else None, doubts, why.decode("utf-8", "replace"))
