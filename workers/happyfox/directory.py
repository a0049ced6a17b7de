"""The directory of an account: ids by name, and names by id.

Case, spaces and the forms of quotes and dashes do not matter in a name; an ``int`` is an id. The answer of
``/priorities/`` and the kinds of fields other than ``text`` and ``choice`` are assumed.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from workers.errors import AmbiguousField, GiveUp, UnknownName
from workers.happyfox import reference
from workers.happyfox.messages import Request
from workers.happyfox.reference import FieldRead, read_field
from workers.tickets.fields import MULTIPLE, split_category
from workers.tickets.folding import fold
from workers.tickets.model import read_all

#: What has names in a directory.
NameKind = Literal["staff", "status", "priority", "category", "field", "contact_field", "contact_group"]

#: Kinds of fields with one choice (KB 579).
CHOICES = ("choice", "dropdown")


class Directory:
    """Finds ids by name; ``UnknownName`` lists the names that exist."""

    #: The lists of a directory and the calls that read them.
    LISTS: ClassVar[Mapping[str, Request]] = {
        "staff": reference.STAFF,
        "statuses": reference.STATUSES,
        "priorities": reference.PRIORITIES,
        "categories": reference.CATEGORIES,
        "fields": reference.TICKET_CUSTOM_FIELDS,
    }

    #: The list that is only needed for the names of contact fields.
    CONTACT_FIELDS: ClassVar[Mapping[str, Request]] = {"contact_fields": reference.CONTACT_CUSTOM_FIELDS}

    #: The list that is only needed to check the names of contact groups.
    CONTACT_GROUPS: ClassVar[Mapping[str, Request]] = {"contact_groups": reference.CONTACT_GROUPS}

    #: The calls of all lists.
    CALLS: ClassVar[Mapping[str, Request]] = {**LISTS, **CONTACT_FIELDS, **CONTACT_GROUPS}

    def __init__(
        self,
        staff: Any,
        statuses: Any,
        priorities: Any,
        categories: Any,
        fields: Any,
        contact_fields: Any = None,
        contact_groups: Any = None,
    ) -> None:
        active = [one for one in _with_id(staff) if one.get("active") is not False]
        self._names: dict[NameKind, _Names] = {
            "staff": _Names("staff member", active),
            "status": _Names("status", _with_id(statuses)),
            "priority": _Names("priority", _with_id(priorities)),
            "category": _Names("category", _with_id(categories)),
            "field": _FieldNames("field", _with_id(fields), _with_id(categories)),
            "contact_field": _FieldNames("contact field", _with_id(contact_fields), ()),
            "contact_group": _Names("contact group", _with_id(contact_groups)),
        }
        self._addresses = _Names("staff member", active, "email")
        self.has_contact_fields, self.has_contact_groups = contact_fields is not None, contact_groups is not None
        """Whether they are known."""
        self._timed = {one["id"] for one in _with_id(categories) if one.get("time_spent_mandatory") is True}
        self._fields, self._contact_fields = _definitions(fields), _definitions(contact_fields)

    def status(self, name: str | int) -> int:
        return self._names["status"].id(name)

    def priority(self, name: str | int) -> int:
        return self._names["priority"].id(name)

    def category(self, name: str | int) -> int:
        return self._names["category"].id(name)

    def requires_time(self, category: int | None) -> bool:
        """Return whether messages and changes in a category must report a time."""
        return category in self._timed

    def staff_member(self, name: str | int) -> int:
        """Return the id of an active staff member, by name or e-mail address."""
        return (self._addresses if isinstance(name, str) and "@" in name else self._names["staff"]).id(name)

    def field(self, name: str | int) -> FieldRead:
        return self._fields[self._names["field"].id(name)]

    def field_value(self, name: str | int, value: Any) -> Any:
        """Return a value as HappyFox expects it for this field (KB 579)."""
        return _value(self.field(name), value)

    def choice(self, field: str | int, name: str | int) -> int:
        """Return the id of a choice of a ticket's field."""
        return _choice(self.field(field), name)

    def contact_field(self, name: str | int) -> FieldRead:
        """Return the definition of a contact's custom field; needs ``contact_fields``."""
        return self._contact_fields[self._names["contact_field"].id(name)]

    def contact_group(self, name: str | int) -> int:
        """Return the id of a contact group; needs ``contact_groups``."""
        return self._names["contact_group"].id(name)

    def contact_field_value(self, name: str | int, value: Any) -> Any:
        return _value(self.contact_field(name), value)

    def name(self, kind: NameKind, id: int) -> str:
        return self._names[kind].name(id)


class _Names:
    """The ids of one list by name, in any case; a name may be ambiguous."""

    def __init__(self, what: str, listed: Iterable[Mapping[str, Any]], member: str = "name") -> None:
        self._what = what
        self._names = {one["id"]: str(one[member]) for one in listed if one.get(member)}
        self._ids: dict[str, list[int]] = {}
        for id, name in self._names.items():
            self._ids.setdefault(fold(name), []).append(id)

    def id(self, name: str | int) -> int:
        if not isinstance(name, str):
            if name in self._names and not isinstance(name, bool):
                return name
            raise UnknownName(self._what, name, self._known())
        found = self._ids.get(fold(name), [])
        if len(found) > 1:  # names that differ in case only
            found = [id for id in found if self._names[id].strip() == name.strip()] or found
        if len(found) != 1:
            raise UnknownName(self._what, name, self._known(), "more than one" if found else "no")
        return found[0]

    def name(self, id: int) -> str:
        return self._names[self.id(id)]

    def _known(self) -> list[str]:
        return list(self._names.values())


class _FieldNames(_Names):
    """The ids of custom fields: also by the digits of an id, and as `City (Billing)` for a field of that category."""

    def __init__(self, what: str, listed: Iterable[Mapping[str, Any]], categories: Iterable[Mapping[str, Any]]) -> None:
        fields = list(listed)
        super().__init__(what, fields)
        names = {one["id"]: str(one.get("name") or one["id"]) for one in categories}
        self._categories = {
            field.id: [names.get(each, str(each)) for each in field.categories]
            for field in read_all(read_field, fields)
        }

    def id(self, name: str | int) -> int:
        found = self._ids.get(fold(name), []) if isinstance(name, str) else []
        if isinstance(name, str) and not found:
            inner, category = split_category(name)
            found = [one for one in self._ids.get(fold(inner), []) if self._is_in(one, category)]
            if not found and name.strip().isdecimal() and int(name) in self._names:
                found = [int(name)]
        if len(found) > 1:
            exact = [one for one in found if self._names[one].strip() == str(name).strip()]
            if len(exact) != 1:
                raise AmbiguousField(name, [self._described(one) for one in found])
            found = exact
        return found[0] if found else super().id(name)

    def _is_in(self, field: int, category: str) -> bool:
        return bool(category) and fold(category) in map(fold, self._categories.get(field, ()))

    def _described(self, field: int) -> str:
        where = self._categories.get(field)
        return f"{field} ({', '.join(where)})" if where else str(field)


def _definitions(raw: Any) -> dict[int, FieldRead]:
    return {field.id: field for field in read_all(read_field, _with_id(raw))}


def _value(field: FieldRead, value: Any) -> Any:
    """Return a value as it is sent: ids of choices, dates as text."""
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
    if isinstance(value, list | tuple | set | dict | bytes) or (isinstance(value, float) and not math.isfinite(value)):
        raise GiveUp(f"the field {field.name!r} expects a text, not a {type(value).__name__}")
    return value if isinstance(value, int | float) else str(value)


def _choice(field: FieldRead, value: Any) -> int:
    names = _Names(f"choice of the field {field.name!r}", [{"id": one.id, "name": one.name} for one in field.choices])
    return names.id(value if isinstance(value, int) else str(value))


def _number(field: FieldRead, value: Any) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise GiveUp(f"the field {field.name!r} expects a number, not a {type(value).__name__}") from None
    if not math.isfinite(number):
        raise GiveUp(f"the field {field.name!r} expects a finite number")
    return int(number) if number.is_integer() else round(number, 2)


def _with_id(raw: Any) -> list[dict[str, Any]]:
    """Return the objects of a list that have an id, also from an envelope."""
    listed = raw.get("data") if isinstance(raw, dict) else raw
    return [one for one in listed or [] if isinstance(one, dict) and isinstance(one.get("id"), int)]
