"""Votes: what the handlers of one turn have said, as the plan will tell it."""

from collections.abc import Sequence

from workers.events.change import Change
from workers.turns.deciding import replaying
from workers.turns.deciding.foreign import Ledger
from workers.turns.deciding.missing import letter
from workers.turns.deciding.pausing import Halt, keep
from workers.turns.plan.owed import Letter, Owed
from workers.turns.plan.plan import Said, Verdict
from workers.turns.plan.wishes import Wish
from workers.turns.state import State


class Votes:
    """What handlers want, what they are owed from now on, and what was given up.

    ``shown`` holds the changes of handlers that were owed some beside those of the turn, ``remarks`` are for the trail.
    """

    def __init__(self, state: State, ledger: Ledger) -> None:
        self._state, self._ledger = state, ledger
        self.wishes: list[Wish] = []
        self.verdicts: list[Verdict] = []
        self.owed: list[Owed] = []
        self.letters: list[Letter] = []
        self.shown: dict[str, tuple[Change, ...]] = {}
        self.remarks: list[str] = []

    def say(self, handler: str, state: Said, reason: str, attempt: int = 1, denied: tuple[str, ...] = ()) -> None:
        """Notes what became of a handler, and why."""
        self.verdicts.append(Verdict(handler, state, reason, attempt, denied))

    def bury(self, debt: Owed, reason: str) -> None:
        """Makes a dead letter of what a handler is owed."""
        self.say(debt.handler, "dead", reason, debt.attempt)
        self.letters.append(letter(self._state.held.turn, debt, reason))

    def give_up(self, handler: str, changes: Sequence[Change], reason: str) -> None:
        """Drops what a handler wanted in this turn, and makes a dead letter of it."""
        self.wishes = [wish for wish in self.wishes if wish.handler != handler or wish.debt]
        self.verdicts = [
            verdict
            for verdict in self.verdicts
            if verdict.handler != handler or verdict.reason.startswith((replaying.AGAIN, replaying.HANDED))
        ]
        now, done = self._state.now(), self._ledger.of(handler)
        self.bury(Owed(handler, tuple(changes), 1, now, reason, reason, 0, foreign=done), reason)

    def keep(self, name: str, before: Owed | None, halt: Halt, news: Sequence[Change]) -> None:
        """Lets changes wait with what was owed ``before``; ``name`` stands for a router or for all handlers."""
        owed, dead = keep(name, before, halt, news, self._state.now(), self._state.held.turn)
        if owed:
            self.owed.append(owed)
        if dead:
            self.letters.append(dead)
            self.say(name, "dead", dead.reason)
        elif news:
            self.say(name, "skipped" if halt.skip else "waits", halt.why)
