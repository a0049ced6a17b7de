"""The history of one seed: everything that the checkers read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.witness import Witness
from workers.engine.plan import DeadLetter, Plan, split_by_handler
from workers.simulator.account import StoredTicket
from workers.testing.desk import World

#: A first sight shows what is no older (ms) than this before the delivery, and than the store (turns/reading.py).
FIRST_SIGHT = 120_000 - 1_000


class Written(NamedTuple):
    """A person wrote a custom field, at (ms)."""

    field: int
    value: str
    at: int


@dataclass
class Sent:
    """A call that reached HappyFox: when its permit was taken, when it arrived (ms), for which effect of which turn.

    ``number`` is that of HappyFox's log; ``effect`` the key in the journal.
    """

    granted: int
    arrived: int
    method: str
    ticket: int
    body: Any
    turn: str
    effect: str
    plan: Plan | None
    number: int
    dry: bool

    @property
    def sort(self) -> str:
        """What sort of effect it performs, empty for a read."""
        if self.method == "GET" or self.plan is None or not self.effect:
            return ""
        index, _, part = self.effect.partition(".")
        effect = self.plan.effects[int(index)]
        return split_by_handler(effect)[int(part)].kind if part else effect.kind


@dataclass
class History:
    """What happened in one seed; the checkers read nothing else.

    ``faults`` counts faults and people's deeds; ``closings`` tells from and until when (ms) the gate was closed,
    ``stray`` of lanes outside the schedule, ``lost`` of leases lost without a cause.
    """

    world: World
    witness: Witness
    staff_tags: dict[int, list[str]] = field(default_factory=dict)
    staff_values: dict[int, list[Written]] = field(default_factory=dict)
    removed: dict[int, StoredTicket] = field(default_factory=dict)
    as_us: set[int] = field(default_factory=set)
    """Rows of a person who works as the staff member that we write as."""
    replayed: list[tuple[int, DeadLetter]] = field(default_factory=list)
    """Dead letters that a person replayed, with their tickets."""
    accepted: list[str] = field(default_factory=list)
    emptied: int = 0
    """When (ms) the store was emptied, 0 if it never was."""
    heard: dict[int, int] = field(default_factory=dict)
    """When (ms) the first delivery of each ticket came after that."""
    lost_events: frozenset[str] = frozenset()
    """Accepted events that may have been lost with the store."""
    sent: list[Sent] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    unattributed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    locks: int = 0
    steps: int = 0
    rest: bool = False

    def begin_anew(self) -> None:
        """The store was emptied: what became durable is not any more, and the witness starts again."""
        self.emptied = self.world.now
        self.lost_events = frozenset(self.accepted)
        self.closings = [(at, min(until, self.emptied)) for at, until in self.closings]
        self.witness.forget()

    def unseen(self, number: int, at: float) -> bool:
        """Tells whether what happened on a ticket at (ms) may never be seen, for the store was emptied."""
        heard, again = self.heard.get(number, self.world.now), min(self.heard.values(), default=self.world.now)
        return self.emptied > 0 and at <= max(again, heard - FIRST_SIGHT)

    def strays(self, number: int) -> bool:
        """Tells whether a write to a ticket was under way when the store was emptied: nobody knows it as ours."""
        return any(
            sent.ticket == number and sent.method != "GET" and sent.granted <= self.emptied <= sent.arrived + 1_000
            for sent in self.sent
        )

    @property
    def tickets(self) -> dict[int, StoredTicket]:
        """All tickets there ever were, those that were deleted as they were last."""
        return {**self.removed, **self.world.simulator.account.tickets}
