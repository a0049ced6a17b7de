"""Views: what templates see of ticket, event and change; only values, nothing that could be called or changed.

What HappyFox has not is empty, so that no word of a template can fail while a turn is taken.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from workers.events.change import Actor, Change, Event
from workers.models.people import Contact, Staff
from workers.models.reference import Named, Status
from workers.models.ticket import TicketRead

TEXT: Final = "a text"
NUMBER: Final = "a number"
FLAG: Final = "yes or no"
TIME: Final = "a time"
LIST: Final = "a list"
FIELDS: Final = "the custom fields"

#: What a word of a template is: one of the above, or the members that it has.
Shape = str | Mapping[str, Any]

NAMED = {"id": NUMBER, "name": TEXT}

#: The words of templates.
WORDS: Mapping[str, Shape] = {
    "ticket": {
        **dict.fromkeys(("display_id", "subject", "first_message", "message", "source", "url"), TEXT),
        **dict.fromkeys(("priority", "category"), NAMED),
        **dict.fromkeys(("due_date", "created_at", "modified_at"), TIME),
        "id": NUMBER,
        "status": {**NAMED, "closed": FLAG},
        "assignee": {**NAMED, "email": TEXT},
        "contact": {**NAMED, "email": TEXT, "domain": TEXT, "phones": LIST, "groups": LIST, "fields": FIELDS},
        "tags": LIST,
        "fields": FIELDS,
        "unresponded": FLAG,
    },
    "event": {"account": TEXT, "kind": TEXT, "at": TIME, "replay": FLAG},
    "change": {
        **dict.fromkeys(("kind", "text", "html", "field"), TEXT),
        "at": TIME,
        "update_id": NUMBER,
        "actor": {**NAMED, "kind": TEXT},
        "old": NAMED,
        "new": NAMED,
        "added": LIST,
        "removed": LIST,
        "attachments": LIST,
    },
}


class View:
    """Members by name, with no attribute to reach for; without members it counts as absent, and each is empty."""

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        value = self._members.get(name)
        return "" if value is None else value

    def __bool__(self) -> bool:
        return bool(self._members)


class Fields(View):
    """Custom fields by name, in any case."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__({_key(name): value for name, value in values.items()})

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(_key(name))


def views(ticket: TicketRead, event: Event, change: Change) -> dict[str, View]:
    """Gives the words of a template with their values."""
    return {"ticket": _ticket(ticket), "event": _event(event), "change": _change(change)}


def shown(value: Any) -> str:
    """Gives a value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return str(value)


def _ticket(ticket: TicketRead) -> View:
    members = {name: getattr(ticket, name) for name, shape in _shapes("ticket").items() if isinstance(shape, str)}
    return View(
        {
            **members,
            "status": _named(ticket.status),
            "priority": _named(ticket.priority),
            "category": _named(ticket.category),
            "assignee": _named(ticket.assignee),
            "contact": _contact(ticket.contact),
            "tags": tuple(sorted(ticket.tags)),
            "fields": Fields(ticket.fields),
        }
    )


def _event(event: Event) -> View:
    return View({name: getattr(event, name) for name in _shapes("event")})


def _change(change: Change) -> View:
    members = {name: getattr(change, name) for name, shape in _shapes("change").items() if isinstance(shape, str)}
    return View(
        {
            **members,
            "actor": _named(change.actor),
            "old": _named(change.old),
            "new": _named(change.new),
            "added": tuple(sorted(change.added)),
            "removed": tuple(sorted(change.removed)),
            "attachments": tuple(each.filename for each in change.attachments),
        }
    )


def _named(thing: Named | Staff | Actor | None) -> View:
    if thing is None:
        return View({})
    members: dict[str, Any] = {"id": thing.id, "name": thing.name}
    if isinstance(thing, Status):
        members["closed"] = thing.closed
    if isinstance(thing, Staff):
        members["email"] = thing.email
    if isinstance(thing, Actor):
        members["kind"] = thing.kind
    return View(members)


def _contact(contact: Contact) -> View:
    members = {name: getattr(contact, name) for name in ("id", "name", "email", "domain", "phones", "groups")}
    return View({**members, "fields": Fields(contact.fields)})


def _shapes(word: str) -> Mapping[str, Any]:
    shape = WORDS[word]
    assert not isinstance(shape, str)
    return shape


def _key(name: str) -> str:
    return name.strip().casefold()
