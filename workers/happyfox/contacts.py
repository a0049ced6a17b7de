"""Contacts and contact groups (KB 1092); HappyFox's paths call contacts users.

No call deletes a contact or a group, or renames a group.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Required, TypedDict, Unpack

from workers.happyfox.base import (
    BaseClient,
    FieldedResource,
    ItemResult,
    Page,
    Resource,
    in_hundreds,
    walk,
)
from workers.happyfox.messages import (
    Request,
    commas,
    contact_segment,
    field_members,
    given,
    identities,
    known,
    paging,
    segment,
)
from workers.happyfox.reference import CONTACT_GROUPS
from workers.tickets.model import Raw, comma_list, items, mapping, numbers, read_all, reader


class FieldsReset(UserWarning):
    """HappyFox resets the custom fields that a call leaves out."""


class PhoneMembers(TypedDict, total=False):
    """A phone number to write: one with ``id`` is changed, one without is added."""

    id: int
    type: Literal["mo", "w", "m", "h", "o"]
    """Mobile, work, main, home, other."""
    number: Required[str]
    is_primary: bool


class ContactMembers(TypedDict, total=False):
    """The members of a contact to create or change."""

    name: str
    """Required for a new contact."""
    email: str | None
    """Required if there is a phone, even if it is None."""
    phones: Iterable[PhoneMembers]
    is_login_enabled: bool
    fields: Mapping[str, Any]
    """Custom fields by their names ``c-cf-<id>``."""


class GroupMember(TypedDict, total=False):
    """A contact to add to a group."""

    contact: Required[int]
    access_tickets: bool
    """Whether the contact sees the tickets of the other members, by default false."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone number."""

    id: int | None
    kind: str
    """``mo`` mobile, ``w`` work, ``m`` main, ``h`` home or ``o`` other."""
    number: str
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class GroupRead(Resource):
    """A contact group."""

    description: str
    domains: tuple[str, ...]
    """New contacts with these e-mail domains join the group."""
    contacts: tuple[int, ...]
    """Ids; only in a group that was read by itself."""
    sees_all: bool
    """In a contact's own groups: whether it sees the tickets of the other members."""


@dataclass(frozen=True, kw_only=True)
class ContactRead(FieldedResource):
    """A contact; texts are empty if HappyFox has none, times are in UTC."""

    email: str
    phones: tuple[Phone, ...]
    primary_phone: Phone | None
    groups: tuple[GroupRead, ...]
    tickets: int | None
    pending_tickets: int | None
    created_at: datetime | None
    updated_at: datetime | None


def contact(who: int | str) -> Request:
    """Request a contact by id or e-mail address."""
    return Request("GET", f"/user/{contact_segment(who)}/")


def contact_field(id: int) -> str:
    """Return the name of a contact's custom field in calls."""
    return f"c-cf-{id}"


def edit_contact(who: int | str, members: Mapping[str, Any]) -> Request:
    """Change only the given members and fields of a contact."""
    return Request("POST", f"/user/{contact_segment(who)}/", body=_body(members))


class ContactReads(BaseClient):
    """Reading contacts."""

    def contacts(self, *, q: str = "", page: int = 1, size: int = 50) -> Page[ContactRead]:
        """Read a page of at most 50 contacts; ``q`` is ``search_contacts(...)`` or words."""
        query = {**paging(page, size), **given(q=q or None)}
        return self._page(Request("GET", "/users/", query), page, read_contact)

    def all_contacts(self, *, q: str = "") -> Iterator[ContactRead]:
        """Read all contacts, each once, even if the list changes; see ``walk``."""
        return walk(lambda page, size: self.contacts(q=q, page=page, size=size), lambda contact: contact.id)

    def contact(self, who: int | str) -> ContactRead:
        """Read a contact by id or e-mail address."""
        return self._one(contact(who), read_contact)


class Contacts(ContactReads):
    """Reading and writing contacts."""

    def create_or_edit_contact(self, *, reset: bool = False, **members: Unpack[ContactMembers]) -> ContactRead:
        """Create or edit the contact with this address; **resets omitted fields**.

        ``edit_contact`` keeps them. Pass ``reset=True`` to confirm; otherwise a ``FieldsReset`` warning is issued. A
        new contact needs ``name``, and ``email`` or ``phones``.
        """
        _warn(reset)
        return self._one(Request("POST", "/users/", body=_body(members)), read_contact)

    def create_or_edit_contacts(
        self, several: Sequence[ContactMembers | Mapping[str, Any]], *, reset: bool = False
    ) -> list[ItemResult]:
        """Create or edit up to 100 contacts in one call, with a result for each."""
        _warn(reset)
        return self._bulk("/users/", [_body(each) for each in several])

    def create_or_edit_all_contacts(
        self, several: Iterable[ContactMembers | Mapping[str, Any]], *, reset: bool = False
    ) -> list[ItemResult]:
        """Create or edit any number of contacts; see ``in_hundreds`` for failures."""
        _warn(reset)
        return in_hundreds(several, lambda part: self.create_or_edit_contacts(part, reset=True))

    def edit_contact(self, id: int, **members: Unpack[ContactMembers]) -> ContactRead:
        """Change only the given members and fields; a phone without ``id`` is added."""
        return self._one(edit_contact(id, members), read_contact)

    def change_phone(self, contact: ContactRead, phone: PhoneMembers) -> ContactRead:
        """Change a phone number, or add one without ``id``, and keep custom fields."""
        return self._one(edit_contact(contact.id, {"email": contact.email, "phones": [phone]}), read_contact)

    def set_login(self, who: int | str, allowed: bool) -> ContactRead | None:
        """Allow or forbid a contact to log in to the support portal."""
        return self._optional(edit_contact(who, {"is_login_enabled": allowed}), read_contact)


class GroupReads(BaseClient):
    """Reading contact groups and their members."""

    def contact_groups(self) -> list[GroupRead]:
        """List the contact groups, without their contacts."""
        return self._list(CONTACT_GROUPS, read_group)

    def contact_group(self, id: int) -> GroupRead:
        """Read one contact group with its contacts."""
        return self._one(Request("GET", f"/contact_group/{segment(id, 'the group')}/"), read_group)


class Groups(GroupReads):
    """Reading and writing contact groups and their members."""

    def create_contact_group(
        self, name: str, *, description: str = "", tagged_domains: Iterable[str] = ()
    ) -> GroupRead:
        """Create a group with a unique name; new contacts of these domains join it."""
        details = given(description=description or None, tagged_domains=commas(tagged_domains))
        return self._one(Request("POST", "/contact_groups/", body={"name": name, **details}), read_group)

    def edit_contact_group(
        self, id: int, *, description: str | None = None, tagged_domains: Iterable[str] | None = None
    ) -> GroupRead | None:
        """Change what is given; an empty text or list clears it (assumed)."""
        domains = None if tagged_domains is None else commas(tagged_domains) or ""
        body = given(description=description, tagged_domains=domains)
        return self._optional(Request("POST", f"/contact_group/{segment(id, 'the group')}/", body=body), read_group)

    def add_contacts_to_group(
        self, id: int, contacts: Sequence[int | GroupMember], *, access_tickets: bool | None = None
    ) -> list[ItemResult]:
        """Add up to 100 contacts, or change what they see; ids get ``access_tickets``."""
        access = given(access_tickets=access_tickets)
        members = [{"contact": each, **access} if isinstance(each, int) else each for each in contacts]
        for each in members:
            known(each, GroupMember)
        return self._bulk(f"/contact_group/{segment(id, 'the group')}/update_contacts/", members)

    def add_all_contacts_to_group(
        self, id: int, contacts: Iterable[int | GroupMember], *, access_tickets: bool | None = None
    ) -> list[ItemResult]:
        return in_hundreds(contacts, lambda part: self.add_contacts_to_group(id, part, access_tickets=access_tickets))

    def remove_contacts_from_group(self, id: int, contacts: Sequence[int]) -> list[ItemResult]:
        """Remove up to 100 contacts, with a result for each."""
        path = f"/contact_group/{segment(id, 'the group')}/delete_contacts/"
        ids = identities(contacts, "the contact")
        return self._bulk(path, ids, {"contacts": ids})

    def remove_all_contacts_from_group(self, id: int, contacts: Iterable[int]) -> list[ItemResult]:
        return in_hundreds(contacts, lambda part: self.remove_contacts_from_group(id, part))


def _body(members: ContactMembers | Mapping[str, Any]) -> dict[str, Any]:
    known(members, ContactMembers, "c-cf-")
    written: dict[str, Any] = dict(members)
    fields = written.pop("fields", {})
    if isinstance(written.get("is_login_enabled"), bool):  # KB 1092 writes it as text
        written["is_login_enabled"] = "TRUE" if written["is_login_enabled"] else "FALSE"
    if "phones" in written:
        written["phones"] = [dict(phone) for phone in written["phones"]]
        for phone in written["phones"]:
            known(phone, PhoneMembers)
    return {**written, **field_members(fields, "c-cf-")}


def _warn(reset: bool) -> None:
    if not reset:
        message = "HappyFox resets the custom fields left out: use edit_contact, or pass reset=True to confirm"
        warnings.warn(message, FieldsReset, stacklevel=3)


read_phone = reader(Phone, kind="type")
read_group = reader(
    GroupRead,
    domains=lambda raw: tuple(comma_list(raw.get("tagged_domains"))),
    # Contacts or ids; KB 1092 does not show which.
    contacts=lambda raw: numbers([mapping(each).get("id", each) for each in items(raw.get("contacts"))]),
    sees_all="access_all_tickets_in_group",
)
read_contact = reader(
    ContactRead,
    phones=lambda raw: read_all(read_phone, raw.get("phones")),
    primary_phone=lambda raw: read_phone(raw["primary_phone"]) if mapping(raw.get("primary_phone")) else None,
    groups=lambda raw: read_all(read_group, raw.get("contact_groups")),
    field_values="custom_fields",
    tickets="tickets_count",
    pending_tickets="pending_tickets_count",
)
