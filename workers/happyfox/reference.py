"""An account's staff, statuses, priorities, categories and custom fields.

Lists without pages (KB 360, KB 1039, KB 1092). The choices of a ticket field can be replaced (KB 1247).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workers.errors import Unfit
from workers.happyfox.base import BaseClient, Resource
from workers.happyfox.messages import Request, segment
from workers.tickets.model import items, mapping, number, numbers, read_all, reader, text

#: The calls for the lists. KB 1039 names the path of the priorities, but does not show the answer.
STAFF: Final = Request("GET", "/staff/")
STATUSES: Final = Request("GET", "/statuses/")
PRIORITIES: Final = Request("GET", "/priorities/")
CATEGORIES: Final = Request("GET", "/categories/")
TICKET_CUSTOM_FIELDS: Final = Request("GET", "/ticket_custom_fields/")
CONTACT_CUSTOM_FIELDS: Final = Request("GET", "/user_custom_fields/")
CONTACT_GROUPS: Final = Request("GET", "/contact_groups/")


@dataclass(frozen=True, kw_only=True)
class StaffRead(Resource):
    """A staff member."""

    email: str
    active: bool
    admin: bool
    role: str
    categories: tuple[int, ...]
    """Ids."""
    permissions: frozenset[str]
    """In HappyFox's words."""


@dataclass(frozen=True, kw_only=True)
class StatusRead(Resource):
    """A status."""

    closed: bool
    """Whether tickets in it count as completed."""
    color: str
    """Hexadecimal, without #."""
    order: int | None
    default: bool


@dataclass(frozen=True, kw_only=True)
class PriorityRead(Resource):
    """A priority."""

    order: int | None
    default: bool


@dataclass(frozen=True, kw_only=True)
class CategoryRead(Resource):
    """A category."""

    description: str
    public: bool
    """Whether anybody can create tickets in it."""
    time_spent_mandatory: bool
    """Whether replies and notes need ``time_spent``."""
    prepopulate_cc: str
    """Whom replies have in cc, in HappyFox's words."""


@dataclass(frozen=True, kw_only=True)
class ChoiceRead(Resource):
    """A value of a field with choices."""

    dependants: tuple[Any, ...]
    """Fields that appear with this choice."""


@dataclass(frozen=True, kw_only=True)
class FieldRead(Resource):
    """The definition of a custom field of tickets, contacts or assets."""

    kind: str
    """HappyFox's word for its type."""
    choices: tuple[ChoiceRead, ...]
    required: bool
    needed_to_close: bool
    """Whether it must be filled before a ticket is closed."""
    compulsory_on_move: bool
    """Whether it must be filled before a ticket is moved."""
    depends_on_choice: int | None
    """The choice with which the field appears; None if it always does."""
    order: int | None
    """Its place among the fields of contacts."""
    staff_only: bool
    categories: tuple[int, ...]
    """Ids of the categories that have the field."""


class ReferenceReads(BaseClient):
    """Reading the lists of staff, statuses, priorities, categories and custom fields."""

    def categories(self) -> list[CategoryRead]:
        return self._list(CATEGORIES, read_category)

    def staff(self) -> list[StaffRead]:
        """List the staff members, also inactive ones."""
        return self._list(STAFF, read_staff)

    def statuses(self) -> list[StatusRead]:
        return self._list(STATUSES, read_status)

    def priorities(self) -> list[PriorityRead]:
        return self._list(PRIORITIES, read_priority)

    def ticket_custom_fields(self) -> list[FieldRead]:
        return self._list(TICKET_CUSTOM_FIELDS, read_field)

    def contact_custom_fields(self) -> list[FieldRead]:
        return self._list(CONTACT_CUSTOM_FIELDS, read_field)


class Reference(ReferenceReads):
    """Reading lists, and changing the choices of a custom field."""

    def update_choices(self, field: int, choices: Iterable[Mapping[str, Any]]) -> FieldRead:
        """Replace **all** choices of a ticket field and return the field (KB 1247).

        Each has ``text`` and ``id``, which is None for a new one; a choice left out is deleted.
        """
        listed = [{"dependant_fields": [], **choice} for choice in choices]
        if any("id" not in choice or not choice.get("text") for choice in listed):
            raise Unfit("each choice needs its text and its id, which is None for a new one; nothing was sent")
        request = Request("PUT", f"/ticket_custom_field/{segment(field, 'the field')}/", body={"choices": listed})
        return self._one(request, read_field)


read_staff = reader(
    StaffRead,
    active=lambda raw: raw.get("active") is not False,
    admin="is_account_admin",
    role=lambda raw: text(mapping(raw.get("role")).get("name")),
    permissions=lambda raw: frozenset(map(text, items(raw.get("permissions")))),
)
read_status = reader(StatusRead, closed=lambda raw: text(raw.get("behavior")) == "completed")
read_priority = reader(PriorityRead)
read_category = reader(CategoryRead)
read_choice = reader(ChoiceRead, name="text", dependants=lambda raw: tuple(items(raw.get("dependant_fields"))))
read_field = reader(
    FieldRead,
    kind=lambda raw: text(raw.get("type")).lower(),
    choices=lambda raw: read_all(read_choice, raw.get("choices")),
    needed_to_close="compulsory_on_completed",
    depends_on_choice=lambda raw: number(mapping(raw.get("depends_on_choice")).get("id", raw.get("depends_on_choice"))),
    staff_only="visible_to_staff_only",
    categories=lambda raw: numbers([mapping(each).get("category") for each in items(raw.get("categories"))]),
)
