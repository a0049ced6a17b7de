"""Assets, their types and custom fields (KB 1201).

Writing needs an active staff member with the right to manage assets.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from workers.errors import Unfit
from workers.happyfox.base import BaseClient, Confirmation, FieldedResource, Page, Resource, read_confirmation, walk
from workers.happyfox.messages import Request, field_members, given, known, paging, segment
from workers.happyfox.reference import FieldRead, read_field
from workers.tickets.model import Named, reader

#: Most characters of an asset's name.
NAME_LENGTH = 200


class AssetMembers(TypedDict, total=False):
    """The members of an asset to create or change."""

    name: str
    """At most 200 characters."""
    display_id: str
    contact_ids: Iterable[int]
    contact_group_ids: Iterable[int]
    contacts: Iterable[Mapping[str, Any]]
    """New contacts, each with a name and ``email`` or ``phone``; needs the right to manage all contacts."""
    custom_fields: Mapping[int | str, Any]
    """Values by the field's id: a choice by its id, whole numbers."""


@dataclass(frozen=True, kw_only=True)
class AssetRead(FieldedResource):
    """An asset."""

    display_id: str
    kind: Named | None
    """Its type; missing in the answer to its creation."""
    contacts: tuple[Named, ...]
    groups: tuple[Named, ...]
    created_by: int | None
    """A staff id."""
    updated_by: int | None
    """A staff id."""
    created_at: datetime | None
    """Only in answers to writes, like ``updated_at``."""
    updated_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AssetTypeRead(Resource):
    """A type of assets."""

    description: str
    settings: Mapping[str, Any]
    """Switches by HappyFox's names, such as ``enable_ticket_association``."""


class AssetReads(BaseClient):
    """Reading assets, their types and custom fields."""

    def assets(self, *, asset_type: int | None = None, page: int = 1, size: int = 50) -> Page[AssetRead]:
        """Read a page of the assets of one type, by default the first type."""
        return self._page(Request("GET", "/assets/", _query(asset_type, page, size)), page, read_asset)

    def all_assets(self, *, asset_type: int | None = None) -> Iterator[AssetRead]:
        """Read all assets of one type, each once; see ``walk``."""
        return walk(lambda page, size: self.assets(asset_type=asset_type, page=page, size=size), lambda asset: asset.id)

    def asset(self, id: int) -> AssetRead:
        """Read one asset by its id, which is not its display id."""
        return self._one(Request("GET", f"/asset/{segment(id, 'the asset')}/"), read_asset)

    def asset_custom_fields(self, *, asset_type: int | None = None, page: int = 1, size: int = 50) -> Page[FieldRead]:
        return self._page(Request("GET", "/asset_custom_fields/", _query(asset_type, page, size)), page, read_field)

    def asset_custom_field(self, id: int) -> FieldRead:
        """Read one custom field; its path is singular since 2026."""
        number = segment(id, "the field")
        return self._either(f"/asset_custom_field/{number}/", f"/asset_custom_fields/{number}/", read_field)

    def asset_types(self, *, page: int = 1, size: int = 50) -> Page[AssetTypeRead]:
        return self._page(Request("GET", "/asset_types/", paging(page, size)), page, read_asset_type)

    def asset_type(self, id: int) -> AssetTypeRead:
        return self._one(Request("GET", f"/asset_type/{segment(id, 'the type')}/"), read_asset_type)


class Assets(AssetReads):
    """Reading and writing assets."""

    def create_asset(self, asset_type: int, *, staff: int | None = None, **members: Unpack[AssetMembers]) -> AssetRead:
        """Create an asset and return it; ``name`` and ``display_id`` are required."""
        missing = [name for name in ("name", "display_id") if not members.get(name)]
        if missing:
            raise Unfit(f"an asset needs its {' and '.join(missing)}; nothing was sent")
        body = {"created_by": self._as(staff), **_body(members)}
        return self._one(Request("POST", "/assets/", {"asset_type": str(asset_type)}, body), read_asset)

    def update_asset(self, id: int, *, staff: int | None = None, **members: Unpack[AssetMembers]) -> AssetRead:
        """Change an asset; the KB of 2025 requires ``name`` and ``display_id``."""
        body = {"updated_by": self._as(staff), **_body(members)}
        return self._one(Request("PUT", f"/asset/{segment(id, 'the asset')}/", body=body), read_asset)

    def delete_asset(self, id: int, *, staff: int | None = None) -> Confirmation:
        """Delete an asset; no article shows the answer."""
        request = Request("DELETE", f"/asset/{segment(id, 'the asset')}/", {"deleted_by": str(self._as(staff))})
        return read_confirmation(self.call(request))


def _query(asset_type: int | None, page: int, size: int) -> dict[str, str]:
    return {**given(asset_type=None if asset_type is None else str(asset_type)), **paging(page, size)}


def _body(members: AssetMembers) -> dict[str, Any]:
    known(members, AssetMembers)
    if len(members.get("name") or "") > NAME_LENGTH:
        raise Unfit(f"an asset's name has at most {NAME_LENGTH} characters; nothing was sent")
    lists = {name: list(members[name]) for name in ("contact_ids", "contact_group_ids", "contacts") if name in members}
    fields = members.get("custom_fields")
    written = None if fields is None else field_members({str(id): value for id, value in fields.items()})
    return given(name=members.get("name"), display_id=members.get("display_id"), custom_fields=written, **lists)


read_asset = reader(
    AssetRead,
    kind="asset_type",
    groups="contact_groups",
    field_values="custom_fields",
)
read_asset_type = reader(AssetTypeRead)
