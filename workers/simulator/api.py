"""The table of API calls: which path and method is which endpoint. All else is answered 404 or 405."""

from collections.abc import Callable, Mapping
from typing import Final

from workers.simulator import creation, reads, writes
from workers.simulator.route import Arguments, Outcome
from workers.simulator.world import World

Endpoint = Callable[[World, Arguments], Outcome]

BASES: Final = ("api/1.1/json/", "api/json/1.1/json/", "api/json/1.1/")
"""The base, then slips for it that stand in HappyFox's own articles."""

ENDPOINTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "tickets": {"GET": reads.tickets, "POST": creation.create},
    "ticket/*": {"GET": reads.ticket},
    "ticket/*/staff_update": {"POST": writes.staff_update},
    "ticket/*/staff_pvtnote": {"POST": writes.staff_pvtnote},
    "ticket/*/user_reply": {"POST": writes.user_reply},
    "ticket/*/update_tags": {"POST": writes.update_tags},
    "ticket/*/update_custom_fields": {"POST": writes.update_custom_fields},
    "ticket/*/move": {"POST": writes.move},
    "ticket/*/forward": {"POST": writes.forward},
    "ticket/*/subscribe": {"POST": writes.subscribe},
    "ticket/*/unsubscribe": {"POST": writes.unsubscribe},
    "ticket/*/delete": {"POST": writes.delete},
    "staff": {"GET": reads.staff},
    "statuses": {"GET": reads.statuses},
    "priorities": {"GET": reads.priorities},
    "categories": {"GET": reads.categories},
    "ticket_custom_fields": {"GET": reads.ticket_custom_fields},
    "user_custom_fields": {"GET": reads.user_custom_fields},
}


def below_base(path: str) -> str | None:
    """The path below the API's base without outer slashes; None for a path that is not the API's."""
    bare = path.strip("/")
    for base in BASES:
        if bare.startswith(base):
            return bare.removeprefix(base)
    return None


def find(path: str) -> tuple[Mapping[str, Endpoint], int]:
    """The endpoints of a path below the base, by method, and the number in it (0 without one)."""
    head, _, rest = path.partition("/")
    number, slash, action = rest.partition("/")
    if not number.isdecimal():
        return ENDPOINTS.get(path, {}), 0
    return ENDPOINTS.get(f"{head}/*{slash}{action}", {}), int(number)
