"""Reference lists as HappyFox answers them: staff, statuses, priorities, categories, fields (KB 360, KB 1039)."""

from dataclasses import dataclass, field
from typing import Any

from workers.models.values import Raw, items, mapping, number, text


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Anything with an id and a name; ``raw`` is the answer itself."""

    id: int
    name: str
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class StaffRead(Entry):
    """A staff member; ``categories`` are ids, ``permissions`` HappyFox's words."""

    email: str
    active: bool
    admin: bool
    role: str
    categories: tuple[int, ...]
    permissions: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class StatusRead(Entry):
    """A status; tickets in one with ``closed`` count as completed. ``color`` is hexadecimal, without #."""

    closed: bool
    color: str
    order: int | None
    default: bool


@dataclass(frozen=True, kw_only=True)
class PriorityRead(Entry):
    """A priority."""

    order: int | None
    default: bool


@dataclass(frozen=True, kw_only=True)
class CategoryRead(Entry):
    """A category; ``public`` ones take tickets from everybody."""

    description: str
    public: bool
    time_spent_mandatory: bool


@dataclass(frozen=True, kw_only=True)
class ChoiceRead(Entry):
    """A value that a field with choices can have; ``dependants`` are the fields that it brings along."""

    dependants: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class FieldRead(Entry):
    """A custom field of tickets, contacts or assets; ``kind`` is HappyFox's word for its type.

    ``needed_to_close`` fields have to be filled before a ticket is closed. ``categories`` are the ids of those that
    have the field.
    """

    kind: str
    choices: tuple[ChoiceRead, ...]
    required: bool
    needed_to_close: bool
    staff_only: bool
    categories: tuple[int, ...]


def read_staff(raw: object) -> StaffRead | None:
    """Reads a staff member; None for one without id."""
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
        categories=_numbers(members.get("categories")),
        permissions=frozenset(map(text, items(members.get("permissions")))),
        raw=members,
    )


def read_status(raw: object) -> StatusRead | None:
    """Reads a status; None for one without id."""
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
    """Reads a priority; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    order, default = number(members.get("order")), members.get("default") is True
    return PriorityRead(id=identity, name=text(members.get("name")), order=order, default=default, raw=members)


def read_category(raw: object) -> CategoryRead | None:
    """Reads a category; None for one without id."""
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
    """Reads the definition of a custom field; None for one without id."""
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
        categories=_numbers([mapping(each).get("category") for each in items(members.get("categories"))]),
        raw=members,
    )


def _choice(raw: object) -> ChoiceRead | None:
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    dependants = tuple(items(members.get("dependant_fields")))
    return ChoiceRead(id=identity, name=text(members.get("text")), dependants=dependants, raw=members)


def _numbers(raw: object) -> tuple[int, ...]:
    return tuple(each for each in map(number, items(raw)) if each is not None)
