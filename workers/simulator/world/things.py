"""What an account holds: contacts, tickets with their rows, assets, files; frozen, and replaced when they change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Table = Mapping[int, Json]


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact; `fields` maps a contact field's id to its stored value, `groups` a contact group's id to whether
    the contact may see the tickets of the others in it."""

    id: int
    name: str
    email: str | None
    created_at: float
    updated_at: float | None = None
    phones: tuple[Json, ...] = ()
    groups: Mapping[int, bool] = field(default_factory=dict)
    fields: Mapping[int, Any] = field(default_factory=dict)
    primary: int | None = None
    login: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a ticket's `updates`. `shown` is its JSON, never changed after it was made; field changes
    stand beside it because reads show them only on request. Reads see the row from `visible_at`."""

    update_id: int
    at: float
    visible_at: float
    shown: Json
    field_changes: Json | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket; status, priority, category, contact and assignee by id, times in epoch seconds."""

    id: int
    display_id: str
    subject: str
    first_message: str
    contact: int
    category: int
    status: int
    priority: int
    created_at: float
    updated_at: float
    modified_at: float
    assignee: int | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[int, Any] = field(default_factory=dict)
    subscribers: tuple[int, ...] = ()
    contact_replied_at: float | None = None
    staff_replied_at: float | None = None
    closed_at: float | None = None
    due_date: str | None = None
    time_spent: int = 0
    sla_breaches: int = 0
    visible_only_staff: bool = False
    unresponded: bool = True
    source: str = "TKT_CREATION_API"
    merged: tuple[int, ...] = ()
    merged_to: int | None = None
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset; type, contacts, groups and staff by id, `fields` by the field's id, times in epoch seconds."""

    id: int
    display_id: str
    name: str
    asset_type: int
    created_by: int
    created_at: float
    updated_at: float
    updated_by: int | None = None
    contacts: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    fields: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file, byte for byte."""

    id: int
    filename: str
    content_type: str
    content: bytes
