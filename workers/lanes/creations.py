"""Creations: which tickets are our own doing, and which of those that HappyFox is just being asked for."""

from collections.abc import Sequence

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script

#: How long (ms) a creation is known by its look: until its turn is settled, else so long.
ANNOUNCED = 3_600_000

#: So many tickets may be created one from another: more are a circle, which the fuse of no single ticket would stop.
DEEPEST = 5


def announcing(account: str, effect: str, look: bytes, ticket: int) -> Script[bool]:
    """Writes the look of a ticket that ``effect`` (turn and key) of a turn on ``ticket`` is about to create.

    False: that one is the last of too many created one from another.
    """
    return Script("announce_creation", prefix(account), [effect, look, ANNOUNCED, ticket, DEEPEST], bool)


def announced(account: str, tickets: Sequence[int]) -> Script[tuple[set[int], list[bytes]]]:
    """Gives those of the tickets that are known to be our own doing, and the looks of those being created."""
    return Script(
        "our_creations", prefix(account), list(tickets), lambda raw: ({int(number) for number in raw[0]}, list(raw[1]))
    )
