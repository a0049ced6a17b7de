"""Contacts and staff members (KB 1092, KB 360)."""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.models.fields import field_values
from workers.models.values import items, mapping, number, text


@dataclass(frozen=True, slots=True)
class Staff:
    """A staff member, as HappyFox names the people who answer."""

    id: int | None
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The person who opened the ticket; texts are empty when HappyFox has none."""

    id: int | None
    name: str
    email: str
    phones: tuple[str, ...]
    groups: tuple[str, ...]
    fields: Mapping[str, str]

    @property
    def domain(self) -> str:
        """The part of the e-mail address behind the @, in lower case."""
        return self.email.rpartition("@")[2].lower() if "@" in self.email else ""


def staff(raw: object) -> Staff | None:
    """Reads a staff member; None stays None."""
    members = mapping(raw)
    if not members:
        return None
    name = text(members.get("name")) or f"{text(members.get('first_name'))} {text(members.get('last_name'))}".strip()
    return Staff(number(members.get("id")), name, text(members.get("email")))


def contact(raw: object) -> Contact:
    """Reads a contact, also one without name or e-mail."""
    members = mapping(raw)
    return Contact(
        id=number(members.get("id")),
        name=text(members.get("name")),
        email=text(members.get("email")),
        phones=tuple(text(mapping(phone).get("number")) for phone in items(members.get("phones"))),
        groups=tuple(text(mapping(group).get("name")) for group in items(members.get("contact_groups"))),
        fields={field.name: field.value for field in field_values(members.get("custom_fields"))},
    )
