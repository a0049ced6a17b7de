"""Wishes: what handlers want, before it is folded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from workers.turns.plan.naming import named
from workers.turns.plan.owed import Owed
from workers.turns.plugin.intents import AnyIntent, Create, Own, Reply, Set


@dataclass(frozen=True, slots=True)
class Wish:
    """What one handler wants, in the order it recorded it; of an effect wanted again ``debt`` tells which."""

    handler: str
    intents: tuple[AnyIntent, ...]
    debt: Owed | None = None

    @property
    def key(self) -> str:
        """What it is called where several of a handler's must be told apart."""
        return self.debt.letter if self.debt else self.handler


def needs_directory(wishes: Sequence[Wish]) -> bool:
    """Tells whether any intent names a thing that HappyFox knows by an id."""
    return any(named(each) for wish in wishes for each in wish.intents)


def calls(wish: Wish) -> int:
    """Counts the calls of a wish sent by itself: one for each intent, but the properties of a reply go with it."""
    sent = [each for each in wish.intents if isinstance(each, Own | Create)]
    return len(sent) - sum(isinstance(one, Reply) and isinstance(two, Set) for one, two in pairwise(sent))
