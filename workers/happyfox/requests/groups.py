"""Contact groups and who is in them (KB 1092, 6 and 8 to 12). No call deletes a group or renames it."""

from collections.abc import Iterable, Sequence
from typing import Any, Required, TypedDict

from workers.happyfox.exchange import Request
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.happyfox.requests.members import at_most, commas, given, known, segment


class Member(TypedDict, total=False):
    """A contact to be in a group; with ``access_tickets``, by default false, it sees the tickets of the others."""

    contact: Required[int]
    access_tickets: bool


def contact_groups() -> Request:
    """Lists the contact groups."""
    return Request("GET", "/contact_groups/")


def contact_group(id: int) -> Request:
    """Reads one contact group with its contacts."""
    return Request("GET", f"/contact_group/{segment(id)}/")


def create_contact_group(name: str, *, description: str = "", tagged_domains: Iterable[str] = ()) -> Request:
    """Creates a contact group; its name is unique. Contacts of the domains join it when they are created."""
    details = given(description=description or None, tagged_domains=commas(tagged_domains))
    return Request("POST", "/contact_groups/", body={"name": name, **details})


def edit_contact_group(
    id: int,
    *,
    description: str | None = None,
    tagged_domains: Iterable[str] | None = None,
    dialect: Dialect = DEFAULT,
) -> Request:
    """Changes what is given: an empty text or list clears it (assumed)."""
    domains = None if tagged_domains is None else commas(tagged_domains) or ""
    body = given(description=description, tagged_domains=domains)
    return Request("POST", f"/{dialect.group_path}/{segment(id)}/", body=body)


def add_contacts_to_group(
    id: int, members: Sequence[int | Member], *, access_tickets: bool | None = None, dialect: Dialect = DEFAULT
) -> Request:
    """Adds up to 100 contacts; ``access_tickets`` is for those that are given by their id alone."""
    at_most(len(members), "contacts")
    full = [
        {"contact": each, **given(access_tickets=access_tickets)} if isinstance(each, int) else each for each in members
    ]
    for each in full:
        known(each, Member)
    body: Any = full
    if dialect.group_members == "objects":
        body = {"contacts": [{"id": each["contact"]} for each in full]}
    return Request("POST", f"/contact_group/{segment(id)}/update_contacts/", body=body)


def remove_contacts_from_group(id: int, members: Sequence[int]) -> Request:
    """Removes up to 100 contacts; the answer has a result for each."""
    at_most(len(members), "contacts")
    return Request("POST", f"/contact_group/{segment(id)}/delete_contacts/", body={"contacts": list(members)})
