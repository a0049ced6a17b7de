"""The list of tickets: filters, the common terms of the `q` grammar, sort codes (tickets article, 1 and 2).

Terms that are not served yet match nothing rather than everything, so that a caller notices.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from workers.simulator.rows import field_value
from workers.simulator.world import Ticket, World, split

_TERM = re.compile(r'(?:"([^"]+)"|([\w-]+)):((?:"[^"]*"|[^\s",]+)(?:,\s*(?:"[^"]*"|[^\s",]+))*)|"([^"]*)"|(\S+)')
_VALUE = re.compile(r'"([^"]*)"|([^",]+)')

_DATES: dict[str, Callable[[Ticket], float | None]] = {
    "created": lambda t: t.created_at,
    "last-modified": lambda t: t.modified_at,
    "last-staff-replied": lambda t: t.staff_replied_at,
    "last-contact-replied": lambda t: t.contact_replied_at,
    "last-closed": lambda t: t.closed_at,
}

_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "on": lambda have, want: have == want,
    "on-or-before": lambda have, want: have <= want,
    "on-or-after": lambda have, want: have >= want,
    "before": lambda have, want: have < want,
    "after": lambda have, want: have > want,
}

_KEYS: dict[str, Callable[[World, Ticket], Any]] = {
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
_SORTS: dict[str, tuple[Callable[[World, Ticket], Any], bool]] = {
    f"{name}{direction}": (key, direction == "d") for name, key in _KEYS.items() for direction in ("a", "d")
} | {
    "due": (lambda w, t: t.due_date or "9999", False),
    "unresponded": (lambda w, t: not t.unresponded, False),
}


def in_status(world: World, ticket: Ticket, wanted: str) -> bool:
    """The `status` parameter: `_all`, `_pending`, `_completed` or an id."""
    if wanted in ("", "_all"):
        return True
    if wanted in ("_pending", "_completed"):
        return world.completed(ticket.status) == (wanted == "_completed")
    return str(ticket.status) == wanted


def matches(world: World, ticket: Ticket, q: str) -> bool:
    """Whether every term and every free word of `q` holds for the ticket."""
    for quoted, name, values, phrase, word in _TERM.findall(q):
        if values:
            wanted = [a or b.strip() for a, b in _VALUE.findall(values)]
            if not _term(world, ticket, quoted or name, wanted):
                return False
        elif not all(w in _text(ticket) for w in (phrase or word).lower().split()):
            return False
    return True


def ordered(world: World, tickets: Iterable[Ticket], sort: str) -> list[Ticket]:
    """Tickets in the order of a sort code; an unknown code is the default, last reply first.

    Equal ones stand in the order of their numbers. `clientd` is documented as ascending: a slip.
    """
    key, falling = _SORTS.get(sort, _SORTS["updated"])
    return sorted(tickets, key=lambda ticket: (key(world, ticket), ticket.id), reverse=falling)


def _term(world: World, ticket: Ticket, name: str, wanted: list[str]) -> bool:
    if name == "id":
        return str(ticket.id) in wanted or ticket.display_id.removeprefix("#") in wanted
    if name == "status":
        return world.statuses[ticket.status]["name"] in wanted
    if name == "priority":
        return world.priorities[ticket.priority]["name"] in wanted
    if name == "tag":
        return any(tag in ticket.tags for tag in wanted)
    if name == "unresponded":
        return ticket.unresponded == (wanted[0].lower() == "true")
    if name == "assignee":
        return _assignee(world, ticket, wanted)
    if name == "contact":
        return _contact(world, ticket, wanted)
    for prefix, at in _DATES.items():
        compare = _COMPARE.get(name.removeprefix(f"{prefix}-"))
        if compare is not None and name.startswith(f"{prefix}-"):
            time = at(ticket)
            return time is not None and compare(_day(time), wanted[0])
    return _field(world, ticket, name, wanted)


def _assignee(world: World, ticket: Ticket, wanted: list[str]) -> bool:
    if ticket.assignee is None:
        return "none" in wanted
    staff = world.staff[ticket.assignee]
    return any(word in ("any", staff["email"], staff["name"], *staff["name"].split()) for word in wanted)


def _contact(world: World, ticket: Ticket, wanted: list[str]) -> bool:
    contact = world.contacts[ticket.contact]
    known = " ".join([contact.name, contact.email or "", *(p["number"] for p in contact.phones)]).lower()
    return any(word.lower() in known for word in wanted)


def _field(world: World, ticket: Ticket, name: str, wanted: list[str]) -> bool:
    for number, definition in world.ticket_fields.items():
        if definition["name"].lower() == name.lower():
            value, _ = field_value(definition, ticket.fields.get(number))
            if value is None:
                return False
            if definition["type"] == "date":
                year, month, day = value.split("-")
                value = f"{month}/{day}/{year}"
            have = [part.lower() for part in (split(value) if definition["choices"] else [str(value)])]
            return any(word.lower() in have for word in wanted)
    return False


def _text(ticket: Ticket) -> str:
    said = (row.shown["message"]["text"] for row in ticket.rows if row.shown["message"])
    return " ".join([ticket.subject, *said]).lower()


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d")
