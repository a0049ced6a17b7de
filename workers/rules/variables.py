"""What templates of rules can use: the variables with their types and values, and the filters."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from typing import Any, Final

from workers.tickets.change import Change, Event
from workers.tickets.fields import FieldValues
from workers.tickets.hours import zone
from workers.tickets.model import Attachment, TicketRead

TEXT: Final = "a text"
NUMBER: Final = "a number"
FLAG: Final = "yes or no"
TIME: Final = "a time"
LIST: Final = "a list"
FIELDS: Final = "the custom fields"

Type = str | Mapping[str, Any]
"""The type of an expression: one of the above, the types of its members, or empty if unknown."""

_NAMED = {"id": NUMBER, "name": TEXT}
_PERSON = {**_NAMED, "first_name": TEXT}

#: The variables of templates with their members.
VARIABLES: Mapping[str, Mapping[str, Any]] = {
    "ticket": {
        **dict.fromkeys(("display_id", "subject", "first_message", "message", "source", "url"), TEXT),
        **dict.fromkeys(("priority", "category"), _NAMED),
        **dict.fromkeys(("due_date", "created_at", "modified_at"), TIME),
        "id": NUMBER,
        "status": {**_NAMED, "closed": FLAG},
        "assignee": {**_PERSON, "email": TEXT},
        "contact": {**_PERSON, "email": TEXT, "domain": TEXT, "phones": LIST, "groups": LIST, "fields": FIELDS},
        "tags": LIST,
        "fields": FIELDS,
        "unresponded": FLAG,
    },
    "event": {"account": TEXT, "kind": TEXT, "at": TIME, "replay": FLAG},
    "change": {
        "automatic": FLAG,
        **dict.fromkeys(("kind", "text", "html", "field"), TEXT),
        "at": TIME,
        "update_id": NUMBER,
        "actor": {**_PERSON, "kind": TEXT},
        "old": _NAMED,
        "new": _NAMED,
        "added": LIST,
        "removed": LIST,
        "attachments": LIST,
    },
}


class TemplateView:
    """An object as templates see it: members by name, no attributes, and false if there is no object.

    Members without a value are empty, so that no expression of a template can fail in a turn.
    """

    __slots__ = ("_members", "_thing")

    def __init__(self, members: Mapping[str, Any], thing: object) -> None:
        self._members, self._thing = members, thing

    def __getitem__(self, name: str) -> Any:
        return _view(self._members[name], getattr(self._thing, name, None))

    def __bool__(self) -> bool:
        return self._thing is not None


class FieldsView:
    """Custom fields as templates see them: by name; unknown fields are empty."""

    __slots__ = ("_values",)

    def __init__(self, values: FieldValues) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        found = self._values.find(name)
        return found.value if found else ""

    def __bool__(self) -> bool:
        return bool(self._values)


def views(ticket: TicketRead, event: Event, change: Change) -> dict[str, TemplateView]:
    """Return the variables of a template with their values."""
    things = {"ticket": ticket, "event": event, "change": change}
    return {name: TemplateView(VARIABLES[name], thing) for name, thing in things.items()}


def _view(type_: Type, value: Any) -> Any:
    """Return a value as templates see it."""
    if isinstance(type_, Mapping):
        return TemplateView(type_, value)
    if type_ == FIELDS:
        return FieldsView(FieldValues(()) if value is None else value)
    if type_ == LIST:
        ordered = sorted(value) if isinstance(value, frozenset) else value
        return tuple(each.filename if isinstance(each, Attachment) else each for each in ordered)
    return "" if value is None else value


def shown(value: Any) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return ", ".join(map(shown, value)) if isinstance(value, tuple) else str(value)


# Filters


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """A filter, as in {{ ticket.subject|upper }}."""

    accepts: tuple[str, ...]
    """The types it is for."""
    run: Callable[..., Any]
    _: KW_ONLY
    argument: str | int | None = None
    """An example of its argument, which must have the same type; None if it has no argument."""
    required: bool = False
    """Whether the argument is required."""
    check: Callable[[Any], object] | None = None
    """Raises ValueError with "problem; fix" for an invalid argument."""
    returns: str = TEXT

    def takes(self, arguments: Sequence[object]) -> bool:
        if not arguments:
            return not self.required
        return self.argument is not None and [type(each) for each in arguments] == [type(self.argument)]

    def example(self, name: str) -> str:
        """Show how to write the filter."""
        return f"|{name}" if self.argument is None else f"|{name}({json.dumps(self.argument)})"


def _truncate(text: str, most: int = 255) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)].rstrip()}…"


def _date(at: date | str, where: str = "UTC") -> str:
    local = at.astimezone(zone(where)) if isinstance(at, datetime) else at
    return f"{local:%Y-%m-%d}" if isinstance(local, date) else ""


def _time(at: date | str, where: str = "UTC") -> str:
    return f"{at.astimezone(zone(where)):%H:%M}" if isinstance(at, datetime) else ""


FILTERS: Mapping[str, TemplateFilter] = {
    "upper": TemplateFilter((TEXT,), str.upper),
    "lower": TemplateFilter((TEXT,), str.lower),
    "capitalize": TemplateFilter((TEXT,), str.capitalize),
    "title": TemplateFilter((TEXT,), str.title),
    "trim": TemplateFilter((TEXT,), str.strip),
    "truncate": TemplateFilter((TEXT,), _truncate, argument=40),
    "default": TemplateFilter(
        (TEXT, NUMBER, FLAG, TIME, LIST),
        lambda value, other: other if value in ("", ()) else value,
        argument="there",
        required=True,
    ),
    "join": TemplateFilter((LIST,), lambda values, between=", ": between.join(map(str, values)), argument=", "),
    "first": TemplateFilter((LIST,), lambda values: values[0] if values else ""),
    "last": TemplateFilter((LIST,), lambda values: values[-1] if values else ""),
    "length": TemplateFilter((LIST, TEXT), len, returns=NUMBER),
    "date": TemplateFilter((TIME,), _date, argument="Europe/Berlin", check=zone),
    "time": TemplateFilter((TIME,), _time, argument="Europe/Berlin", check=zone),
}
