"""How requests about contacts and their groups look (KB 1092); HappyFox's paths call contacts users."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from workers.happyfox.exchange import Request


def contact(who: int | str) -> Request:
    """Reads a contact by id or e-mail address."""
    return Request("GET", f"/user/{_segment(who)}/")


def contacts(*, q: str = "", page: int = 1, size: int = 50) -> Request:
    """Reads a page of at most 50 contacts; ``q`` holds terms such as ``email:sam@acme.example``, or bare words."""
    query = {"size": str(size), "page": str(page)}
    return Request("GET", "/users/", {**query, "q": q} if q else query)


def save_contact(members: Mapping[str, Any]) -> Request:
    """Creates the contact of this e-mail address, or changes it: custom fields left out are then reset."""
    return Request("POST", "/users/", body=dict(members))


def save_contacts(several: Sequence[Mapping[str, Any]]) -> Request:
    """Does the same for up to 100 contacts; the answer has a result for each."""
    if len(several) > 100:
        raise ValueError("HappyFox takes at most 100 contacts in one call")
    return Request("POST", "/users/", body=[dict(members) for members in several])


def change_contact(who: int | str, members: Mapping[str, Any]) -> Request:
    """Changes a contact and leaves what is not named; a phone without its ``id`` is added."""
    return Request("POST", f"/user/{_segment(who)}/", body=dict(members))


def contact_custom_fields() -> Request:
    """Lists the custom fields of contacts with their choices."""
    return Request("GET", "/user_custom_fields/")


def groups() -> Request:
    """Lists the contact groups."""
    return Request("GET", "/contact_groups/")


def group(id: int) -> Request:
    """Reads one contact group with its contacts."""
    return Request("GET", f"/contact_group/{id}/")


def create_group(name: str, *, description: str = "", tagged_domains: Sequence[str] = ()) -> Request:
    """Creates a contact group; contacts of the domains join it when they are created."""
    return Request("POST", "/contact_groups/", body={"name": name, **_details(description, tagged_domains)})


def change_group(id: int, *, description: str = "", tagged_domains: Sequence[str] = ()) -> Request:
    """Changes a contact group; its name stays."""
    return Request("POST", f"/contact_group/{id}/", body=_details(description, tagged_domains))


def add_to_group(id: int, members: Sequence[int], *, access_tickets: bool = False) -> Request:
    """Adds up to 100 contacts; the answer has a result for each. The body is a bare array (the 2026 article)."""
    return Request(
        "POST",
        f"/contact_group/{id}/update_contacts/",
        body=[{"contact": member, "access_tickets": access_tickets} for member in members],
    )


def remove_from_group(id: int, members: Sequence[int]) -> Request:
    """Removes contacts; the answer has a result for each."""
    return Request("POST", f"/contact_group/{id}/delete_contacts/", body={"contacts": list(members)})


def _segment(who: int | str) -> str:
    return quote(str(who), safe="@")


def _details(description: str, tagged_domains: Sequence[str]) -> dict[str, str]:
    details = {"description": description, "tagged_domains": ",".join(tagged_domains)}
    return {name: value for name, value in details.items() if value}
