"""Assets, their types and custom fields (KB 1201). Writing needs a staff member with the right to manage assets."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from workers.errors import Unfit
from workers.happyfox.exchange import Request
from workers.happyfox.requests.members import given, known, pages, segment, values

#: Characters of an asset's name.
NAME_LENGTH = 200


class AssetMembers(TypedDict, total=False):
    """What an asset holds."""

    name: str
    """At most 200 characters."""
    display_id: str
    contact_ids: Iterable[int]
    contact_group_ids: Iterable[int]
    contacts: Iterable[Mapping[str, Any]]
    """New contacts, each with name and ``email`` or ``phone``; needs the right to manage all contacts."""
    custom_fields: Mapping[int | str, Any]
    """Values by the field's id; a choice by its id, numbers whole."""


def assets(*, asset_type: int | None = None, page: int = 1, size: int = 50) -> Request:
    """Reads a page of at most 50 assets of one type; without it HappyFox takes the first type."""
    return Request("GET", "/assets/", _query(asset_type, page, size))


def asset(id: int) -> Request:
    """Reads one asset; ``id`` is HappyFox's number, not the display id."""
    return Request("GET", f"/asset/{segment(id)}/")


def create_asset(asset_type: int, *, created_by: int, **members: Unpack[AssetMembers]) -> Request:
    """Creates an asset; it needs ``name`` and ``display_id``."""
    missing = [name for name in ("name", "display_id") if not members.get(name)]
    if missing:
        raise Unfit(f"an asset needs its {' and '.join(missing)}; nothing was sent")
    body = {"created_by": created_by, **_members(members)}
    return Request("POST", "/assets/", {"asset_type": str(asset_type)}, body)


def update_asset(id: int, *, updated_by: int, **members: Unpack[AssetMembers]) -> Request:
    """Changes an asset. The 2025 edition of KB 1201 requires ``name`` and ``display_id``: send them when known."""
    return Request("PUT", f"/asset/{segment(id)}/", body={"updated_by": updated_by, **_members(members)})


def delete_asset(id: int, *, deleted_by: int) -> Request:
    """Deletes an asset."""
    return Request("DELETE", f"/asset/{segment(id)}/", {"deleted_by": str(deleted_by)})


def asset_types(*, page: int = 1, size: int = 50) -> Request:
    """Reads a page of the asset types."""
    return Request("GET", "/asset_types/", _query(None, page, size))


def asset_type(id: int) -> Request:
    """Reads one asset type."""
    return Request("GET", f"/asset_type/{segment(id)}/")


def asset_custom_fields(*, asset_type: int | None = None, page: int = 1, size: int = 50) -> Request:
    """Reads a page of the custom fields of an asset type."""
    return Request("GET", "/asset_custom_fields/", _query(asset_type, page, size))


def asset_custom_field(id: int, path: str) -> Request:
    """Reads one custom field; ``path`` is singular in KB 1201 of 2026 and plural in that of 2025."""
    return Request("GET", f"/{path}/{segment(id)}/")


def _query(asset_type: int | None, page: int, size: int) -> dict[str, str]:
    kind = {} if asset_type is None else {"asset_type": str(asset_type)}
    return {**kind, **pages(page, size)}


def _members(members: AssetMembers) -> dict[str, Any]:
    known(members, AssetMembers)
    if len(members.get("name") or "") > NAME_LENGTH:
        raise Unfit(f"an asset's name has at most {NAME_LENGTH} characters; nothing was sent")
    lists = {name: list(members[name]) for name in ("contact_ids", "contact_group_ids", "contacts") if name in members}
    fields = members.get("custom_fields")
    written = None if fields is None else values({str(id): value for id, value in fields.items()})
    return given(name=members.get("name"), display_id=members.get("display_id"), custom_fields=written, **lists)
