"""Creations: which tickets are our own doing, and which of those that HappyFox is just being asked for."""

from collections.abc import Sequence

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script

#: How long (ms) a creation is known by its look: until its turn is settled, else so long.
ANNOUNCED = 3_600_000


def announcing(account: str, effect: str, look: bytes) -> Script[int]:
    """Writes the look of a ticket that ``effect`` (turn and key) is about to create."""
    return Script("announcing", prefix(account), [effect, look, ANNOUNCED], int)


def announced(account: str, tickets: Sequence[int]) -> Script[tuple[set[int], list[bytes]]]:
    """Gives those of the tickets that are known to be our own doing, and the looks of those being created."""
    return Script(
        "announced", prefix(account), list(tickets), lambda raw: ({int(number) for number in raw[0]}, list(raw[1]))
    )
