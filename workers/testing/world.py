"""The engine on a virtual clock: real scripts on a real store, the simulator as HappyFox, no sockets and no threads.

Time passes only when a test says so.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import redis

from workers import Router
from workers.events.delivery import parse
from workers.governor.governor import Governor
from workers.lanes.claims import ClaimTerms, Held, claim
from workers.lanes.inbox import Acceptance, accept, receive
from workers.lanes.store import Store
from workers.settings import Budget
from workers.simulator import Hook, Simulator, WebhookDelivery, updates
from workers.testing.clock import START, Clock
from workers.testing.player import BASIC, SITE, Crash, Player
from workers.turns.account import Terms
from workers.turns.rounds import Check, Ended, errands, take_round
from workers.turns.steps import Bound, Steps
from workers.turns.turn import Result, take_turn

__all__ = ["ACCOUNT", "BASIC", "BOT", "START", "Crash", "World"]

ACCOUNT = "demo"
BOT = 7


class World(Player):
    """One account with its store, its HappyFox and its clock (``now``, in ms)."""

    def __init__(
        self,
        client: "redis.Redis",
        *routers: Router,
        clock: Clock | None = None,
        simulator: Simulator | None = None,
        **terms: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.client = client
        budget = terms.pop("budget", Budget(500, 300, 60.0, 600.0, 1.0, 8))
        plays = simulator or Simulator(self.clock.seconds, **terms.pop("options", {}))
        super().__init__(Store(client, lambda: self.now), plays)
        self.simulator.set_hooks([Hook("http://hook.test/", "key", shape=terms.pop("shape", "flat"))])
        self.governor = Governor(ACCOUNT, budget)
        self.lease = 15_000
        handlers = tuple(Bound(handler) for router in routers for handler in router.handlers)
        self.terms = Terms(
            **{
                "claim": ClaimTerms(ACCOUNT, self.lease, bool(handlers), self.governor.budget, 20_000),
                "governor": self.governor,
                "staff": BOT,
                "site": SITE,
                "handlers": handlers,
                "allow": frozenset((router.name, "reply") for router in routers),
                "dry_run": False,
                "fuse": 20,
                "life": 20_000,
                "doubt": 30_000,
                "record_life": 3_600_000,
                "clock": lambda: self.now,
                **terms,
            }
        )
        self._nonce = 0
        #: What a round makes of the account's names.
        self.check: Check | None = None
        self._post: list[WebhookDelivery] = []
        client.set(f"foxhooks:{{{ACCOUNT}}}:birth", self.now)

    @property
    def now(self) -> int:
        """The time in ms."""
        return self.clock.ms

    @now.setter
    def now(self, ms: int) -> None:
        self.clock.ms = ms

    # -- HappyFox's side

    def deliver(self) -> list[Acceptance]:
        """Takes every webhook that HappyFox has to send by now into the inbox."""
        self._post += self.simulator.take_deliveries()
        ready = [delivery for delivery in self._post if delivery.due * 1000 <= self.now]
        self._post = [delivery for delivery in self._post if delivery.due * 1000 > self.now]
        return [taken for delivery in ready for taken in self.receive(delivery.body)]

    def posted(self) -> list[int]:
        """Gives the times (ms) at which HappyFox sends the webhooks that wait to be sent."""
        self._post += self.simulator.take_deliveries()
        return [ceil(delivery.due * 1000) for delivery in self._post]

    def receive(self, body: bytes) -> list[Acceptance]:
        """Takes one delivery into the inbox."""
        return self.store.run(accept(ACCOUNT, [receive(parse(body), body)], keep=604_800))

    def ticket(self, number: int) -> Mapping[str, Any]:
        """Reads a ticket as the API shows it, without a call being counted."""
        return updates.ticket_json(self.simulator.account, self.simulator.account.tickets[number])

    # -- the worker's side

    def nonce(self) -> str:
        """Gives a nonce that no claim has had."""
        self._nonce += 1
        return f"n{self._nonce}"

    def claim(self) -> Held | None:
        """Claims the next due lane."""
        got = self.store.run(claim(self.terms.claim, self.nonce()))
        return got if isinstance(got, Held) else None

    def work(self) -> list[Result]:
        """Works everything that is due now, one lane after another."""
        results: list[Result] = []
        while (held := self.claim()) is not None:
            results.append(self.drive(held))
        return results

    def settle_down(self, most: int = 1_800_000, step: int = 500) -> list[Result]:
        """Lets time pass, delivers and works until nothing is left to do, for ``most`` ms at the most."""
        results = self.work()
        end = self.now + most
        while self.now < end and (self.client.zcard(f"foxhooks:{{{ACCOUNT}}}:sched") or self._post):
            self.now += step
            self.deliver()
            results += self.work()
            self._post += self.simulator.take_deliveries()
        return results

    def rounds(self) -> list[Ended]:
        """Takes every round that is due: schedules search, and the tickets found get their events."""
        ends: list[Ended] = []
        while (ended := self.round()).name:
            ends.append(ended)
        return ends

    def round(self) -> Ended:
        """Takes the round that is due longest, if one is."""
        return self.play(take_round(self.terms, errands(self.terms.handlers, self.check), self.nonce()))

    def drive(self, held: Held) -> Result:
        """Takes the turn of a claimed lane."""
        return self.run(take_turn(held, self.terms))

    def run(self, turn: Steps[Result]) -> Result:
        """Drives a turn to its end."""
        return self.play(turn)
