"""Dead letters: put back into their lanes, or deleted."""

from workers.lanes.keys import prefix
from workers.lanes.scripts import Script


def replay(account: str, letter: str) -> Script[int]:
    """Puts a letter back into its ticket's lane; gives the ticket, 0 when there is no such letter.

    The handler it names will run once more, on the freshly read ticket, with the letter's changes.
    """
    return Script("replay", prefix(account), [letter], int)


def discard(account: str, letter: str) -> Script[bool]:
    """Deletes a letter; False when there is no such letter."""
    return Script("discard", prefix(account), [letter], bool)
