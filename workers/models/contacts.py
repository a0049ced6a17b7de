"""Contacts and contact groups as HappyFox answers them (KB 1092)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from workers.models.fields import FieldValue, field_values
from workers.models.lists import Entry
from workers.models.values import comma_list, items, mapping, number, text, time


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone number; ``kind`` is ``mo`` mobile, ``w`` work, ``m`` main, ``h`` home or ``o`` other."""

    id: int | None
    kind: str
    number: str


@dataclass(frozen=True, kw_only=True)
class GroupRead(Entry):
    """A contact group; contacts of the ``domains`` join it when they are created.

    ``contacts`` are ids and are known only where the group was read by itself. ``sees_all`` tells, in a contact's own
    groups, whether it may see the tickets of the others.
    """

    description: str
    domains: tuple[str, ...]
    contacts: tuple[int, ...]
    sees_all: bool


@dataclass(frozen=True, kw_only=True)
class ContactRead(Entry):
    """A contact as it was when it was read; texts are empty when HappyFox has none, times aware, in UTC."""

    email: str
    phones: tuple[Phone, ...]
    primary_phone: Phone | None
    groups: tuple[GroupRead, ...]
    field_values: tuple[FieldValue, ...] = field(repr=False)
    tickets: int | None
    pending_tickets: int | None
    created_at: datetime | None
    updated_at: datetime | None

    @property
    def fields(self) -> Mapping[str, str]:
        """The values of custom fields by the field's name."""
        return {each.name: each.value for each in self.field_values}


def read_contact(raw: object) -> ContactRead | None:
    """Reads a contact; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    primary = members.get("primary_phone")
    return ContactRead(
        id=identity,
        name=text(members.get("name")),
        email=text(members.get("email")),
        phones=tuple(map(_phone, items(members.get("phones")))),
        primary_phone=_phone(primary) if mapping(primary) else None,
        groups=tuple(each for each in map(read_group, items(members.get("contact_groups"))) if each is not None),
        field_values=tuple(field_values(members.get("custom_fields"))),
        tickets=number(members.get("tickets_count")),
        pending_tickets=number(members.get("pending_tickets_count")),
        created_at=time(members.get("created_at")),
        updated_at=time(members.get("updated_at")),
        raw=members,
    )


def read_group(raw: object) -> GroupRead | None:
    """Reads a contact group; None for one without id. Its members may be contacts or ids (not shown in KB 1092)."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    listed = [number(mapping(each).get("id") if mapping(each) else each) for each in items(members.get("contacts"))]
    return GroupRead(
        id=identity,
        name=text(members.get("name")),
        description=text(members.get("description")),
        domains=tuple(comma_list(members.get("tagged_domains"))),
        contacts=tuple(each for each in listed if each is not None),
        sees_all=members.get("access_all_tickets_in_group") is True,
        raw=members,
    )


def _phone(raw: object) -> Phone:
    members = mapping(raw)
    return Phone(number(members.get("id")), text(members.get("type")), text(members.get("number")))
