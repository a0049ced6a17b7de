"""The state of the account: tables, contacts, tickets, and counters that rise account-wide.

Contacts, tickets and rows are frozen and replaced when they change, so a copy of the whole world costs one
pointer for each of them, and yesterday's ticket stays as it was for whoever holds it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from workers.simulator.options import Options

Json = dict[str, Any]
Table = Mapping[int, Json]


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact; `fields` maps a contact field's id to its stored value."""

    id: int
    name: str
    email: str | None
    created_at: float
    updated_at: float | None = None
    phones: tuple[Json, ...] = ()
    groups: tuple[int, ...] = ()
    fields: Mapping[int, Any] = field(default_factory=dict)


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
    visible_only_staff: bool = False
    unresponded: bool = True
    source: str = "TKT_CREATION_API"
    rows: tuple[Row, ...] = ()


@dataclass(slots=True)
class World:
    """Everything the simulated account remembers. Tables hold the JSON the API answers, by id."""

    options: Options
    clock: Callable[[], float]
    categories: Table
    prefixes: Mapping[int, str]
    priorities: Table
    statuses: Table
    staff: Table
    groups: Table
    ticket_fields: Table
    contact_fields: Table
    contacts: dict[int, Contact] = field(default_factory=dict)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    emails: dict[str, int] = field(default_factory=dict)
    tickets_of: Counter[int] = field(default_factory=Counter)
    pending_of: Counter[int] = field(default_factory=Counter)
    last_ticket: int = 0
    last_update: int = 0
    last_contact: int = 0
    last_attachment: int = 0

    def copy(self, clock: Callable[[], float]) -> "World":
        """An independent world in the same state, under a clock."""
        return replace(
            self,
            clock=clock,
            contacts=dict(self.contacts),
            tickets=dict(self.tickets),
            emails=dict(self.emails),
            tickets_of=self.tickets_of.copy(),
            pending_of=self.pending_of.copy(),
        )

    def now(self) -> float:
        """The time by the injected clock, in epoch seconds."""
        return self.clock()

    @property
    def url(self) -> str:
        """The account's address as it stands in links. It is not where the simulator listens."""
        return f"https://{self.options.account}.happyfox.example"

    def next_ticket(self) -> int:
        """A new ticket number."""
        self.last_ticket += 1
        return self.last_ticket

    def next_update(self) -> int:
        """A new update id."""
        self.last_update += 1
        return self.last_update

    def next_attachment(self) -> int:
        """A new attachment id."""
        self.last_attachment += 1
        return self.last_attachment

    def put_contact(self, contact: Contact) -> Contact:
        """Store a contact, new or changed."""
        self.contacts[contact.id] = contact
        self.last_contact = max(self.last_contact, contact.id)
        if contact.email:
            self.emails[contact.email.lower()] = contact.id
        return contact

    def contact_by_email(self, email: str) -> Contact | None:
        """The contact with this address, in any case."""
        known = self.emails.get(email.strip().lower())
        return None if known is None else self.contacts[known]

    def new_contact(self, name: str, email: str | None, phone: str | None = None) -> Contact:
        """Make a contact; its e-mail domain decides the groups it joins (contacts article)."""
        domain = (email or "").rpartition("@")[2].lower()
        number = self.last_contact + 1
        return self.put_contact(
            Contact(
                id=number,
                name=name,
                email=email,
                created_at=self.now(),
                phones=({"id": number, "type": "o", "number": phone},) if phone else (),
                groups=tuple(i for i, g in self.groups.items() if domain in split(g["tagged_domains"])),
            )
        )

    def put(self, ticket: Ticket) -> Ticket:
        """Store a ticket, new or changed."""
        self._count(self.tickets.get(ticket.id), -1)
        self.tickets[ticket.id] = ticket
        self._count(ticket, 1)
        return ticket

    def remove(self, number: int) -> None:
        """Delete a ticket; reads answer 404 from now on."""
        self._count(self.tickets.pop(number), -1)

    def completed(self, status: int) -> bool:
        """Whether a ticket in this status counts as closed."""
        return bool(self.statuses[status]["behavior"] == "completed")

    def visible(self, ticket: Ticket) -> bool:
        """Whether reads find the ticket yet."""
        return ticket.rows[0].visible_at <= self.now()

    def default(self, table: Table) -> int:
        """The id of the table's default member."""
        return next(i for i, row in table.items() if row["default"])

    def find(self, table: Table, wanted: int | str) -> int:
        """The id of a member named by id, name (any case) or e-mail. LookupError lists what exists."""
        for i, row in table.items():
            if wanted == i or (isinstance(wanted, str) and _is_called(row, i, wanted)):
                return i
        raise LookupError(f"No {wanted!r} here; there are {', '.join(r['name'] for r in table.values())}.")

    def fields_of(self, category: int) -> list[Json]:
        """The ticket fields of a category, in order."""
        return [f for f in self.ticket_fields.values() if any(c["category"] == category for c in f["categories"])]

    def _count(self, ticket: Ticket | None, by: int) -> None:
        if ticket is not None:
            self.tickets_of[ticket.contact] += by
            if not self.completed(ticket.status):
                self.pending_of[ticket.contact] += by


def split(text: str | None) -> list[str]:
    """The members of a comma-separated string, trimmed, in order, each once."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def stamp(at: float | None) -> str | None:
    """A time as the API prints it: `YYYY-MM-DD HH:MM:SS`, UTC, no zone mark."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_called(row: Json, number: int, wanted: str) -> bool:
    words = wanted.strip().lower()
    return words in (str(number), row["name"].lower(), str(row.get("email", "")).lower())
