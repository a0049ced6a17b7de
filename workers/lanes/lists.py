"""The stored reference lists of an account: what the directory is made of."""

from collections.abc import Sequence

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script

#: How long (ms) a list is believed; an unknown name reads it anew at once.
LIFE = 3_600_000

#: How old (ms) a list must be before an unknown name makes it read again: a misspelt name costs no call each time.
MISS = 60_000


def recall(account: str, names: Sequence[str], age: int = LIFE) -> Script[list[bytes | None]]:
    """Gives the stored lists that are younger than ``age`` ms, None for the others."""
    return Script("read_lists", prefix(account), [age, *names], list)


def remember(account: str, name: str, stored: bytes) -> Script[bool]:
    """Stores a list as JSON."""
    return Script("store_list", prefix(account), [name, stored], bool)
