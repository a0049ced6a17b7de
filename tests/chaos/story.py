"""What contacts write: so many messages on so many tickets, a few of which are talked in at any time.

A ticket that has had its messages stays quiet to the end: nothing that comes later heals what was lost there.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

#: Tickets that are talked in at the same time.
ACTIVE = 60
STATUSES = ("New", "In Progress", "On Hold")


@dataclass(frozen=True, slots=True)
class Message:
    """The ``number``-th message of a ticket, from 0; number 0 opens the ticket."""

    ticket: int
    number: int
    text: str
    asks: bool = False
    status: str = ""

    @property
    def name(self) -> str:
        """What everything that is written because of the message says."""
        return f"message {self.number} of ticket {self.ticket}"


def write(seed: int, events: int, tickets: int) -> list[Message]:
    """Writes the whole story: ``events`` messages in order of time."""
    return list(_told(random.Random(f"{seed} story"), events, tickets))


def _told(chance: random.Random, events: int, tickets: int) -> Iterator[Message]:
    quota = {ticket: events // tickets + (ticket <= events % tickets) for ticket in range(1, tickets + 1)}
    done = dict.fromkeys(quota, 0)
    unopened, active = list(quota), list[int]()
    for _ in range(events):
        if unopened and ((len(active) < ACTIVE and chance.random() < 0.5) or not active):
            active.append(unopened.pop(0))
            ticket = active[-1]
        else:
            ticket = chance.choice(active)
        yield _message(chance, ticket, done[ticket])
        done[ticket] += 1
        if done[ticket] == quota[ticket]:
            active.remove(ticket)


def _message(chance: random.Random, ticket: int, number: int) -> Message:
    asks = chance.random() < 0.15
    status = chance.choice(STATUSES) if chance.random() < 0.15 else ""
    text = f"This is message {number} of ticket {ticket}."
    text += " Could you please answer?" if asks else ""
    text += f" Kindly set status {status}" if status else ""
    return Message(ticket, number, text, asks, status)
