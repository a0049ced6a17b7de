"""Contacts: they write, and once more where the store has lost an accepted delivery."""

from collections import Counter

from tests.chaos.courier import Courier
from tests.chaos.story import Message
from tests.support.fleet import COLLEAGUE, Fleet, by_us

#: The contact of a ticket that names no other.
CONTACT = "sam@bigcorp.example"


class Contacts:
    """The contacts of a deployment, and a colleague."""

    def __init__(self, fleet: Fleet, courier: Courier) -> None:
        self.written: list[Message] = []
        """All messages, in the order in which they were written."""
        self.again = 0
        """How many of them were written because of a loss."""
        self.addresses: dict[int, str] = {}
        """The address of each ticket's contact."""
        self._fleet, self._courier = fleet, courier
        self._numbers: Counter[int] = Counter()

    def tell(self, message: Message) -> None:
        """Write what the story says, as the contact or as a colleague."""
        if message.number == 0:
            self.open(asks=message.asks, status=message.status)
        elif message.colleague:
            note = self._next(message.ticket, colleague=True)
            self._fleet.ask("POST", f"ticket/{note.ticket}/staff", staff=COLLEAGUE, text=note.text, private=True)
        else:
            self.write(message.ticket, message.asks, message.status)

    def open(self, address: str = CONTACT, asks: bool = False, status: str = "", more: str = "") -> int:
        """Open a ticket, which has the next number, and return it."""
        message = self._next(len(self._numbers) + 1, asks, status)
        assert self._fleet.open_ticket(email=address, text=message.text + more) == message.ticket
        self.addresses[message.ticket] = address
        return message.ticket

    def write(self, ticket: int, asks: bool = False, status: str = "", more: str = "", quoted: str = "") -> None:
        """Write the next message of an open ticket."""
        self._fleet.reply(ticket, quoted + self._next(ticket, asks, status).text + more)

    def unheard(self) -> list[int]:
        """Return the tickets of which the store may not know the last message, or not any more."""
        return [ticket for ticket in self._numbers if self._is_unheard(ticket)]

    def write_again(self, ticket: int) -> None:
        """Write to a ticket, unless the store knows its last message by now."""
        if self._is_unheard(ticket):
            self.again += 1
            self.write(ticket)

    def _next(self, ticket: int, asks: bool = False, status: str = "", colleague: bool = False) -> Message:
        message = Message(ticket, self._numbers[ticket], asks, status, colleague)
        self._numbers[ticket] += 1
        self.written.append(message)
        return message

    def _is_unheard(self, ticket: int) -> bool:
        updates = self._fleet.ticket(ticket).updates
        last = max(index for index, update in enumerate(updates) if not by_us(update.shown))
        return self._courier.accepted.last_due(ticket) < (updates[last].update_id if last else 0)
