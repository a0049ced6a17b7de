"""Dead letters: put back into their lanes, or deleted."""

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script


def replay(account: str, letter: str, keep: int) -> Script[int]:
    """Puts a letter back into its ticket's lane; gives the ticket, 0 when there is no such letter.

    The handler it names will run once more, on the freshly read ticket, with the letter's changes. ``keep`` is the
    retention in seconds.
    """
    return Script("replay", prefix(account), [letter, keep], int)


def discard(account: str, letter: str) -> Script[bool]:
    """Deletes a letter; False when there is no such letter."""
    return Script("discard", prefix(account), [letter], bool)
