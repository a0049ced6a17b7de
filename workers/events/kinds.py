"""The kinds of events a handler may ask for."""

from typing import Final

from workers.errors import suggest

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

#: The kinds that are nobody's doing: a timer that a handler set, and a schedule that found the ticket. Each is for one
#: alone, and a handler asks for them in the way told here.
CALLS: Final = {
    "later": 'a timer has a name: write @router.on("later", name="...")',
    "scheduled": 'write @router.every("1h", find="...") above the handler',
}


def check(kind: str) -> str:
    """Returns the kind as it is, if it is one that something which happened to a ticket may have.

    Raises ValueError otherwise: it names the nearest kind, or lists them all when none is near.
    """
    if not isinstance(kind, str):
        cure = 'write each as a text, one after another: on("ticket-created", "moved")'
        raise ValueError(f"{type(kind).__name__} is no kind; {cure}")
    if kind in KINDS:
        return kind
    if kind in CALLS:
        raise ValueError(f"kind {kind!r} cannot stand here; {CALLS[kind]}")
    folded = "-".join(kind.lower().replace("_", " ").replace("-", " ").split())
    raise ValueError(f"no kind {kind!r}; {suggest(folded, (*KINDS, *CALLS))}")
