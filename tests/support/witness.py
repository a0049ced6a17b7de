"""A witness of turns: it records what became durable from the scripts that ran, not from what the engine reports.

What handlers were shown counts from the moment in which a plan or a settle stored it; what a crashed worker had
shown to its handlers before does not count.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from workers.engine.plan import DeadLetter, Pending, Plan
from workers.engine.steps import Step
from workers.plugins.actions import AnyAction
from workers.plugins.invoke import Decide, Decision
from workers.store.lanes import Settlement
from workers.store.scripts import Script
from workers.tickets.change import Change, matches
from workers.tickets.snapshot import Snapshot, decode


@dataclass(frozen=True)
class Shown:
    """What a handler was shown: by a run that counts, or as the evidence of a dead letter."""

    ticket: int
    handler: str
    changes: tuple[Change, ...]
    asked: frozenset[str]
    tags: frozenset[str] = frozenset()
    dead: str = ""
    replay: bool = False
    actions: tuple[AnyAction, ...] = ()
    turn: str = ""

    @property
    def matched(self) -> tuple[Change, ...]:
        """The changes that match the handler."""
        return tuple(change for change in self.changes if matches(self.asked, change))


@dataclass(frozen=True)
class Settled:
    """A turn that ended: its ticket, the events it handled, and the pending work it left."""

    ticket: int
    turn: str
    handled: tuple[str, ...]
    pending: tuple[Pending, ...]
    dead_letters: tuple[DeadLetter, ...]


class Witness:
    """Everything that became durable, in order."""

    def __init__(self, kinds: Mapping[str, frozenset[str]], once: frozenset[str] = frozenset()) -> None:
        self.kinds, self.once = kinds, once
        self.shown: list[Shown] = []
        self.plans: dict[str, tuple[int, Plan]] = {}
        self.settled: list[Settled] = []
        self.first: dict[int, Snapshot] = {}
        self.decided_again = 0
        """How often the handlers of a turn decided again, because others had changed what they read."""
        self._said: dict[Hashable, list[Shown]] = {}
        self._kept: set[str] = set()

    def forget(self) -> None:
        """Forget everything, because the store was emptied."""
        for memory in (self.shown, self.plans, self.settled, self.first, self._said):
            memory.clear()

    def begins(self, worker: Hashable) -> None:
        """Begin a turn of a worker; what it saw before and did not store no longer counts."""
        self._said[worker] = []

    def saw(self, worker: Hashable, step: Step, answer: Any) -> None:
        """Record a step that was performed, whether or not its answer reached the worker."""
        if isinstance(step, Decide) and isinstance(answer, Decision):
            handler = step.bound.handler
            fields = (step.ticket.id, handler.name, step.event.changes, handler.kinds, step.ticket.tags)
            shown = Shown(*fields, actions=answer.actions, replay=step.event.replay)
            self._said.setdefault(worker, []).append(shown)
        elif isinstance(step, Script) and step.name == "plan" and answer == "stored":
            plan = msgspec.json.decode(bytes(step.args[2]), type=Plan)  # type: ignore[arg-type]
            self._keep(worker, int(step.args[0]), plan.turn, plan.dead_letters)
            self.first.setdefault(int(step.args[0]), plan.snapshot)
            self.plans.setdefault(plan.turn, (int(step.args[0]), plan))
        elif isinstance(step, Script) and step.name == "plan" and answer == "stale":
            self.begins(worker)  # another turn has changed what its handlers read in their store: all decide again
            self.decided_again += 1
        elif isinstance(step, Script) and step.name == "settle" and answer[0]:
            self._settle(worker, step)

    def _settle(self, worker: Hashable, step: Script[Any]) -> None:
        settlement = msgspec.json.decode(bytes(step.args[0]), type=Settlement)  # type: ignore[arg-type]
        if any(settled.turn == settlement.turn for settled in self.settled):
            return
        dead_letters = tuple(
            msgspec.json.decode(dead_letter, type=DeadLetter) for dead_letter in settlement.dead_letters.values()
        )
        stored = bytes(step.args[3])  # type: ignore[arg-type]
        if (snapshot := decode(bytes(step.args[1]))) is not None:  # type: ignore[arg-type]
            self.first.setdefault(int(settlement.lane), snapshot)
        self._keep(worker, int(settlement.lane), settlement.turn, dead_letters)
        pending = msgspec.json.decode(stored, type=tuple[Pending, ...]) if stored else ()
        self.settled.append(
            Settled(int(settlement.lane), settlement.turn, tuple(settlement.handled), pending, dead_letters)
        )

    def _keep(self, worker: Hashable, ticket: int, turn: str, dead_letters: tuple[DeadLetter, ...]) -> None:
        if turn in self._kept:
            return
        self._kept.add(turn)
        dead = {
            dead_letter.handler: dead_letter
            for dead_letter in dead_letters
            if dead_letter.effect is None and dead_letter.handler in self.kinds
        }
        said = self._said.pop(worker, [])
        self.shown += [replace(shown, turn=turn) for shown in said if shown.handler not in dead]
        self.shown += [
            Shown(ticket, name, dead_letter.changes, self.kinds[name], dead=dead_letter.reason)
            for name, dead_letter in dead.items()
        ]
