"""The directory: what an account calls its staff, statuses, priorities, categories and fields, and their ids.

A name is looked up in any case and without the white space around it, an ``int`` is taken as an id. Lists
are bare arrays (KB 360); the form of ``/priorities/`` and the words for kinds of fields beside ``text`` and
``choice`` are assumed.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from workers.errors import GiveUp, UnknownName
from workers.happyfox import protocol
from workers.happyfox.protocol import Request
from workers.happyfox.requests.contacts import contact_custom_fields
from workers.lanes.keys import FORMAT

#: Seconds after which the lists are read again; a name that is missing has them read again at once.
LIFETIME = 3600

#: What has names and ids in a directory.
Sort = Literal["staff", "status", "priority", "category", "field", "contact_field"]

CHOICES = ("choice", "dropdown")
MULTIPLE = ("multiple_choice", "multiple choice")


@dataclass(frozen=True, slots=True)
class Choice:
    """One value a field with choices can have."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field of tickets or contacts; ``kind`` is HappyFox's word for its type."""

    id: int
    name: str
    kind: str
    choices: tuple[Choice, ...]


class Directory:
    """Finds ids by names in the lists as HappyFox sent them.

    Raises ``UnknownName``, with the names that exist, for one that nobody or more than one has.
    """

    #: The lists a directory is built from, and the calls that give them.
    LISTS: ClassVar[Mapping[str, Request]] = {
        "staff": protocol.staff(),
        "statuses": protocol.statuses(),
        "priorities": protocol.priorities(),
        "categories": protocol.categories(),
        "fields": protocol.ticket_custom_fields(),
    }

    #: The list that only those read who name fields of contacts.
    CONTACT_FIELDS: ClassVar[Mapping[str, Request]] = {"contact_fields": contact_custom_fields()}

    def __init__(
        self, staff: Any, statuses: Any, priorities: Any, categories: Any, fields: Any, contact_fields: Any = None
    ) -> None:
        self._raw = {
            "staff": staff,
            "statuses": statuses,
            "priorities": priorities,
            "categories": categories,
            "fields": fields,
        }
        active = [one for one in _items(staff) if one.get("active") is not False]
        self._staff = _Names("staff member", [(one["id"], one.get("name")) for one in active])
        self._addresses = _Names("staff member", [(one["id"], one.get("email")) for one in active])
        self._statuses = _Names("status", _named(statuses))
        self._priorities = _Names("priority", _named(priorities))
        self._categories = _Names("category", _named(categories))
        self._fields = _Names("field", _named(fields))
        self._by_id = {one["id"]: _field(one) for one in _items(fields)}
        self._contact_fields = _Names("contact field", _named(contact_fields))
        self._contact_by_id = {one["id"]: _field(one) for one in _items(contact_fields)}

    def status(self, name: str | int) -> int:
        """Gives the id of a status."""
        return self._statuses.id(name)

    def priority(self, name: str | int) -> int:
        """Gives the id of a priority."""
        return self._priorities.id(name)

    def category(self, name: str | int) -> int:
        """Gives the id of a category."""
        return self._categories.id(name)

    def staff_member(self, name: str | int) -> int:
        """Gives the id of an active staff member, by name or e-mail address."""
        return (self._addresses if isinstance(name, str) and "@" in name else self._staff).id(name)

    def field(self, name: str | int) -> Field:
        """Gives a custom field of tickets."""
        return self._by_id[self._fields.id(name)]

    def field_value(self, name: str | int, value: Any) -> Any:
        """Gives a value as it is sent for the field's kind (KB 579): ids of choices, dates as text."""
        return _value(self.field(name), value)

    def choice(self, field: str | int, name: str | int) -> int:
        """Gives the id of a choice of a ticket's field."""
        return _choice(self.field(field), name)

    def contact_field(self, name: str | int) -> Field:
        """Gives a custom field of contacts; needs their list."""
        return self._contact_by_id[self._contact_fields.id(name)]

    def contact_field_value(self, name: str | int, value: Any) -> Any:
        """Gives a value of a contact's field as it is sent."""
        return _value(self.contact_field(name), value)

    def name(self, sort: Sort, id: int) -> str:
        """Gives the name behind an id."""
        names = {
            "staff": self._staff,
            "status": self._statuses,
            "priority": self._priorities,
            "category": self._categories,
            "field": self._fields,
            "contact_field": self._contact_fields,
        }
        return names[sort].name(id)

    def to_json(self) -> bytes:
        """Gives the lists for storing."""
        return json.dumps({"v": FORMAT, **self._raw}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, stored: bytes) -> "Directory":
        """Builds a directory from what ``to_json`` gave; ``ValueError`` means to read the lists anew."""
        lists = json.loads(stored)
        if not isinstance(lists, dict) or lists.pop("v", None) != FORMAT:
            raise ValueError("the stored directory has another format")
        return cls(**{name: lists.get(name) for name in cls.LISTS})


class _Names:
    """Ids by name, in any case; a name may be ambiguous."""

    def __init__(self, what: str, pairs: Iterable[tuple[int, Any]]) -> None:
        self._what = what
        self._names = {id: str(name) for id, name in pairs if name}
        self._ids: dict[str, list[int]] = {}
        for id, name in self._names.items():
            self._ids.setdefault(_key(name), []).append(id)

    def id(self, name: str | int) -> int:
        if not isinstance(name, str):
            if name in self._names and not isinstance(name, bool):
                return name
            raise UnknownName(self._what, name, self._known())
        found = self._ids.get(_key(name), [])
        if len(found) > 1:  # names that differ in case only
            found = [id for id in found if self._names[id].strip() == name.strip()] or found
        if len(found) != 1:
            raise UnknownName(self._what, name, self._known(), "more than one" if found else "no")
        return found[0]

    def name(self, id: int) -> str:
        return self._names[self.id(id)]

    def _known(self) -> list[str]:
        return list(self._names.values())


def _value(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind in MULTIPLE:
        several = [value] if isinstance(value, str | int) else list(value)
        return [_choice(field, each) for each in several]
    if field.kind in CHOICES or field.choices:
        return _choice(field, value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if field.kind == "number":
        return _number(field, value)
    return value if isinstance(value, int | float) else str(value)


def _choice(field: Field, value: Any) -> int:
    names = _Names(f"choice of the field {field.name!r}", [(one.id, one.name) for one in field.choices])
    return names.id(value if isinstance(value, int) else str(value))


def _number(field: Field, value: Any) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise GiveUp(f"the field {field.name!r} takes a number, not {type(value).__name__}") from None
    if not math.isfinite(number):
        raise GiveUp(f"the field {field.name!r} takes a finite number")
    return int(number) if number.is_integer() else round(number, 2)


def _field(raw: Any) -> Field:
    choices = tuple(Choice(one["id"], str(one.get("text", ""))) for one in _items(raw.get("choices")))
    return Field(raw["id"], str(raw.get("name", "")), str(raw.get("type", "")).lower(), choices)


def _named(raw: Any) -> list[tuple[int, Any]]:
    return [(one["id"], one.get("name")) for one in _items(raw)]


def _items(raw: Any) -> list[dict[str, Any]]:
    """Gives the members of a list that have an id; also of one inside an envelope."""
    listed = raw.get("data") if isinstance(raw, dict) else raw
    return [one for one in listed or [] if isinstance(one, dict) and isinstance(one.get("id"), int)]


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
