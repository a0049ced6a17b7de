"""The rows of a ticket's history, which HappyFox calls updates (KB 1039)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from workers.models.reference import Named
from workers.models.values import Raw, items, mapping, number, text, time

#: Who made a row. ``smartrule`` is a rule of HappyFox (seen in deliveries); anything else is unknown.
Author = Literal["contact", "staff", "rule", "unknown"]
AUTHORS: dict[str, Author] = {"user": "contact", "staff": "staff", "smartrule": "rule"}

#: Members of a row that tell a change of one property, and the property's name here.
PROPERTIES = {
    "status_change": "status",
    "priority_change": "priority",
    "assignee_change": "assignee",
    "category_change": "category",
    "due_date_change": "due_date",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file on a message; ``url`` is a signed link that dies after some minutes (KB 1039: five). It is not shown."""

    id: int | None
    filename: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What was said: ``private`` for a note, ``forwarded`` when it went to a third party."""

    text: str
    html: str
    private: bool
    forwarded: bool
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property going from ``old`` to ``new``; None where it was or became empty."""

    old: Named | None
    new: Named | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row: who, when, what was said, which properties changed. ``id`` rises within the account."""

    id: int
    at: datetime | None
    author: Author
    author_id: int | None
    author_name: str
    message: Message | None
    changes: dict[str, PropertyChange]
    raw: Raw = field(repr=False)


def row(raw: Raw) -> Row | None:
    """Reads a row; one without an id cannot be told from another and gives None."""
    identity = number(raw.get("update_id"))
    if identity is None:
        return None
    by = mapping(raw.get("by"))
    return Row(
        id=identity,
        at=time(raw.get("timestamp")),
        author=AUTHORS.get(text(by.get("type")).lower(), "unknown"),
        author_id=number(by.get("id")),
        author_name=text(by.get("name")),
        message=_message(raw.get("message")),
        changes={name: change for key, name in PROPERTIES.items() if (change := _property(raw.get(key))) is not None},
        raw=raw,
    )


def _message(raw: object) -> Message | None:
    if isinstance(raw, str):
        raw = {"text": raw}
    members = mapping(raw)
    if not members:
        return None
    return Message(
        text=text(members.get("text")),
        html=text(members.get("html")),
        private=text(members.get("message_type")).lower() == "p",
        forwarded=bool(text(members.get("forward_list"))),
        attachments=tuple(
            Attachment(number(file.get("id")), text(file.get("filename")), text(file.get("url")))
            for file in map(mapping, items(members.get("attachments")))
        ),
    )


def _property(raw: object) -> PropertyChange | None:
    """Reads ``{new, new_name, old, old_name}``; integers are ids, texts are names (deliveries carry names)."""
    members = mapping(raw)
    if not members or members.get("new") == members.get("old"):
        return None
    return PropertyChange(_side(members, "old"), _side(members, "new"))


def _side(members: Raw, side: str) -> Named | None:
    value: Any = members.get(side)
    if value is None or value == "":
        return None
    identity = None if isinstance(value, str) and not value.isdigit() else number(value)
    return Named(identity, text(members.get(f"{side}_name")) or (text(value) if identity is None else ""))
