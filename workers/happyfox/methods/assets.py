"""Assets (KB 1201). The staff member needs to be active and to have the right to manage assets."""

from collections.abc import Iterator
from typing import Unpack

from workers.happyfox.methods.caller import Caller
from workers.happyfox.methods.paging import walk
from workers.happyfox.requests import assets as requests
from workers.happyfox.requests.assets import AssetMembers
from workers.models.assets import AssetRead, AssetTypeRead, read_asset, read_asset_type
from workers.models.lists import FieldRead, read_field
from workers.models.page import Page
from workers.models.results import Said, read_said


class Assets(Caller):
    """Assets, their types and custom fields."""

    def assets(self, *, asset_type: int | None = None, page: int = 1, size: int = 50) -> Page[AssetRead]:
        """Reads a page of the assets of one type, at most 50 (KB 1201); without it those of the first type."""
        return self._page(requests.assets(asset_type=asset_type, page=page, size=size), page, read_asset)

    def all_assets(self, *, asset_type: int | None = None) -> Iterator[AssetRead]:
        """Reads all assets of one type, each once; see ``walk``."""
        return walk(lambda page, size: self.assets(asset_type=asset_type, page=page, size=size), lambda asset: asset.id)

    def asset(self, id: int) -> AssetRead:
        """Reads one asset by HappyFox's number, which is not its display id (KB 1201). Raises ``Gone``."""
        return self._one(requests.asset(id), read_asset)

    def create_asset(self, asset_type: int, *, staff: int | None = None, **members: Unpack[AssetMembers]) -> AssetRead:
        """Creates an asset of a type and gives it (KB 1201); it needs ``name`` (200 characters) and ``display_id``."""
        return self._one(requests.create_asset(asset_type, created_by=self._as(staff), **members), read_asset)

    def update_asset(self, id: int, *, staff: int | None = None, **members: Unpack[AssetMembers]) -> AssetRead:
        """Changes an asset and gives it (KB 1201). Older accounts require ``name`` and ``display_id``."""
        return self._one(requests.update_asset(id, updated_by=self._as(staff), **members), read_asset)

    def delete_asset(self, id: int, *, staff: int | None = None) -> Said:
        """Deletes an asset (KB 1201); no document shows the answer."""
        return read_said(self.call(requests.delete_asset(id, deleted_by=self._as(staff))))

    def asset_custom_fields(self, *, asset_type: int | None = None, page: int = 1, size: int = 50) -> Page[FieldRead]:
        """Reads a page of the custom fields of an asset type (KB 1201)."""
        request = requests.asset_custom_fields(asset_type=asset_type, page=page, size=size)
        return self._page(request, page, read_field)

    def asset_custom_field(self, id: int) -> FieldRead:
        """Reads one custom field of assets (KB 1201), by either spelling of its path: the other one on a 404."""
        first = self.dialect.asset_field
        other = "asset_custom_fields" if first == "asset_custom_field" else "asset_custom_field"
        return self._either([requests.asset_custom_field(id, path) for path in (first, other)], read_field)

    def asset_types(self, *, page: int = 1, size: int = 50) -> Page[AssetTypeRead]:
        """Reads a page of the asset types (KB 1201)."""
        return self._page(requests.asset_types(page=page, size=size), page, read_asset_type)

    def asset_type(self, id: int) -> AssetTypeRead:
        """Reads one asset type (KB 1201). Raises ``Gone``."""
        return self._one(requests.asset_type(id), read_asset_type)
