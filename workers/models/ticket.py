"""The ticket as HappyFox answers it (KB 1039)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from workers.models.fields import FieldValue, field_values
from workers.models.people import Contact, Staff, contact, staff
from workers.models.reference import Named, Status, named, status
from workers.models.row import Row, row
from workers.models.values import Raw, comma_list, day, items, mapping, number, text, time


@dataclass(frozen=True, kw_only=True)
class TicketRead:
    """A ticket as it was when it was read; nothing here changes afterwards.

    Texts are empty and objects None where HappyFox has nothing; times are aware, in UTC. ``history`` holds the rows in
    order of their ids, ``fields`` the values of custom fields by name, ``raw`` the answer itself. ``merged`` are the
    tickets that were merged into this one, ``merged_to`` is the one into which this was, 0 when its number is not told.
    """

    id: int
    display_id: str
    subject: str
    first_message: str
    status: Status
    priority: Named
    category: Named
    assignee: Staff | None
    contact: Contact
    tags: frozenset[str]
    field_values: tuple[FieldValue, ...] = field(repr=False)
    due_date: date | None
    created_at: datetime | None
    modified_at: datetime | None
    source: str
    unresponded: bool
    url: str
    merged: tuple[int, ...] = ()
    merged_to: int | None = None
    history: tuple[Row, ...] = field(repr=False)
    raw: Raw = field(repr=False)

    @property
    def fields(self) -> Mapping[str, str]:
        """The values of custom fields by the field's name."""
        return {each.name: each.value for each in self.field_values}

    @property
    def message(self) -> str:
        """The text of the latest message that the contact can see."""
        visible = (each.message.text for each in reversed(self.history) if each.message and not each.message.private)
        return next(visible, self.first_message)


def read_ticket(raw: Raw, site: str = "") -> TicketRead:
    """Reads the answer of ``GET /ticket/<n>/``; ``site`` is the account's address, for the link that staff opens."""
    identity = number(raw.get("id"))
    if identity is None:
        raise ValueError("the answer is not a ticket: it has no id")
    return TicketRead(
        id=identity,
        display_id=text(raw.get("display_id")),
        subject=text(raw.get("subject")),
        first_message=text(raw.get("first_message")),
        status=status(raw.get("status")),
        priority=named(raw.get("priority")),
        category=named(raw.get("category")),
        assignee=staff(raw.get("assigned_to")),
        contact=contact(raw.get("user")),
        tags=frozenset(comma_list(raw.get("tags"))),
        field_values=tuple(field_values(raw.get("custom_fields"))),
        due_date=day(raw.get("due_date")),
        created_at=time(raw.get("created_at")),
        modified_at=time(raw.get("last_modified")),
        source=text(raw.get("source")),
        unresponded=bool(raw.get("unresponded")),
        url=f"{site}/staff/ticket/{identity}",
        merged=tuple(each for each in map(_merged, items(raw.get("merged_tickets"))) if each),
        merged_to=_merged(raw["merged_to"]) if raw.get("merged_to") else None,
        history=read_rows(raw.get("updates")),
        raw=raw,
    )


def read_rows(raw: object) -> tuple[Row, ...]:
    """Reads a list of rows, oldest id first; an id that occurs twice counts once."""
    rows = {each.id: each for each in map(row, map(mapping, items(raw))) if each is not None}
    return tuple(rows[identity] for identity in sorted(rows))


def _merged(raw: object) -> int:
    """Reads which ticket was merged, as a number, an object or a display id (KB 1039 shows none); 0: not told."""
    shown = mapping(raw)
    told = raw if not shown else shown.get("id") or shown.get("display_id")
    digits = re.search(r"[0-9]{1,18}$", text(told).strip())
    return int(digits[0]) if digits else 0
