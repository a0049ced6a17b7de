"""The tables, contacts, tickets, files and counters of the account; counters rise account-wide.

Contacts, tickets and rows are frozen and replaced when they change, and tables that change seldom are replaced
as a whole, so a copy of the world costs little, and yesterday's ticket stays as it was for whoever holds it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from workers.simulator.options import Options
from workers.simulator.world.things import Asset, Contact, Json, StoredFile, Table, Ticket


@dataclass(slots=True)
class World:
    """The whole state. Tables hold the JSON the API answers, by id; those after `articles` may be replaced."""

    options: Options
    clock: Callable[[], float]
    categories: Table
    prefixes: Mapping[int, str]
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
    contacts: dict[int, Contact] = field(default_factory=dict)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    assets: Mapping[int, Asset] = field(default_factory=dict)
    files: Mapping[int, StoredFile] = field(default_factory=dict)
    emails: dict[str, int] = field(default_factory=dict)
    tickets_of: Counter[int] = field(default_factory=Counter)
    pending_of: Counter[int] = field(default_factory=Counter)
    spent_links: Mapping[int, int] = field(default_factory=dict)
    files_at: str = ""
    last_ticket: int = 0
    last_update: int = 0
    last_contact: int = 0
    last_phone: int = 0
    last_group: int = 0
    last_asset: int = 0
    last_file: int = 0
    last_link: int = 0
    last_choice: int = 0

    def copy(self, clock: Callable[[], float]) -> "World":
        """An independent world in the same state, under a clock."""
        other = World.__new__(World)
        for name in World.__slots__:
            setattr(other, name, getattr(self, name))
        other.clock = clock
        other.contacts, other.tickets, other.emails = dict(self.contacts), dict(self.tickets), dict(self.emails)
        other.tickets_of, other.pending_of = self.tickets_of.copy(), self.pending_of.copy()
        return other

    def now(self) -> float:
        """The time by the injected clock, in epoch seconds."""
        return self.clock()

    @property
    def url(self) -> str:
        """The account's address as it stands in links. It is not where the simulator listens."""
        return f"https://{self.options.account}.happyfox.example"

    def next(self, kind: Literal["ticket", "update", "contact", "phone", "group", "asset", "file", "choice"]) -> int:
        """A number that nothing of this kind has had."""
        number = int(getattr(self, f"last_{kind}")) + 1
        setattr(self, f"last_{kind}", number)
        return number

    def put_contact(self, contact: Contact) -> Contact:
        """Store a contact, new or changed."""
        before = self.contacts.get(contact.id)
        if before is not None and before.email and before.email != contact.email:
            self.emails.pop(before.email.lower(), None)
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
        phones: tuple[Json, ...] = ({"id": self.next("phone"), "type": "o", "number": phone},) if phone else ()
        return self.put_contact(
            Contact(
                id=self.next("contact"),
                name=name,
                email=email,
                created_at=self.now(),
                phones=phones,
                groups={i: False for i, g in self.groups.items() if domain in split(g["tagged_domains"].lower())},
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
        """Whether reads find the ticket: it has appeared, and the key may see its category."""
        if self.options.acts_as is not None and ticket.category not in self.staff[self.options.acts_as]["categories"]:
            return False
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


@lru_cache(maxsize=4096)
def stamp(at: float | None) -> str | None:
    """A time as the API prints it: `YYYY-MM-DD HH:MM:SS`, UTC, no zone mark."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_called(row: Json, number: int, wanted: str) -> bool:
    words = wanted.strip().lower()
    return words in (str(number), row["name"].lower(), str(row.get("email", "")).lower())
