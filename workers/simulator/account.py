"""The state of the simulated account: tickets, contacts, tables, files, counters.

Contacts, tickets and updates are frozen and replaced when they change; tables that rarely change are replaced as a
whole. Therefore a copy of the account is cheap, and a ticket that was read earlier does not change.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote

from workers.simulator.options import Options

Json = dict[str, Any]
Table = Mapping[int, Json]
LINK_KEY: Final = b"links of a simulated account"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContact:
    """A contact. Times are epoch seconds, here and below."""

    id: int
    name: str
    email: str | None
    created_at: float
    updated_at: float | None = None
    phones: tuple[Json, ...] = ()
    groups: Mapping[int, bool] = field(default_factory=dict)
    """Maps the ids of contact groups to whether the contact may see the tickets of the other members."""
    fields: Mapping[int, Any] = field(default_factory=dict)
    """Maps the ids of contact fields to the stored values."""
    primary: int | None = None
    """The id of the primary phone."""
    login: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpdate:
    """One entry of a ticket's `updates`."""

    update_id: int
    at: float
    visible_at: float
    """Reads show the update from this time on."""
    shown: Json
    """The JSON of the update. It is never modified."""
    field_changes: Json | None = None
    """Changes of custom fields, which reads show only on request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTicket:
    """A ticket; status, priority, category, contact and assignee are ids."""

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
    updates: tuple[StoredUpdate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAsset:
    """An asset; type, contacts, groups and staff are ids."""

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


@dataclass(slots=True, kw_only=True)
class SimulatedAccount:
    """The whole state. Tables map ids to the JSON that the API returns."""

    options: Options
    clock: Callable[[], float]
    categories: Table
    prefixes: Mapping[int, str]
    """The prefix of display ids, by category."""
    priorities: Table
    statuses: Table
    staff: Table
    contact_fields: Table
    asset_types: Table
    asset_fields: Table
    reports: Table
    agreements: Table
    sections: Table
    articles: Table
    groups: Table
    ticket_fields: Table
    contacts: dict[int, StoredContact] = field(default_factory=dict)
    tickets: dict[int, StoredTicket] = field(default_factory=dict)
    assets: Mapping[int, StoredAsset] = field(default_factory=dict)
    files: Mapping[int, StoredFile] = field(default_factory=dict)
    emails: dict[str, int] = field(default_factory=dict)
    """The ids of contacts, by lower-case address."""
    tickets_of: Counter[int] = field(default_factory=Counter)
    pending_of: Counter[int] = field(default_factory=Counter)
    used_links: Mapping[int, int] = field(default_factory=dict)
    """How often each link to a file was used, by serial number."""
    files_at: str = ""
    """The address used in links to files; empty for the account's own address."""
    last_ticket: int = 0
    last_update: int = 0
    last_contact: int = 0
    last_phone: int = 0
    last_group: int = 0
    last_asset: int = 0
    last_file: int = 0
    last_link: int = 0
    last_choice: int = 0

    def copy(self, clock: Callable[[], float]) -> "SimulatedAccount":
        """Return an independent account in the same state, with another clock."""
        other = SimulatedAccount.__new__(SimulatedAccount)
        for name in SimulatedAccount.__slots__:
            setattr(other, name, getattr(self, name))
        other.clock = clock
        other.contacts, other.tickets, other.emails = dict(self.contacts), dict(self.tickets), dict(self.emails)
        other.tickets_of, other.pending_of = self.tickets_of.copy(), self.pending_of.copy()
        return other

    def now(self) -> float:
        """Return the time of the injected clock, in epoch seconds."""
        return self.clock()

    def day(self, at: float) -> date:
        """Return the calendar day of a time in the account's time zone."""
        return datetime.fromtimestamp(at + self.options.day_offset, UTC).date()

    @property
    def url(self) -> str:
        """Return the account's address for links, which is not where the simulator listens."""
        return f"https://{self.options.account}.happyfox.example"

    def next(
        self, kind: Literal["ticket", "update", "contact", "phone", "group", "asset", "file", "link", "choice"]
    ) -> int:
        """Return a new id."""
        number = int(getattr(self, f"last_{kind}")) + 1
        setattr(self, f"last_{kind}", number)
        return number

    def put_contact(self, contact: StoredContact) -> StoredContact:
        """Store a contact, new or changed."""
        before = self.contacts.get(contact.id)
        if before is not None and before.email and before.email != contact.email:
            self.emails.pop(before.email.lower(), None)
        self.contacts[contact.id] = contact
        self.last_contact = max(self.last_contact, contact.id)
        if contact.email:
            self.emails[contact.email.lower()] = contact.id
        return contact

    def contact_by_email(self, email: str) -> StoredContact | None:
        """Return the contact with this address, ignoring case."""
        known = self.emails.get(email.strip().lower())
        return None if known is None else self.contacts[known]

    def new_contact(self, name: str, email: str | None, phone: str | None = None) -> StoredContact:
        """Create a contact. It joins the groups of its e-mail domain (contacts article)."""
        domain = (email or "").rpartition("@")[2].lower()
        phones: tuple[Json, ...] = ({"id": self.next("phone"), "type": "o", "number": phone},) if phone else ()
        return self.put_contact(
            StoredContact(
                id=self.next("contact"),
                name=name,
                email=email,
                created_at=self.now(),
                phones=phones,
                groups={i: False for i, g in self.groups.items() if domain in split(g["tagged_domains"].lower())},
            )
        )

    def put(self, ticket: StoredTicket) -> StoredTicket:
        """Store a ticket, new or changed."""
        self._count(self.tickets.get(ticket.id), -1)
        self.tickets[ticket.id] = ticket
        self._count(ticket, 1)
        return ticket

    def remove(self, number: int) -> None:
        """Delete a ticket."""
        self._count(self.tickets.pop(number), -1)

    def completed(self, status: int) -> bool:
        """Return whether a ticket in this status counts as closed."""
        return bool(self.statuses[status]["behavior"] == "completed")

    def visible(self, ticket: StoredTicket) -> bool:
        """Return whether the API key can see the ticket, and reads find it already."""
        if self.options.acts_as is not None and ticket.category not in self.staff[self.options.acts_as]["categories"]:
            return False
        return ticket.updates[0].visible_at <= self.now()

    def assignee_name(self, ticket: StoredTicket) -> str | None:
        """Return the name of the staff member to whom a ticket is assigned."""
        return None if ticket.assignee is None else str(self.staff[ticket.assignee]["name"])

    def default(self, table: Table) -> int:
        """Return the id of a table's default entry."""
        return next(i for i, entry in table.items() if entry["default"])

    def find(self, table: Table, wanted: int | str) -> int:
        """Find an entry by id, name or e-mail. Raise a LookupError that lists the names."""
        words = str(wanted).strip().lower()
        for i, entry in table.items():
            if wanted == i or (
                isinstance(wanted, str)
                and words in (str(i), entry["name"].lower(), str(entry.get("email", "")).lower())
            ):
                return i
        names = ", ".join(entry["name"] for entry in table.values())
        raise LookupError(f"There is no {wanted!r}; there are {names}.")

    def fields_of(self, category: int) -> list[Json]:
        """Return the ticket fields of a category, in order."""
        return [f for f in self.ticket_fields.values() if any(c["category"] == category for c in f["categories"])]

    def store_file(self, filename: str, content_type: str, content: bytes) -> StoredFile:
        """Store an uploaded file."""
        stored = StoredFile(self.next("file"), filename, content_type, content)
        self.files = {**self.files, stored.id: stored}
        return stored

    def link(self, number: int, filename: str) -> str:
        """Return a new signed link to a file, which expires and can usually be used once."""
        proof = f"expires={int(self.now() + self.options.link_seconds)}&serial={self.next('link')}"
        base = "" if self.options.relative_links else self.files_at or self.url
        return f"{base}/attachments/{number}/{quote(filename, safe='')}?{proof}&signature={_seal(number, proof)}"

    def redeem_link(self, number: int, expires: int, serial: int, signature: str) -> StoredFile | None:
        """Return the file of a link and count the use; None if the link is invalid."""
        proof = f"expires={expires}&serial={serial}"
        allowed, used = self.options.link_uses, self.used_links.get(serial, 0)
        if not hmac.compare_digest(signature.encode(), _seal(number, proof).encode()) or self.now() > expires:
            return None
        if allowed and used >= allowed:
            return None
        self.used_links = {**self.used_links, serial: used + 1}
        return self.files.get(number)

    def _count(self, ticket: StoredTicket | None, by: int) -> None:
        if ticket is not None:
            self.tickets_of[ticket.contact] += by
            if not self.completed(ticket.status):
                self.pending_of[ticket.contact] += by


def split(text: str | None) -> list[str]:
    """Return the distinct members of a comma-separated string, trimmed and in order."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


@lru_cache(maxsize=4096)
def stamp(at: float | None) -> str | None:
    """Format a time as the API does: `YYYY-MM-DD HH:MM:SS`, UTC, without a zone."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _seal(number: int, proof: str) -> str:
    return hmac.new(LINK_KEY, f"{number}?{proof}".encode(), hashlib.sha256).hexdigest()[:32]
