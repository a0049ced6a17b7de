"""What the terms of a search ask of a ticket (tickets article, 2). A term nobody knows matches nothing."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from workers.simulator.rows import field_value
from workers.simulator.search.grammar import Term
from workers.simulator.world import Json, Ticket, World

_DATES: Final[dict[str, Callable[[Ticket], float | None]]] = {
    "created": lambda t: t.created_at,
    "last-modified": lambda t: t.modified_at,
    "last-staff-replied": lambda t: t.staff_replied_at,
    "last-contact-replied": lambda t: t.contact_replied_at,
    "last-closed": lambda t: t.closed_at,
}

_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "on": lambda have, want: have == want,
    "on-or-before": lambda have, want: have <= want,
    "on-or-after": lambda have, want: have >= want,
    "before": lambda have, want: have < want,
    "after": lambda have, want: have > want,
}

_DUE: Final[dict[str, Callable[[date, date], bool]]] = {
    "today": lambda due, today: due == today,
    "yesterday": lambda due, today: due == today - timedelta(1),
    "tomorrow": lambda due, today: due == today + timedelta(1),
    "overdue": lambda due, today: due < today,
    "next 7 days": lambda due, today: today <= due <= today + timedelta(7),
}


def in_status(world: World, ticket: Ticket, wanted: str) -> bool:
    """The `status` parameter: `_all`, `_pending`, `_completed` or an id."""
    if wanted in ("", "_all"):
        return True
    if wanted in ("_pending", "_completed"):
        return world.completed(ticket.status) == (wanted == "_completed")
    return str(ticket.status) == wanted


def holds(world: World, ticket: Ticket, term: Term) -> bool:
    """Whether a term holds for the ticket."""
    if not term.name:
        text = _text(ticket)
        return all(word in text for word in term.values)
    if not term.values:
        return False
    known = _TERMS.get(term.name)
    if known is not None:
        return known(world, ticket, term.values)
    for prefix, at in _DATES.items():
        compare = _COMPARE.get(term.name.removeprefix(f"{prefix}-"))
        if compare is not None and term.name.startswith(f"{prefix}-"):
            time = at(ticket)
            return time is not None and compare(_day(world, time).strftime("%Y/%m/%d"), term.values[0])
    return _field(world, ticket, term.name, term.values)


def _id(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return str(ticket.id) in wanted or ticket.display_id.removeprefix("#") in wanted


def _status(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return world.statuses[ticket.status]["name"] in wanted


def _priority(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return world.priorities[ticket.priority]["name"] in wanted


def _tag(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return any(tag in ticket.tags for tag in wanted)


def _unresponded(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return ticket.unresponded == _true(wanted)


def _breached(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    return (ticket.sla_breaches > 0) == _true(wanted)


def _has_attachments(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    messages = (row.shown["message"] for row in ticket.rows if row.visible_at <= world.now())
    return any(message["attachments"] for message in messages if message) == _true(wanted)


def _duedate(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    if ticket.due_date is None:
        return False
    due, today = date.fromisoformat(ticket.due_date), _day(world, world.now())
    return any(_DUE[word.lower()](due, today) for word in wanted if word.lower() in _DUE)


def _group(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    groups = world.contacts[ticket.contact].groups
    if not groups:
        return "none" in wanted
    return "any" in wanted or any(world.groups[number]["name"] in wanted for number in groups)


def _assignee(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    if ticket.assignee is None:
        return "none" in wanted
    staff = world.staff[ticket.assignee]
    return any(word in ("any", staff["email"], staff["name"], *staff["name"].split()) for word in wanted)


def _contact(world: World, ticket: Ticket, wanted: tuple[str, ...]) -> bool:
    contact = world.contacts[ticket.contact]
    known = " ".join([contact.name, contact.email or "", *(p["number"] for p in contact.phones)]).lower()
    return any(word.lower() in known for word in wanted)


def _field(world: World, ticket: Ticket, name: str, wanted: tuple[str, ...]) -> bool:
    """A custom field of the ticket or its contact, name and values in any case."""
    contact = world.contacts[ticket.contact]
    for table, values in ((world.ticket_fields, ticket.fields), (world.contact_fields, contact.fields)):
        for number, definition in table.items():
            if definition["name"].lower() == name.lower():
                have = _searchable(definition, values.get(number))
                return any(word.lower() in have for word in wanted)
    return False


def _searchable(definition: Json, stored: Any) -> list[str]:
    """A field's value as a search names it: labels, dates as `mm/dd/yyyy`, all in lower case."""
    value, _ = field_value(definition, stored, listed=True)
    if value is None:
        return []
    if definition["type"] == "date":
        value = date.fromisoformat(value).strftime("%m/%d/%Y")
    return [str(one).lower() for one in (value if isinstance(value, list) else [value])]


def _text(ticket: Ticket) -> str:
    said = (row.shown["message"]["text"] for row in ticket.rows if row.shown["message"])
    return " ".join([ticket.subject, *said]).lower()


def _day(world: World, at: float) -> date:
    return datetime.fromtimestamp(at + world.options.day_offset, UTC).date()


def _true(wanted: tuple[str, ...]) -> bool:
    return wanted[0].lower() == "true"


_TERMS: Final[dict[str, Callable[[World, Ticket, tuple[str, ...]], bool]]] = {
    "id": _id,
    "status": _status,
    "priority": _priority,
    "tag": _tag,
    "unresponded": _unresponded,
    "breached": _breached,
    "has_attachments": _has_attachments,
    "duedate": _duedate,
    "assignee": _assignee,
    "group": _group,
    "contact": _contact,
}
