"""The 22 sort codes of the list of tickets (tickets article)."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from workers.simulator.world import Ticket, World

_KEYS: Final[dict[str, Callable[[World, Ticket], Any]]] = {
    "category": lambda w, t: t.category,
    "subject": lambda w, t: t.subject.lower(),
    "status": lambda w, t: w.statuses[t.status]["order"],
    "priority": lambda w, t: w.priorities[t.priority]["order"],
    "update": lambda w, t: t.updated_at,
    "create": lambda w, t: t.created_at,
    "assignee": lambda w, t: "" if t.assignee is None else w.staff[t.assignee]["name"],
    "last_modified": lambda w, t: t.modified_at,
    "ticket": lambda w, t: t.id,
    "client": lambda w, t: t.contact,
}
SORTS: Final[dict[str, tuple[Callable[[World, Ticket], Any], bool]]] = {
    f"{name}{direction}": (key, direction == "d") for name, key in _KEYS.items() for direction in ("a", "d")
} | {
    "due": (lambda w, t: t.due_date or "9999", False),
    "unresponded": (lambda w, t: not t.unresponded, False),
}


def ordered(world: World, tickets: Iterable[Ticket], sort: str) -> list[Ticket]:
    """Tickets in the order of a sort code of `SORTS`.

    Equal ones stand in the order of their numbers. `clientd` is documented as ascending: a slip.
    """
    key, falling = SORTS[sort]
    return sorted(tickets, key=lambda ticket: (key(world, ticket), ticket.id), reverse=falling)
