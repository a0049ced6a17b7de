"""Assets and their types as HappyFox answers them (KB 1201)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workers.models.fields import FieldValue, field_values
from workers.models.lists import Entry
from workers.models.reference import Named, named
from workers.models.values import items, mapping, number, text, time


@dataclass(frozen=True, kw_only=True)
class AssetRead(Entry):
    """An asset; ``kind`` is its type, which the answer to its creation does not tell.

    ``created_by`` and ``updated_by`` are staff ids. The times are there only in answers to writes.
    """

    display_id: str
    kind: Named | None
    contacts: tuple[Named, ...]
    groups: tuple[Named, ...]
    field_values: tuple[FieldValue, ...] = field(repr=False)
    created_by: int | None
    updated_by: int | None
    created_at: datetime | None
    updated_at: datetime | None

    @property
    def fields(self) -> Mapping[str, str]:
        """The values of custom fields by the field's name."""
        return {each.name: each.value for each in self.field_values}


@dataclass(frozen=True, kw_only=True)
class AssetTypeRead(Entry):
    """A type of assets; ``settings`` are switches by HappyFox's names, such as ``enable_ticket_association``."""

    description: str
    settings: Mapping[str, Any]


def read_asset(raw: object) -> AssetRead | None:
    """Reads an asset; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    kind = members.get("asset_type")
    return AssetRead(
        id=identity,
        name=text(members.get("name")),
        display_id=text(members.get("display_id")),
        kind=named(kind) if kind else None,
        contacts=tuple(map(named, items(members.get("contacts")))),
        groups=tuple(map(named, items(members.get("contact_groups")))),
        field_values=tuple(field_values(members.get("custom_fields"))),
        created_by=number(members.get("created_by")),
        updated_by=number(members.get("updated_by")),
        created_at=time(members.get("created_at")),
        updated_at=time(members.get("updated_at")),
        raw=members,
    )


def read_asset_type(raw: object) -> AssetTypeRead | None:
    """Reads an asset type; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return AssetTypeRead(
        id=identity,
        name=text(members.get("name")),
        description=text(members.get("description")),
        settings=mapping(members.get("settings")),
        raw=members,
    )
