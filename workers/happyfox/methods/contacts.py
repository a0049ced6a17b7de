"""Contacts (KB 1092)."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

from workers.happyfox.methods.bulk import in_hundreds, results
from workers.happyfox.methods.caller import Caller
from workers.happyfox.methods.paging import walk
from workers.happyfox.requests import contacts as requests
from workers.happyfox.requests.contacts import ContactMembers, Phone
from workers.models.contacts import ContactRead, read_contact
from workers.models.lists import FieldRead, read_field
from workers.models.page import Page
from workers.models.results import ItemResult


class FieldsReset(UserWarning):
    """Custom fields that a call leaves out are reset by HappyFox."""


class Contacts(Caller):
    """Reading, creating and changing contacts. No call deletes one."""

    def contacts(self, *, q: str = "", page: int = 1, size: int = 50) -> Page[ContactRead]:
        """Reads a page of contacts, at most 50 (KB 1092, 1 and 2); ``search_contacts`` builds ``q``."""
        return self._page(requests.contacts(q=q, page=page, size=size), page, read_contact)

    def all_contacts(self, *, q: str = "") -> Iterator[ContactRead]:
        """Reads all contacts, each once, though contacts come meanwhile; see ``walk``."""
        return walk(lambda page, size: self.contacts(q=q, page=page, size=size), lambda contact: contact.id)

    def contact(self, who: int | str) -> ContactRead:
        """Reads a contact by id or e-mail address (KB 1092, 3). Raises ``Gone``."""
        return self._one(requests.contact(who), read_contact)

    def create_or_edit_contact(self, *, reset: bool = False, **members: Unpack[ContactMembers]) -> ContactRead:
        """Creates the contact of this e-mail address, or edits it and **resets the fields left out** (KB 1092, 4).

        ``edit_contact`` leaves them alone; ``reset=True`` says that you mean it, without it a ``FieldsReset`` warning
        is given. A new contact needs ``name``, and ``email`` or ``phones``.
        """
        _warn(reset)
        return self._one(requests.create_or_edit_contact(members, self.dialect), read_contact)

    def create_or_edit_contacts(
        self, several: Sequence[ContactMembers | Mapping[str, Any]], *, reset: bool = False
    ) -> list[ItemResult]:
        """Does the same for up to 100 contacts in one call, with a result for each (KB 1092, 5)."""
        _warn(reset)
        return results(self.call(requests.create_or_edit_contacts(several, self.dialect)), several)

    def create_or_edit_all_contacts(
        self, several: Iterable[ContactMembers | Mapping[str, Any]], *, reset: bool = False
    ) -> list[ItemResult]:
        """Does the same for any number, a hundred at a time; see ``in_hundreds`` for what happens on a failure."""
        _warn(reset)
        return in_hundreds(several, lambda part: self.create_or_edit_contacts(part, reset=True))

    def edit_contact(self, id: int, **members: Unpack[ContactMembers]) -> ContactRead:
        """Changes what is given and leaves the rest, custom fields too (KB 1092, 4). A phone without id is added."""
        return self._one(requests.edit_contact(id, members, self.dialect), read_contact)

    def change_phone(self, contact: ContactRead, phone: Phone) -> ContactRead:
        """Changes a phone number, or adds one without ``id`` (KB 1092, 14)."""
        return self._one(requests.change_phone(contact.id, contact.email, phone, self.dialect), read_contact)

    def set_login(self, who: int | str, allowed: bool) -> ContactRead | None:
        """Lets a contact, by id or e-mail address, log in to the support portal, or not (KB 1092, 7)."""
        return self._any(requests.set_login(who, allowed, self.dialect), read_contact)

    def contact_custom_fields(self) -> list[FieldRead]:
        """Lists the custom fields of contacts with their choices (KB 1092, 13)."""
        return self._list(requests.contact_custom_fields(), read_field)


def _warn(reset: bool) -> None:
    if not reset:
        said = "HappyFox resets the custom fields left out here; use edit_contact, or say reset=True if you mean it"
        warnings.warn(said, FieldsReset, stacklevel=3)
