"""The history of one seed: all that the checkers read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.witness import Witness
from workers.engine.effect import Effect, split_actions
from workers.engine.plan import DeadLetter, Plan
from workers.simulator.account import StoredTicket
from workers.testing.desk import SimulatedDeployment

#: On the first read of a ticket, changes are new if they are at most this much (ms) older than the delivery and the
#: store (workers/engine/read.py).
FIRST_SIGHT = 120_000 - 1_000


class Written(NamedTuple):
    """A value that a person wrote into a custom field, and when (ms)."""

    field: int
    value: str
    at: int


@dataclass
class Sent:
    """A call that reached HappyFox."""

    granted: int
    """When (ms) its permit was granted."""
    arrived: int
    """When (ms) it arrived."""
    method: str
    ticket: int
    body: Any
    turn: str
    effect: str
    """The key in the journal."""
    plan: Plan | None
    number: int
    """Its number in HappyFox's log."""
    dry: bool
    """Whether its worker was in a dry run."""
    allow: frozenset[tuple[str, str]]
    """The grants of its worker."""

    @property
    def planned(self) -> Effect | None:
        """The effect that it performs; None for a read."""
        if self.method == "GET" or self.plan is None or not self.effect:
            return None
        index, _, part = self.effect.partition(".")
        effect = self.plan.effects[int(index)]
        return split_actions(effect)[int(part)] if part else effect

    @property
    def sort(self) -> str:
        """The kind of effect it performs; "" for a read."""
        return self.planned.kind if self.planned else ""


@dataclass
class Outage:
    """A time in which HappyFox is unreachable."""

    refuses: bool
    """Whether it refuses connections. Otherwise calls get no answer."""
    since: int
    """When (ms) it began."""
    until: int = 0
    """When (ms) it ended."""
    calls: list[int] = field(default_factory=list)
    """When (ms) somebody tried to call."""


@dataclass
class History:
    """What happened in one seed; the checkers read nothing else."""

    world: SimulatedDeployment
    witness: Witness
    staff_tags: dict[int, list[str]] = field(default_factory=dict)
    staff_values: dict[int, list[Written]] = field(default_factory=dict)
    removed: dict[int, StoredTicket] = field(default_factory=dict)
    as_our_staff: set[int] = field(default_factory=set)
    """Updates by a person who works as the staff member that foxhooks writes as."""
    automatic: set[int] = field(default_factory=set)
    """Updates by a program that foxhooks must recognize as automatic."""
    conversations: set[int] = field(default_factory=set)
    """Tickets on which only a contact and a colleague write, in turn."""
    apart: set[int] = field(default_factory=set)
    """Tickets on which nobody acts at random: those, and the tickets of silent contacts and of programs."""
    allowed: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """The grants with which each turn was decided."""
    replayed: list[tuple[int, DeadLetter]] = field(default_factory=list)
    """Dead letters that a person replayed, with their tickets."""
    accepted: list[str] = field(default_factory=list)
    emptied: int = 0
    """When (ms) the store was emptied, 0 if it never was."""
    first_heard: dict[int, int] = field(default_factory=dict)
    """When (ms) the first delivery of each ticket came after that."""
    lost_events: frozenset[str] = frozenset()
    """Accepted events that may have been lost with the store."""
    sent: list[Sent] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    """From when until when (ms) the gate was closed."""
    rejected: list[int] = field(default_factory=list)
    """When (ms) it was closed because HappyFox seemed to reject the API key."""
    overlooked: list[str] = field(default_factory=list)
    """Changes that a complete sweep did not find although no delivery had announced them."""
    unscheduled: list[str] = field(default_factory=list)
    """Lanes with work that were not scheduled."""
    lost_leases: list[str] = field(default_factory=list)
    """Leases that were lost without a cause."""
    faults: Counter[str] = field(default_factory=Counter)
    """How often each fault happened and people did each thing."""
    outages: list[Outage] = field(default_factory=list)
    denied: set[int] = field(default_factory=set)
    """The tickets that the key could not read for a while."""
    lockouts: int = 0
    """Lockouts that a fault made."""
    steps: int = 0
    at_rest: bool = False
    """Whether nothing was left to do at the end."""

    def restart(self) -> None:
        """Start over, because the store was emptied and nothing that was durable still is."""
        self.emptied = self.world.now
        self.lost_events = frozenset(self.accepted)
        self.closings = [(at, min(until, self.emptied)) for at, until in self.closings]
        self.witness.forget()

    def unseen(self, number: int, at: float) -> bool:
        """Return whether foxhooks may never see what happened at (ms), because the store was emptied."""
        again = min(self.first_heard.values(), default=self.world.now)
        return self.emptied > 0 and at <= max(again, self.first_heard.get(number, self.world.now) - FIRST_SIGHT)

    def has_unknown_write(self, number: int) -> bool:
        """Return whether a write was in progress when the store was emptied, so that it is not known as ours."""
        return any(
            sent.ticket == number and sent.method != "GET" and sent.granted <= self.emptied <= sent.arrived + 1_000
            for sent in self.sent
        )

    @property
    def tickets(self) -> dict[int, StoredTicket]:
        """All tickets that ever existed; deleted ones as they were last."""
        return {**self.removed, **self.world.simulator.account.tickets}
