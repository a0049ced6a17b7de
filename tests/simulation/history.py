"""The history of one seed: everything that the checkers read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.witness import Witness
from workers.testing.world import World
from workers.turns.plan import Plan


@dataclass
class Sent:
    """A call that reached HappyFox: when its permit was taken, when it arrived (ms), for which effect of which turn."""

    granted: int
    arrived: int
    method: str
    ticket: int
    body: Any
    turn: str
    effect: str
    plan: Plan | None
    number: int


@dataclass
class History:
    """What happened in one seed; the checkers read nothing else."""

    world: World
    witness: Witness
    staff_tags: dict[int, list[str]] = field(default_factory=dict)
    staff_values: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    as_us: set[int] = field(default_factory=set)
    """Rows of a person who works as the staff member that we write as."""
    accepted: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    locks: int = 0
    steps: int = 0
    rest: bool = False
