"""What an account calls its things: staff, statuses, priorities, categories and custom fields.

Lists without pages (KB 360, KB 1039, KB 1092). The choices of a ticket field can be replaced (KB 1247).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workers.errors import Unfit
from workers.happyfox.base import BaseClient, Resource
from workers.happyfox.messages import Request, segment
from workers.tickets.model import items, mapping, number, numbers, text

#: The calls for the lists. KB 1039 names the path of the priorities, but does not show the answer.
STAFF: Final = Request("GET", "/staff/")
STATUSES: Final = Request("GET", "/statuses/")
PRIORITIES: Final = Request("GET", "/priorities/")
CATEGORIES: Final = Request("GET", "/categories/")
TICKET_CUSTOM_FIELDS: Final = Request("GET", "/ticket_custom_fields/")
CONTACT_CUSTOM_FIELDS: Final = Request("GET", "/user_custom_fields/")


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
    staff_only: bool
    categories: tuple[int, ...]
    """Ids of the categories that have the field."""


class Reference(BaseClient):
    """Lists of staff, statuses, priorities, categories and custom fields."""

    def categories(self) -> list[CategoryRead]:
        """List the categories (KB 360)."""
        return self._list(CATEGORIES, read_category)

    def staff(self) -> list[StaffRead]:
        """List the staff members, also inactive ones (KB 360)."""
        return self._list(STAFF, read_staff)

    def statuses(self) -> list[StatusRead]:
        """List the statuses (KB 360)."""
        return self._list(STATUSES, read_status)

    def priorities(self) -> list[PriorityRead]:
        """List the priorities (KB 1039)."""
        return self._list(PRIORITIES, read_priority)

    def ticket_custom_fields(self) -> list[FieldRead]:
        """List the custom fields of tickets with their choices (KB 1039, 18)."""
        return self._list(TICKET_CUSTOM_FIELDS, read_field)

    def contact_custom_fields(self) -> list[FieldRead]:
        """List the custom fields of contacts with their choices (KB 1092, 13)."""
        return self._list(CONTACT_CUSTOM_FIELDS, read_field)

    def update_choices(self, field: int, choices: Iterable[Mapping[str, Any]]) -> FieldRead:
        """Replace **all** choices of a ticket field and return the field (KB 1247).

        Each has ``text`` and ``id``, which is None for a new one; a choice left out is deleted.
        """
        listed = [{"dependant_fields": [], **choice} for choice in choices]
        if any("id" not in choice or not choice.get("text") for choice in listed):
            raise Unfit("each choice needs its text and its id, which is None for a new one; nothing was sent")
        request = Request("PUT", f"/ticket_custom_field/{segment(field)}/", body={"choices": listed})
        return self._one(request, read_field)


def read_staff(raw: object) -> StaffRead | None:
    """Return a staff member; None without an id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return StaffRead(
        id=identity,
        name=text(members.get("name")),
        email=text(members.get("email")),
        active=members.get("active") is not False,
        admin=members.get("is_account_admin") is True,
        role=text(mapping(members.get("role")).get("name")),
        categories=numbers(members.get("categories")),
        permissions=frozenset(map(text, items(members.get("permissions")))),
        raw=members,
    )


def read_status(raw: object) -> StatusRead | None:
    """Return a status; None without an id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return StatusRead(
        id=identity,
        name=text(members.get("name")),
        closed=text(members.get("behavior")) == "completed",
        color=text(members.get("color")),
        order=number(members.get("order")),
        default=members.get("default") is True,
        raw=members,
    )


def read_priority(raw: object) -> PriorityRead | None:
    """Return a priority; None without an id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    order, default = number(members.get("order")), members.get("default") is True
    return PriorityRead(id=identity, name=text(members.get("name")), order=order, default=default, raw=members)


def read_category(raw: object) -> CategoryRead | None:
    """Return a category; None without an id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return CategoryRead(
        id=identity,
        name=text(members.get("name")),
        description=text(members.get("description")),
        public=members.get("public") is True,
        time_spent_mandatory=members.get("time_spent_mandatory") is True,
        raw=members,
    )


def read_field(raw: object) -> FieldRead | None:
    """Return the definition of a custom field; None without an id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return FieldRead(
        id=identity,
        name=text(members.get("name")),
        kind=text(members.get("type")).lower(),
        choices=tuple(each for each in map(_choice, items(members.get("choices"))) if each is not None),
        required=members.get("required") is True,
        needed_to_close=members.get("compulsory_on_completed") is True,
        staff_only=members.get("visible_to_staff_only") is True,
        categories=numbers([mapping(each).get("category") for each in items(members.get("categories"))]),
        raw=members,
    )


def _choice(raw: object) -> ChoiceRead | None:
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    dependants = tuple(items(members.get("dependant_fields")))
    return ChoiceRead(id=identity, name=text(members.get("text")), dependants=dependants, raw=members)
