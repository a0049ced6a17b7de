"""The engine on a virtual clock: real scripts on a real store, the simulator as HappyFox, no sockets and no threads.

A ``World`` performs the steps that turns yield. Time passes only when a test says so; faults strike where a test, a
sweep or a seeded schedule puts them.
"""

import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import redis

from workers import Router
from workers.errors import GiveUp, InDoubt, LeaseLost, NotNow, Retry, Unsent
from workers.events.delivery import parse
from workers.governor.governor import Governor
from workers.happyfox import protocol
from workers.happyfox.protocol import BASE, Answer
from workers.lanes.claims import ClaimTerms, Held, claim
from workers.lanes.inbox import Acceptance, accept, receive
from workers.lanes.scripts import Script
from workers.lanes.store import Store
from workers.settings import Budget
from workers.simulator import Simulator, rows
from workers.simulator.exchange import Request
from workers.simulator.hooks import Delivery, Hook
from workers.testing.clock import START, Clock
from workers.turns.account import Terms
from workers.turns.foreign import Stopped
from workers.turns.rounds import Check, Ended, errands, take_round
from workers.turns.steps import Bound, Call, Decide, Decision, Failure, Inner, Step, Steps
from workers.turns.turn import Result, take_turn
from workers.turns.visit import Visit

__all__ = ["ACCOUNT", "BASIC", "BOT", "START", "Crash", "World"]

T = TypeVar("T")

ACCOUNT = "demo"
BASIC = "Basic " + b64encode(b"demo-key:demo-code").decode()
BOT = 7


class Crash(BaseException):
    """The worker died here."""


class World:
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
        self.store = Store(client, lambda: self.now)
        budget = terms.pop("budget", Budget(500, 300, 60.0, 600.0, 1.0, 8))
        self.simulator = simulator or Simulator(self.clock.seconds, **terms.pop("options", {}))
        self.simulator.set_hooks([Hook("http://hook.test/", "key", shape=terms.pop("shape", "flat"))])
        self.governor = Governor(ACCOUNT, budget)
        self.lease = 15_000
        handlers = tuple(Bound(handler) for router in routers for handler in router.handlers)
        self.terms = Terms(
            **{
                "claim": ClaimTerms(ACCOUNT, self.lease, bool(handlers), self.governor.budget, 20_000),
                "governor": self.governor,
                "staff": BOT,
                "site": "https://demo.happyfox.com",
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
        self._post: list[Delivery] = []
        #: Called with each step before it is performed and with its result after; may raise Crash.
        self.before: Callable[[Step | Inner], None] = lambda step: None
        self.after: Callable[[Step | Inner, Any], Any] = lambda step, result: result
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
        return rows.ticket_json(self.simulator.world, self.simulator.world.tickets[number])

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
        return self._played(take_round(self.terms, errands(self.terms.handlers, self.check), self.nonce()))

    def drive(self, held: Held) -> Result:
        """Takes the turn of a claimed lane."""
        return self.run(take_turn(held, self.terms))

    def run(self, turn: Steps[Result]) -> Result:
        """Drives a turn to its end."""
        return self._played(turn)

    def _played(self, turn: Steps[T]) -> T:
        try:
            step = next(turn)
            while True:
                self.before(step)
                try:
                    answer = self.perform(step)
                except (NotNow, LeaseLost) as error:
                    step = turn.throw(error)
                else:
                    step = turn.send(self.after(step, answer))
        except StopIteration as stop:
            ended: T = stop.value
            return ended

    def perform(self, step: Step) -> Any:
        """Performs one step."""
        if isinstance(step, Script):
            return self.store.run(step)
        if isinstance(step, Call):
            return self.answer(step)
        return self.decide(step)

    def answer(self, step: Call) -> Answer | Unsent | InDoubt:
        """Lets the simulator answer a call; what a fault does to the connection is in doubt."""
        asked = step.request
        response = self.simulator.handle(
            Request(
                asked.method,
                BASE + asked.path,
                urlencode(asked.query),
                {"authorization": BASIC, "content-type": "application/json"},
                b"" if asked.body is None else msgspec.json.encode(asked.body),
            )
        )
        if response.cut or response.wait or response.pace:
            return InDoubt("the connection was cut")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.body)

    def _read(self, request: protocol.Request) -> Answer:
        answer = self.answer(Call(request, "", 0))
        if not isinstance(answer, Answer):
            raise answer
        return answer

    def decide(self, step: Decide) -> Decision | Failure:
        """Lets a handler decide; what it does in other systems are steps of their own."""
        handler = step.bound.handler
        log = logging.getLogger(f"handlers.{handler.router}")
        visit = Visit(step, self._inner, self._read, lambda: False, self.terms.site, log)
        try:
            said: Decision | Failure = visit.take()
        except Retry as error:
            said = Failure(error.reason, error.after)
        except GiveUp as error:
            said = Failure(error.reason, final=True)
        except Exception as error:
            said = Failure(type(error).__name__)
        except (NotNow, LeaseLost, Stopped):
            pass
        if isinstance(visit.end, Stopped):
            return visit.end.failure
        if visit.end is not None:
            raise visit.end
        return said

    def _inner(self, step: Inner) -> Any:
        self.before(step)
        return self.after(step, self.store.run(step) if isinstance(step, Script) else step.function())
