"""Intents: what a handler wants done to the ticket, recorded and not performed."""

from collections.abc import Mapping
from typing import Any

import msgspec

#: A name or an id where HappyFox knows both.
NameOrId = int | str


class Intent(msgspec.Struct, frozen=True, tag_field="intent", tag=str.lower):
    """The base of all intents; ``permission`` names the grant that it needs, empty when none."""

    @property
    def permission(self) -> str:
        """The grant this intent needs, or an empty text."""
        return ""

    @property
    def word(self) -> str:
        """What it is called in the trail."""
        return type(self).__name__.lower()


class Tags(Intent, frozen=True):
    """Add and remove tags."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Note(Intent, frozen=True):
    """Write a private note; ``alert`` is ``s`` (subscribers), ``c`` (staff of the category) or a staff id (KB 1039)."""

    html: str
    alert: NameOrId | None = None


class Reply(Intent, frozen=True):
    """Answer the contact; ``notify`` also mails it (KB 1039: ``update_customer``)."""

    html: str
    notify: bool = True
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()

    @property
    def permission(self) -> str:
        return "reply"


class Set(Intent, frozen=True):
    """Set properties and custom fields; None clears the assignee, the due date or a field."""

    properties: Mapping[str, NameOrId | None] = {}
    fields: Mapping[str, Any] = {}


class Move(Intent, frozen=True):
    """Move the ticket to another category, with a private note."""

    category: NameOrId
    note: str = ""

    @property
    def permission(self) -> str:
        return "move"


class Forward(Intent, frozen=True):
    """Send the ticket to addresses outside."""

    to: tuple[str, ...]
    subject: str
    message: str

    @property
    def permission(self) -> str:
        return "forward"


class Subscribe(Intent, frozen=True):
    """Subscribe staff members to the ticket."""

    staff: tuple[NameOrId, ...]

    @property
    def permission(self) -> str:
        return "subscribe"


class Delete(Intent, frozen=True):
    """Delete the ticket."""

    @property
    def permission(self) -> str:
        return "delete"


class Later(Intent, frozen=True):
    """Set a timer of the ticket: in ``wait`` ms its router is called, unless a change of these kinds comes before."""

    name: str
    wait: int
    unless: tuple[str, ...] = ()


#: What can be wanted of a ticket.
Own = Tags | Note | Reply | Set | Move | Forward | Subscribe | Delete


class Create(Intent, frozen=True):
    """Create a ticket; ``members`` as HappyFox's endpoint takes them (KB 1039, 4), but names where it has ids."""

    members: Mapping[str, Any]

    @property
    def permission(self) -> str:
        return "create"

    @property
    def word(self) -> str:
        return "create ticket"


class On(Intent, frozen=True):
    """Do something to another ticket, in that ticket's own lane."""

    number: int
    wanted: Own

    @property
    def permission(self) -> str:
        return self.wanted.permission

    @property
    def word(self) -> str:
        return f"{self.wanted.word} on ticket {self.number}"


AnyIntent = Own | Create | On | Later
