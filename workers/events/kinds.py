"""The kinds of events a handler may ask for."""

from difflib import get_close_matches
from typing import Final

KINDS: Final = (
    "ticket-created",
    "ticket-updated",  # any change but the creation
    "contact-replied",
    "staff-replied",
    "note-added",
    "status-changed",
    "priority-changed",
    "assigned",  # also unassigned
    "moved",
    "due-date-changed",
    "tags-changed",
    "field-changed",
    "smart-rule",
)

LATER: Final = ("scheduled", "later")  # reserved names of what is not built yet


def check(kind: str) -> str:
    """Returns the kind as it is, if a handler may ask for it.

    Raises ValueError otherwise: it names the nearest kind, or lists them all when none is near.
    """
    if kind in KINDS:
        return kind
    if kind in LATER:
        raise ValueError(f"kind {kind!r} is not available yet; there are {', '.join(KINDS)}")
    folded = "-".join(kind.lower().replace("_", " ").replace("-", " ").split())
    near = get_close_matches(folded, KINDS, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
    raise ValueError(f"no kind {kind!r}; {hint}")
