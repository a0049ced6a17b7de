"""Memories: what is remembered of other tickets than the one whose lane is held."""

from collections.abc import Sequence

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script


def memories(account: str, tickets: Sequence[int]) -> Script[list[bytes | None]]:
    """Gives what was last seen of each ticket, None for one that nothing is known of."""
    return Script("snapshots", prefix(account), list(tickets), list)
