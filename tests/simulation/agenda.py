"""The agenda: everything that takes time is a player, a generator that yields how many ms it sleeps.

The next to go on is the one whose time has come first; who goes first of two is drawn from the seed.
"""

import heapq
import random
from collections.abc import Generator
from typing import Any

from workers.testing.desk import World

#: It yields ms; a negative number says that it sleeps for want of work, so that a poke may wake it before.
Player = Generator[float, None, Any]


class Agenda:
    """Who goes on when; ``next`` moves the world's clock."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world, self._rng = world, rng
        self._due: list[tuple[float, float, int, Player]] = []
        self._sleeping: dict[int, Player] = {}
        self._void: set[int] = set()
        self._count = 0

    def spawn(self, player: Player, delay: float = 0) -> None:
        """Lets a player begin after a while."""
        self._push(player, delay)

    def poke(self) -> None:
        """Wakes the players that sleep for want of work."""
        sleeping, self._sleeping = self._sleeping, {}
        self._void |= set(sleeping)
        for player in sleeping.values():
            self._push(player, self._rng.uniform(1, 50))

    def next(self) -> None:
        """Lets time pass until the next player's turn has come, and lets it go on."""
        at, _, entry, player = heapq.heappop(self._due)
        if entry in self._void:
            return
        self._sleeping.pop(entry, None)
        self._world.now = max(self._world.now, int(at))
        try:
            delay = next(player)
        except StopIteration:
            return
        self._push(player, abs(delay), sleeping=delay < 0)

    def _push(self, player: Player, delay: float, sleeping: bool = False) -> None:
        self._count += 1
        if sleeping:
            self._sleeping[self._count] = player
        heapq.heappush(self._due, (self._world.now + delay, self._rng.random(), self._count, player))
