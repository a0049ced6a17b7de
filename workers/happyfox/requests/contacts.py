"""Contacts (KB 1092); HappyFox's paths call them users. No call deletes one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from workers.happyfox.exchange import Request
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.happyfox.requests.members import at_most, known, pages, segment, values


class Phone(TypedDict, total=False):
    """A phone number; one with ``id`` is changed, one without is added."""

    id: int
    type: Literal["mo", "w", "m", "h", "o"]
    """Mobile, work, main, home, other."""
    number: Required[str]
    is_primary: bool


class ContactMembers(TypedDict, total=False):
    """A contact to be created or changed."""

    name: str
    """Required for a new contact."""
    email: str | None
    """Has to be there even if it is None, when there is a phone."""
    phones: Iterable[Phone]
    is_login_enabled: bool
    fields: Mapping[str, Any]
    """Custom fields by the names ``c-cf-<id>``."""


def contact(who: int | str) -> Request:
    """Reads a contact by id or e-mail address."""
    return Request("GET", f"/user/{segment(who)}/")


def contacts(*, q: str = "", page: int = 1, size: int = 50) -> Request:
    """Reads a page of at most 50 contacts; ``q`` holds terms as ``search_contacts`` builds them, or bare words."""
    query = pages(page, size)
    return Request("GET", "/users/", {**query, "q": q} if q else query)


def create_or_edit_contact(members: ContactMembers | Mapping[str, Any], dialect: Dialect = DEFAULT) -> Request:
    """Creates the contact of this e-mail address, or changes it: custom fields left out are then reset."""
    return Request("POST", "/users/", body=_members(members, dialect))


def create_or_edit_contacts(
    several: Sequence[ContactMembers | Mapping[str, Any]], dialect: Dialect = DEFAULT
) -> Request:
    """Does the same for up to 100 contacts; the answer has a result for each."""
    at_most(len(several), "contacts")
    return Request("POST", "/users/", body=[_members(each, dialect) for each in several])


def edit_contact(who: int | str, members: ContactMembers | Mapping[str, Any], dialect: Dialect = DEFAULT) -> Request:
    """Changes a contact and leaves what is not named; a phone without its ``id`` is added."""
    return Request("POST", f"/user/{segment(who)}/", body=_members(members, dialect))


def change_phone(id: int, email: str, phone: Phone, dialect: Dialect = DEFAULT) -> Request:
    """Changes or adds one phone number of a contact; ``email`` is its address, which stays."""
    body = {"email": email, "phones": [phone]}
    return create_or_edit_contact(body, dialect) if dialect.phone_path == "users" else edit_contact(id, body, dialect)


def set_login(who: int | str, allowed: bool, dialect: Dialect = DEFAULT) -> Request:
    """Lets a contact log in to the support portal, or not."""
    return edit_contact(who, {"is_login_enabled": allowed}, dialect)


def contact_custom_fields() -> Request:
    """Lists the custom fields of contacts with their choices."""
    return Request("GET", "/user_custom_fields/")


def _members(members: ContactMembers | Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    known(members, ContactMembers, "c-cf-")
    written: dict[str, Any] = dict(members)
    fields = written.pop("fields", {})
    if isinstance(written.get("is_login_enabled"), bool) and dialect.login == "text":
        written["is_login_enabled"] = "TRUE" if written["is_login_enabled"] else "FALSE"
    if "phones" in written:
        written["phones"] = [dict(phone) for phone in written["phones"]]
        for phone in written["phones"]:
            known(phone, Phone)
    return {**written, **values(fields, "c-cf-")}
