"""A help desk for tests: the real engine on a real store, a simulated HappyFox, and a clock that the test moves.

    def test_a_vip_is_greeted_once(desk: Desk) -> None:
        desk.use(router)
        desk.crash = True
        number = desk.simulator.create_ticket("sam@bigcorp.example").id
        desk.advance("1m")
        assert desk.notes(number) == ["VIP contact: answer within the hour."]

With ``crash`` the worker dies wherever that could do harm, and another goes on: when all handlers of a turn have run
and nothing is stored yet, and after each write that HappyFox has taken, and each call of ``ctx.effect``, whose answer
nobody got.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import msgspec
import redis

from workers.errors import seconds
from workers.lanes.keys import prefix
from workers.lanes.scripts import Script
from workers.models.ticket import TicketRead, read_ticket
from workers.simulator import Simulator
from workers.testing.clock import Clock
from workers.testing.world import ACCOUNT, BOT, Crash, World
from workers.turns.plugin.loading import settings_of
from workers.turns.plugin.router import Router
from workers.turns.steps import Bound, Call, Inner, Outside, Step

#: The shortest step (ms) by which time passes while something is due that cannot be done yet.
TICK = 500

#: The scripts that end what a turn decided; until then nothing of it is stored.
STORING = ("plan", "settle")


class Desk:
    """An account with foxhooks at work on it. ``crash`` may be switched at any time."""

    def __init__(self, client: "redis.Redis", clock: Clock, simulator: Simulator) -> None:
        self.clock, self.simulator = clock, simulator
        self.crash = False
        self._world = World(client, clock=clock, simulator=simulator)
        self._world.before, self._world.after = self._before, self._after
        self._turn = ""
        self._died: set[tuple[str, Hashable]] = set()

    def use(
        self, *routers: Router, settings: Mapping[str, Mapping[str, Any]] | None = None, allow: Iterable[str] = ()
    ) -> None:
        """Has the worker run the handlers of these routers, in this order.

        ``settings`` holds the tables of the settings file by the router's name, ``allow`` grants as `"vip:reply"`.
        """
        tables = {router.name: settings_of(router, (settings or {}).get(router.name, {})) for router in routers}
        terms = self._world.terms
        self._world.terms = replace(
            terms,
            claim=replace(terms.claim, read=True),
            handlers=tuple(Bound(each, tables[router.name]) for router in routers for each in router.handlers),
            allow=frozenset((router, permission) for router, _, permission in (one.partition(":") for one in allow)),
        )

    @property
    def now(self) -> datetime:
        """The time (aware, UTC)."""
        return self.clock.now

    def advance(self, span: float | str) -> None:
        """Lets time pass, as ``"90s"``, ``"10m"``, ``"2h"``, ``"1d"``; whatever becomes due in it is done."""
        end = self.clock.ms + int(seconds(span) * 1000)
        self._work()
        while (due := self._due()) is not None and due <= end:
            self.clock.ms = min(end, max(due, self.clock.ms + TICK))
            self._work()
            if self.clock.ms == end:
                break
        self.clock.ms = end

    def ticket(self, number: int) -> TicketRead:
        """Reads a ticket as it is now, as a handler would see it."""
        return read_ticket(dict(self._world.ticket(number)), self._world.terms.site)

    def notes(self, number: int) -> list[str]:
        """Gives the texts of the private notes that foxhooks wrote on a ticket, oldest first."""
        return self._said(number, private=True)

    def replies(self, number: int) -> list[str]:
        """Gives the texts of the answers that foxhooks wrote to the contact, oldest first."""
        return self._said(number, private=False)

    def _said(self, number: int, *, private: bool) -> list[str]:
        rows = [row for row in self.ticket(number).history if row.author == "staff" and row.author_id == BOT]
        return [row.message.text.strip() for row in rows if row.message and row.message.private == private]

    def _work(self) -> None:
        self._world.deliver()
        self._world.rounds()
        while (held := self._world.claim()) is not None:
            self._turn = held.turn
            try:
                self._world.drive(held)
            except Crash:
                continue
            self._world.deliver()

    def _due(self) -> int | None:
        """The time (ms) at which there is something to do next."""
        key = f"{prefix(ACCOUNT)}sched"
        first = cast(list[tuple[bytes, float]], self._world.client.zrange(key, 0, 0, withscores=True))
        rounds = self._world.round()
        coming = [self.clock.ms + rounds.wait] if rounds.wait > 0 else []
        return min([*(int(due) for _, due in first), *self._world.posted(), *coming], default=None)

    def _before(self, step: Step | Inner) -> None:
        if isinstance(step, Script) and step.name in STORING:
            self._die(step.name)

    def _after(self, step: Step | Inner, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method != "GET":
            self._die((step.request.path, msgspec.json.encode(step.request.body)))
        if isinstance(step, Outside):
            self._die(("outside", step.name))
        return result

    def _die(self, where: Hashable) -> None:
        """Ends the worker here, once in each turn."""
        if self.crash and (self._turn, where) not in self._died:
            self._died.add((self._turn, where))
            raise Crash
