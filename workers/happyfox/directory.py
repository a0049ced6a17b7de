"""The directory: what an account calls its staff, statuses, priorities, categories and fields, and their ids.

A name is looked up in any case and without the white space around it, an ``int`` is taken as an id. Lists
are bare arrays (KB 360); the form of ``/priorities/`` and the words for kinds of fields beside ``text`` and
``choice`` are assumed.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from workers.happyfox import protocol
from workers.happyfox.names import Field, Names, choice_of, items, read_field, value_of
from workers.happyfox.protocol import Request
from workers.happyfox.requests.contacts import contact_custom_fields

#: What has names and ids in a directory.
Sort = Literal["staff", "status", "priority", "category", "field", "contact_field"]


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
        active = [one for one in items(staff) if one.get("active") is not False]
        self._staff = Names("staff member", [(one["id"], one.get("name")) for one in active])
        self._addresses = Names("staff member", [(one["id"], one.get("email")) for one in active])
        self._statuses = Names("status", _named(statuses))
        self._priorities = Names("priority", _named(priorities))
        self._categories = Names("category", _named(categories))
        self._fields = Names("field", _named(fields))
        self._by_id = {one["id"]: read_field(one) for one in items(fields)}
        self._contact_fields = Names("contact field", _named(contact_fields))
        self._contact_by_id = {one["id"]: read_field(one) for one in items(contact_fields)}

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
        return value_of(self.field(name), value)

    def choice(self, field: str | int, name: str | int) -> int:
        """Gives the id of a choice of a ticket's field."""
        return choice_of(self.field(field), name)

    def contact_field(self, name: str | int) -> Field:
        """Gives a custom field of contacts; needs their list."""
        return self._contact_by_id[self._contact_fields.id(name)]

    def contact_field_value(self, name: str | int, value: Any) -> Any:
        """Gives a value of a contact's field as it is sent."""
        return value_of(self.contact_field(name), value)

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


def _named(raw: Any) -> list[tuple[int, Any]]:
    return [(one["id"], one.get("name")) for one in items(raw)]
