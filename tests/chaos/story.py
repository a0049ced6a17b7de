"""What contacts and colleagues write: messages on tickets, which are opened throughout the run.

More than half of the tickets get only one or two messages, so that no later message can hide a loss. Only where the
store has lost an accepted delivery, the contact writes once more than planned.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STATUSES = ("New", "In Progress", "On Hold")


@dataclass(frozen=True, slots=True)
class Message:
    """The ``number``-th message of a ticket, from 0; number 0 opens the ticket."""

    ticket: int
    number: int
    asks: bool = False
    """Whether it wants an answer."""
    status: str = ""
    """The status that it wants."""
    colleague: bool = False
    """Whether it is a colleague's private note, and not by the contact."""

    @property
    def name(self) -> str:
        """Return the words that everything written because of this message contains."""
        return f"message {self.number} of ticket {self.ticket}"

    @property
    def text(self) -> str:
        """Return its words."""
        text = f"This is {self.name}."
        text += " Could you please answer?" if self.asks else ""
        return text + (f" Kindly set status {self.status}" if self.status else "")


def write(seed: int, events: int, tickets: int) -> list[Message]:
    """Return ``events`` messages in chronological order."""
    return list(_messages(random.Random(f"{seed} story"), events, tickets))


def denied(seed: int, messages: Sequence[Message]) -> frozenset[int]:
    """Return the tickets of a story that the API key may not read; all are opened in its first half."""
    early = sorted({message.ticket for message in messages[: len(messages) // 2]})
    return frozenset(random.Random(f"{seed} denied").sample(early, max(6, len(early) // 10)))


def _messages(chance: random.Random, events: int, tickets: int) -> Iterator[Message]:
    openings = _openings(chance, events, tickets)
    left: dict[int, int] = {}
    sent: dict[int, int] = {}
    for step in range(events):
        if openings and (openings[0][0] <= step or not left):
            ticket = len(sent) + 1
            left[ticket], sent[ticket] = openings.pop(0)[1], 0
        else:
            ticket = chance.choice(list(left))
        yield _message(chance, ticket, sent[ticket])
        sent[ticket] += 1
        left[ticket] -= 1
        if not left[ticket]:
            del left[ticket]


def _openings(chance: random.Random, events: int, tickets: int) -> list[tuple[float, int]]:
    """Return for each ticket the step at which it is opened, and its number of messages, in order."""
    short = [chance.choice((1, 1, 1, 2)) for _ in range(tickets * 6 // 10)]
    long = tickets - len(short)
    rest = events - sum(short)
    shares = [rest // long + (index < rest % long) for index in range(long)]
    openings = [(chance.uniform(0, 0.97) * events, share) for share in short]
    openings += [(chance.uniform(0, 0.8) * events, share) for share in shares]
    return sorted(openings)


def _message(chance: random.Random, ticket: int, number: int) -> Message:
    asks = chance.random() < 0.15
    status = chance.choice(STATUSES) if chance.random() < 0.15 else ""
    if number and chance.random() < 0.1:
        return Message(ticket, number, colleague=True)
    return Message(ticket, number, asks, status)
