"""Search terms, sort order and report periods.

Sources: section 2 of the tickets and contacts articles, and section 9 of KB 1088.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from workers.simulator.account import Json, SimulatedAccount, StoredContact, StoredTicket
from workers.simulator.updates import shown_value

_VALUE: Final = r'(?:"[^"]*"|[^\s",]+)'
_TERM: Final = re.compile(rf'(?:"([^"]+)"|([\w-]+)):({_VALUE}(?:,\s*{_VALUE})*)|"([^"]*)"|(\S+)')
_VALUES: Final = re.compile(r'"([^"]*)"|([^",]+)')


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; all terms of a search have to match."""

    name: str
    """Empty for free words."""
    values: tuple[str, ...]
    """Alternatives. Free words must all occur, in any order, even inside quotes (tried by one user)."""


def parse_search(q: str) -> list[Term]:
    """Return the terms of a search: `name:value,value`, quoted text, and free words."""
    found = []
    for quoted, name, several, phrase, word in _TERM.findall(q):
        if several:
            found.append(Term(quoted or name, parse_values(several)))
        elif words := tuple((phrase or word).lower().split()):
            found.append(Term("", words))
    return found


def parse_values(text: str) -> tuple[str, ...]:
    """Return the members of a comma-separated list, with or without quotes."""
    return tuple(quoted or plain.strip() for quoted, plain in _VALUES.findall(text) if quoted or plain.strip())


# Tickets

_DATES: Final = {
    "created": "created_at",
    "last-modified": "modified_at",
    "last-staff-replied": "staff_replied_at",
    "last-contact-replied": "contact_replied_at",
    "last-closed": "closed_at",
}
_COMPARISONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "on": operator.eq,
    "on-or-before": operator.le,
    "on-or-after": operator.ge,
    "before": operator.lt,
    "after": operator.gt,
}
_DATE_TERMS: Final = {
    f"{name}-{word}": (member, compare) for name, member in _DATES.items() for word, compare in _COMPARISONS.items()
}
"""Name of each search term for a date, with the ticket's member and the comparison of days."""
_DUE: Final[dict[str, Callable[[date, date], bool]]] = {
    "today": lambda due, today: due == today,
    "yesterday": lambda due, today: due == today - timedelta(1),
    "tomorrow": lambda due, today: due == today + timedelta(1),
    "overdue": lambda due, today: due < today,
    "next 7 days": lambda due, today: today <= due <= today + timedelta(7),
}


STATUS_GROUPS: Final = ("", "_all", "_pending", "_completed")
"""What `status` of a list can be besides an id. One client uses `_completed`."""


def in_status(account: SimulatedAccount, ticket: StoredTicket, wanted: str) -> bool:
    """Return whether a ticket matches `_all`, `_pending`, `_completed` or a status id."""
    if wanted in ("", "_all"):
        return True
    if wanted in ("_pending", "_completed"):
        return account.completed(ticket.status) == (wanted == "_completed")
    return str(ticket.status) == wanted


def ticket_matches(account: SimulatedAccount, ticket: StoredTicket, term: Term) -> bool:
    """Return whether a ticket matches a term. An unknown term matches nothing."""
    if not term.name:
        messages = (update.shown["message"]["text"] for update in ticket.updates if update.shown["message"])
        text = " ".join([ticket.subject, *messages]).lower()
        return all(word in text for word in term.values)
    if not term.values:
        return False
    if term.name in _TERMS:
        return _TERMS[term.name](account, ticket, term.values)
    if term.name in _DATE_TERMS:
        member, compare = _DATE_TERMS[term.name]
        at: float | None = getattr(ticket, member)
        return at is not None and compare(account.day(at).strftime("%Y/%m/%d"), term.values[0])
    return _field_matches(account, ticket, term.name, term.values)


def _has_attachments(account: SimulatedAccount, ticket: StoredTicket, wanted: tuple[str, ...]) -> bool:
    messages = (update.shown["message"] for update in ticket.updates if update.visible_at <= account.now())
    return any(message["attachments"] for message in messages if message) == _is_true(wanted)


def _is_due(account: SimulatedAccount, ticket: StoredTicket, wanted: tuple[str, ...]) -> bool:
    if ticket.due_date is None:
        return False
    due, today = date.fromisoformat(ticket.due_date), account.day(account.now())
    return any(_DUE[word.lower()](due, today) for word in wanted if word.lower() in _DUE)


def _in_group(account: SimulatedAccount, ticket: StoredTicket, wanted: tuple[str, ...]) -> bool:
    groups = account.contacts[ticket.contact].groups
    if not groups:
        return "none" in wanted
    return "any" in wanted or any(account.groups[number]["name"] in wanted for number in groups)


def _has_assignee(account: SimulatedAccount, ticket: StoredTicket, wanted: tuple[str, ...]) -> bool:
    if ticket.assignee is None:
        return "none" in wanted
    staff = account.staff[ticket.assignee]
    return any(word in ("any", staff["email"], staff["name"], *staff["name"].split()) for word in wanted)


def _has_contact(account: SimulatedAccount, ticket: StoredTicket, wanted: tuple[str, ...]) -> bool:
    contact = account.contacts[ticket.contact]
    known = " ".join([contact.name, contact.email or "", *(p["number"] for p in contact.phones)]).lower()
    return any(word.lower() in known for word in wanted)


def _field_matches(account: SimulatedAccount, ticket: StoredTicket, name: str, wanted: tuple[str, ...]) -> bool:
    """Return whether a custom field of the ticket or its contact has a value."""
    contact = account.contacts[ticket.contact]
    for table, values in ((account.ticket_fields, ticket.fields), (account.contact_fields, contact.fields)):
        for number, definition in table.items():
            if definition["name"].lower() == name.lower():
                have = _searchable(definition, values.get(number))
                return any(word.lower() in have for word in wanted)
    return False


def _searchable(definition: Json, stored: Any) -> list[str]:
    """Return a field's value as it is written in a search, in lower case."""
    value, _ = shown_value(definition, stored, as_list=True)
    if value is None:
        return []
    if definition["type"] == "date":
        value = date.fromisoformat(value).strftime("%m/%d/%Y")
    return [str(one).lower() for one in (value if isinstance(value, list) else [value])]


def _is_true(wanted: tuple[str, ...]) -> bool:
    return wanted[0].lower() == "true"


_TERMS: Final[dict[str, Callable[[SimulatedAccount, StoredTicket, tuple[str, ...]], bool]]] = {
    "id": lambda _, ticket, wanted: str(ticket.id) in wanted or ticket.display_id.removeprefix("#") in wanted,
    "status": lambda account, ticket, wanted: account.statuses[ticket.status]["name"] in wanted,
    "priority": lambda account, ticket, wanted: account.priorities[ticket.priority]["name"] in wanted,
    "tag": lambda _, ticket, wanted: any(tag in ticket.tags for tag in wanted),
    "unresponded": lambda _, ticket, wanted: ticket.unresponded == _is_true(wanted),
    "breached": lambda _, ticket, wanted: (ticket.sla_breaches > 0) == _is_true(wanted),
    "has_attachments": _has_attachments,
    "duedate": _is_due,
    "assignee": _has_assignee,
    "group": _in_group,
    "contact": _has_contact,
}


# Sort order of tickets

_SORT_KEYS: Final[dict[str, Callable[[SimulatedAccount, StoredTicket], Any]]] = {
    "category": lambda _, ticket: ticket.category,
    "subject": lambda _, ticket: ticket.subject.lower(),
    "status": lambda account, ticket: account.statuses[ticket.status]["order"],
    "priority": lambda account, ticket: account.priorities[ticket.priority]["order"],
    "update": lambda _, ticket: ticket.updated_at,
    "create": lambda _, ticket: ticket.created_at,
    "assignee": lambda account, ticket: account.assignee_name(ticket) or "",
    "last_modified": lambda _, ticket: ticket.modified_at,
    "ticket": lambda _, ticket: ticket.id,
    "client": lambda _, ticket: ticket.contact,
}
SORTS: Final[dict[str, tuple[Callable[[SimulatedAccount, StoredTicket], Any], bool]]] = {
    f"{name}{direction}": (key, direction == "d") for name, key in _SORT_KEYS.items() for direction in ("a", "d")
} | {
    "due": (lambda _, ticket: ticket.due_date or "9999", False),
    "unresponded": (lambda _, ticket: not ticket.unresponded, False),
}
"""Each of the 22 sort codes of the ticket list, with its key and whether it is descending.

`clientd` is documented as ascending, which must be a mistake.
"""


def sort_tickets(account: SimulatedAccount, tickets: Iterable[StoredTicket], sort: str) -> list[StoredTicket]:
    """Return tickets in the order of a sort code, then by number."""
    key, descending = SORTS[sort]
    return sorted(tickets, key=lambda ticket: (key(account, ticket), ticket.id), reverse=descending)


# Contacts


def contact_matches(account: SimulatedAccount, contact: StoredContact, term: Term) -> bool:
    """Return whether a contact matches a term.

    Free words are searched in name, e-mail and phones (assumed). An unknown term matches nothing.
    """
    name, email = contact.name.lower(), (contact.email or "").lower()
    if not term.name:
        return all(word in name or word in email or _has_phone(contact, word) for word in term.values)
    if term.name == "name":
        return any(value.lower() in name for value in term.values)
    if term.name == "email":
        return any(value.lower() in email for value in term.values)
    if term.name == "phone":
        return any(_has_phone(contact, value) for value in term.values)
    if term.name in ("created_since", "updated_since"):
        at = contact.created_at if term.name == "created_since" else contact.updated_at
        since = _time(account, term.values[0] if term.values else "")
        return at is not None and since is not None and at >= since
    return False


def _has_phone(contact: StoredContact, wanted: str) -> bool:
    digits = _digits(wanted)
    return bool(digits) and any(digits in _digits(phone["number"]) for phone in contact.phones)


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def _time(account: SimulatedAccount, value: str) -> float | None:
    """Parse a day or a time, with slashes or dashes: the format is not documented."""
    try:
        moment = datetime.fromisoformat(value.replace("/", "-"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC).timestamp() - account.options.day_offset
    return moment.timestamp()


# Reports

_PERIOD_MESSAGES: Final[dict[str, set[tuple[str, str | None]]]] = {
    "str": {("staff", None)},
    "cur": {("user", None)},
    "prs": {("staff", "p")},
    "srp": {("staff", None), ("staff", "p")},
}
_PERIOD_TIMES: Final[dict[str, Callable[[StoredTicket], list[float]]]] = {
    "cr": lambda ticket: [ticket.created_at],
    "as": lambda ticket: [update.at for update in ticket.updates if update.shown["assignee_change"]],
    "cl": lambda ticket: [] if ticket.closed_at is None else [ticket.closed_at],
}


def tickets_of_report(account: SimulatedAccount, report: Json, query: Mapping[str, str]) -> list[StoredTicket]:
    """Return a report's tickets in the period of the query, or all of them, by number."""
    required: Mapping[str, Any] = report["only"]
    found = [
        ticket
        for ticket in account.tickets.values()
        if account.visible(ticket) and all(getattr(ticket, name) == value for name, value in required.items())
    ]
    period = _period(account, query)
    if period is None:
        return found
    (first, last), kind = period, query.get("period_type", "cr")
    return [ticket for ticket in found if any(first <= account.day(at) <= last for at in _times(ticket, kind))]


def _times(ticket: StoredTicket, kind: str) -> list[float]:
    if kind not in _PERIOD_MESSAGES:
        return _PERIOD_TIMES.get(kind, _PERIOD_TIMES["cr"])(ticket)
    wanted = _PERIOD_MESSAGES[kind]
    updates = [update for update in ticket.updates if update.shown["message"]]
    return [u.at for u in updates if (u.shown["by"]["type"], u.shown["message"]["message_type"]) in wanted]


def _period(account: SimulatedAccount, query: Mapping[str, str]) -> tuple[date, date] | None:
    today = account.day(account.now())
    first = today.replace(day=1)
    kind = query.get("period_date_range_type", "")
    if kind != "sr":
        return {
            "tod": (today, today),
            "l7d": (today - timedelta(6), today),
            "mtd": (first, today),
            "ytd": (today.replace(month=1, day=1), today),
            "pm": ((first - timedelta(1)).replace(day=1), first - timedelta(1)),
        }.get(kind)
    try:
        return date.fromisoformat(query["period_start"]), date.fromisoformat(query["period_end"])
    except (KeyError, ValueError):
        return None
