"""The API as methods with decoded answers, over whatever makes the calls."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from workers.happyfox import contacts, protocol
from workers.happyfox.protocol import Answer, Request


class Client:
    """Calls endpoints through ``send`` and gives their decoded answers; raises what ``protocol.read`` raises.

    Keyword arguments are those of the functions in ``protocol`` and ``contacts``; ``call`` takes the requests that
    have no method here. ``send`` may raise ``NotNow``, ``Unsent`` and ``InDoubt``; a write that raised ``InDoubt``
    has to be looked up before it is made again.
    """

    def __init__(self, send: Callable[[Request], Answer]) -> None:
        self._send = send

    def call(self, request: Request) -> Any:
        """Makes one call and decodes its answer."""
        return protocol.read(self._send(request))

    def ticket(self, n: int) -> Any:
        """Reads one ticket."""
        return self.call(protocol.ticket(n))

    def tickets(self, **query: Any) -> Any:
        """Reads a page of tickets, with its ``page_info``."""
        return self.call(protocol.tickets(**query))

    def all_tickets(self, **query: Any) -> Iterator[Any]:
        """Reads tickets page by page, as many as HappyFox says there are."""
        page = 1
        while True:
            answer = self.tickets(**query, page=page)
            yield from answer.get("data", [])
            if page >= int(answer.get("page_info", {}).get("page_count") or 0):
                return
            page += 1

    def create_ticket(self, members: Mapping[str, Any]) -> Any:
        """Creates a ticket and gives it."""
        return self.call(protocol.create_ticket(members))

    def staff_update(self, n: int, **members: Any) -> Any:
        """Replies, sets properties, or both; gives the ticket."""
        return self.call(protocol.staff_update(n, **members))

    def private_note(self, n: int, **members: Any) -> Any:
        """Adds a private note; gives the ticket."""
        return self.call(protocol.private_note(n, **members))

    def user_reply(self, n: int, **members: Any) -> Any:
        """Replies as a contact; gives the ticket."""
        return self.call(protocol.user_reply(n, **members))

    def update_tags(self, n: int, add: Iterable[str], remove: Iterable[str], staff_id: int) -> Any:
        """Adds and removes tags; gives the ticket."""
        return self.call(protocol.update_tags(n, add, remove, staff_id))

    def update_custom_fields(self, n: int, **members: Any) -> Any:
        """Sets custom fields; gives the ticket."""
        return self.call(protocol.update_custom_fields(n, **members))

    def move(self, n: int, **members: Any) -> Any:
        """Moves a ticket; gives a message, not the ticket."""
        return self.call(protocol.move(n, **members))

    def forward(self, n: int, **members: Any) -> Any:
        """Mails a ticket to others; gives a message."""
        return self.call(protocol.forward(n, **members))

    def subscribe(self, n: int, **members: Any) -> Any:
        """Subscribes staff members; gives a message."""
        return self.call(protocol.subscribe(n, **members))

    def unsubscribe(self, n: int, **members: Any) -> Any:
        """Ends a subscription; gives a message."""
        return self.call(protocol.unsubscribe(n, **members))

    def delete(self, n: int, *, staff_id: int) -> Any:
        """Deletes a ticket; gives a message."""
        return self.call(protocol.delete(n, staff_id=staff_id))

    def staff(self) -> Any:
        """Lists the staff members."""
        return self.call(protocol.staff())

    def statuses(self) -> Any:
        """Lists the statuses."""
        return self.call(protocol.statuses())

    def priorities(self) -> Any:
        """Lists the priorities."""
        return self.call(protocol.priorities())

    def categories(self) -> Any:
        """Lists the categories."""
        return self.call(protocol.categories())

    def ticket_custom_fields(self) -> Any:
        """Lists the custom fields of tickets."""
        return self.call(protocol.ticket_custom_fields())

    def contact(self, who: int | str) -> Any:
        """Reads a contact by id or e-mail address."""
        return self.call(contacts.contact(who))

    def contacts(self, **query: Any) -> Any:
        """Reads a page of contacts, with its ``page_info``."""
        return self.call(contacts.contacts(**query))

    def contact_custom_fields(self) -> Any:
        """Lists the custom fields of contacts."""
        return self.call(contacts.contact_custom_fields())

    def groups(self) -> Any:
        """Lists the contact groups."""
        return self.call(contacts.groups())

    def group(self, id: int) -> Any:
        """Reads one contact group with its contacts."""
        return self.call(contacts.group(id))
