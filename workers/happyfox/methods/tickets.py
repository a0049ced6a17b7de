"""Tickets: lists, single ones, creating (KB 1039), and their custom fields (KB 1247)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

from workers.happyfox.methods.bulk import in_hundreds, results
from workers.happyfox.methods.caller import Caller
from workers.happyfox.methods.paging import climb, walk
from workers.happyfox.requests import tickets as requests
from workers.happyfox.requests.members import Upload
from workers.happyfox.requests.tickets import Listing, NewTicket
from workers.models.lists import FieldRead, read_field
from workers.models.page import Page
from workers.models.results import ItemResult
from workers.models.ticket import TicketRead, read_ticket
from workers.models.values import mapping, number, text


class Tickets(Caller):
    """Reading and creating tickets."""

    def tickets(self, *, page: int = 1, size: int = 50, **listing: Unpack[Listing]) -> Page[TicketRead]:
        """Reads a page of tickets, at most 50 (KB 1039, 1 and 2).

        ``Listing`` tells what can be asked for. Raises ``Gone`` for a page beyond the last.
        """
        request = requests.tickets(page=page, size=size, dialect=self.dialect, **listing)
        return self._page(request, page, self._read_ticket)

    def ticket_numbers(self, *, page: int = 1, size: int = 50, **listing: Unpack[Listing]) -> Page[int]:
        """Reads a page of ticket numbers only, which is much quicker (KB 1039, ``minify_response``)."""
        request = requests.tickets(page=page, size=size, numbers_only=True, dialect=self.dialect, **listing)
        return self._page(request, page, _number)

    def all_tickets(self, **listing: Unpack[Listing]) -> Iterator[TicketRead]:
        """Reads all tickets of a list, page by page; each once and none left out, though tickets come and go.

        That holds in the order of their numbers, which is the default; a search with ``q`` or another ``sort`` is read
        again until it was seen at rest.
        """

        def fetch(page: int, size: int) -> Page[TicketRead]:
            return self.tickets(page=page, size=size, **listing)

        return (climb if _climbs(listing) else walk)(fetch, lambda ticket: ticket.id)

    def all_ticket_numbers(self, **listing: Unpack[Listing]) -> Iterator[int]:
        """Reads the numbers of all tickets of a list, as ``all_tickets`` does."""

        def fetch(page: int, size: int) -> Page[int]:
            return self.ticket_numbers(page=page, size=size, **listing)

        return (climb if _climbs(listing) else walk)(fetch, lambda number: number)

    def ticket(self, n: int) -> TicketRead:
        """Reads one ticket with all its rows (KB 1039, 3); ``n`` is the number of the display id. Raises ``Gone``."""
        return self._one(requests.ticket(n), self._read_ticket)

    def create_ticket(self, ticket: NewTicket | Mapping[str, Any], files: Iterable[Upload] = ()) -> TicketRead:
        """Creates a ticket and gives it (KB 1039, 4 and 17), with attachments of 25 MB together.

        Raises ``Refused`` with what is missing, ``Unfit`` for files that cannot be sent. After ``InDoubt`` or
        ``Broken`` look for it by ``search(contact=...)`` and its subject before creating it again.
        """
        return self._one(requests.create_ticket(ticket, files), self._read_ticket)

    def create_tickets(self, several: Sequence[NewTicket | Mapping[str, Any]]) -> list[ItemResult]:
        """Creates up to 100 tickets in one call, with a result for each (KB 1039, 5)."""
        return results(self.call(requests.create_tickets(several)), several)

    def create_all_tickets(self, several: Iterable[NewTicket | Mapping[str, Any]]) -> list[ItemResult]:
        """Creates any number of tickets, a hundred at a time; see ``in_hundreds`` for what happens on a failure."""
        return in_hundreds(several, self.create_tickets)

    def inline_attachment(self, image: Upload) -> str:
        """Uploads one image of at most 25 MB and gives its address for the ``src`` of an ``img`` (KB 1039, 6)."""
        return self._one(requests.inline_attachment(image), lambda raw: text(mapping(raw).get("url")) or None)

    def ticket_custom_fields(self) -> list[FieldRead]:
        """Lists the custom fields of tickets with their choices (KB 1039, 18)."""
        return self._list(requests.ticket_custom_fields(), read_field)

    def update_choices(self, field: int, choices: Iterable[Mapping[str, Any]]) -> FieldRead:
        """Replaces **all** choices of a ticket field and gives the field (KB 1247).

        Each has ``text`` and ``id``, None for a new one; one that is left out is deleted.
        """
        return self._one(requests.update_choices(field, choices), read_field)

    def _read_ticket(self, raw: Any) -> TicketRead | None:
        return read_ticket(mapping(raw), self.site) if number(mapping(raw).get("id")) is not None else None


def _climbs(listing: Listing) -> bool:
    return not listing.get("q") and listing.get("sort", "ticketa") == "ticketa"


def _number(raw: Any) -> int | None:
    """Reads a bare number, or that of an object, for accounts that do not know ``minify_response``."""
    return number(mapping(raw).get("id") if mapping(raw) else raw)
