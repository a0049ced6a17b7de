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

import logging
from base64 import b64encode
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import msgspec
import redis

from workers.engine.context import AccountConfig
from workers.engine.schedules import Check, TaskResult, periodic_tasks, run_due_task
from workers.engine.steps import Call, Step, Steps, drive
from workers.engine.turn import TurnResult, take_turn
from workers.errors import GiveUp, InDoubt, LeaseLost, NotNow, Retry, Unsent, seconds
from workers.happyfox import messages
from workers.happyfox.messages import BASE, Answer
from workers.plugins.invoke import (
    Bound,
    Decide,
    Decision,
    ExternalCall,
    Failure,
    Inner,
    Invocation,
    Stopped,
    as_failure,
)
from workers.plugins.loading import settings_of
from workers.plugins.router import Router
from workers.settings import Budget
from workers.simulator import ApiRequest, Hook, Simulator, WebhookDelivery, updates
from workers.store.client import Store
from workers.store.inbox import Acceptance, accept, receive
from workers.store.keys import Keys
from workers.store.lanes import ClaimConfig, ClaimedLane, claim
from workers.store.permits import Governor
from workers.store.scripts import Script
from workers.tickets.model import TicketRead, read_ticket
from workers.webhook import parse

T = TypeVar("T")

ACCOUNT = "demo"
BOT = 7
BASIC = "Basic " + b64encode(b"demo-key:demo-code").decode()
SITE = "https://demo.happyfox.com"

#: Where it begins: a Thursday evening, 2026-05-28 20:26:40 UTC.
START = 1_780_000_000_000

#: The shortest step (ms) by which time passes while something is due that cannot be done yet.
TICK = 500

#: The scripts that end what a turn decided; until then nothing of it is stored.
STORING = ("plan", "settle")


class Clock:
    """A clock that a test moves; ``ms`` counts from 1970, as the store does."""

    def __init__(self) -> None:
        self.ms = START

    @property
    def now(self) -> datetime:
        """The time it shows (aware, UTC)."""
        return datetime.fromtimestamp(self.ms / 1000, UTC)

    def seconds(self) -> float:
        """Return epoch seconds, as the simulator wants them."""
        return self.ms / 1000

    def advance(self, span: float | str) -> None:
        """Move it on by a number of seconds, or by ``"90s"``, ``"10m"``, ``"2h"``, ``"1d"``."""
        self.ms += int(seconds(span) * 1000)


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
        config = self._world.config
        self._world.config = replace(
            config,
            claim=replace(config.claim, read=True),
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
        """Read a ticket as it is now, as a handler would see it."""
        return read_ticket(dict(self._world.ticket(number)), self._world.config.site)

    def notes(self, number: int) -> list[str]:
        """Return the texts of the private notes that foxhooks wrote on a ticket, oldest first."""
        return self._said(number, private=True)

    def replies(self, number: int) -> list[str]:
        """Return the texts of the answers that foxhooks wrote to the contact, oldest first."""
        return self._said(number, private=False)

    def _said(self, number: int, *, private: bool) -> list[str]:
        updates = [
            update for update in self.ticket(number).history if update.author == "staff" and update.author_id == BOT
        ]
        return [
            update.message.text.strip() for update in updates if update.message and update.message.private == private
        ]

    def _work(self) -> None:
        self._world.deliver()
        self._world.rounds()
        while (lane := self._world.claim()) is not None:
            self._turn = lane.turn
            try:
                self._world.drive(lane)
            except Crash:
                continue
            self._world.deliver()

    def _due(self) -> int | None:
        """The time (ms) at which there is something to do next."""
        key = Keys(ACCOUNT).schedule
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
        if isinstance(step, ExternalCall):
            self._die(("outside", step.name))
        return result

    def _die(self, where: Hashable) -> None:
        """Ends the worker here, once in each turn."""
        if self.crash and (self._turn, where) not in self._died:
            self._died.add((self._turn, where))
            raise Crash


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
        **config: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.client = client
        budget = config.pop("budget", Budget(500, 300, 60.0, 600.0, 1.0, 8))
        self.simulator = simulator or Simulator(self.clock.seconds, **config.pop("options", {}))
        self.store = Store(client, lambda: self.now)
        #: Called with each step before it, and with its result after it; either may raise ``Crash``.
        self.before: Callable[[Step | Inner], None] = lambda _: None
        self.after: Callable[[Step | Inner, Any], Any] = lambda _, result: result
        self.simulator.set_hooks([Hook("http://hook.test/", "key", shape=config.pop("shape", "flat"))])
        self.governor = Governor(ACCOUNT, budget)
        self.lease = 15_000
        handlers = tuple(Bound(handler) for router in routers for handler in router.handlers)
        self.config = AccountConfig(
            **{
                "claim": ClaimConfig(ACCOUNT, self.lease, bool(handlers), self.governor.budget, 20_000),
                "governor": self.governor,
                "staff_id": BOT,
                "site": SITE,
                "handlers": handlers,
                "allow": frozenset((router.name, "reply") for router in routers),
                "dry_run": False,
                "loop_guard": 20,
                "call_ms": 20_000,
                "doubt_ms": 30_000,
                "record_ttl": 3_600_000,
                "clock": lambda: self.now,
                **config,
            }
        )
        self._nonce = 0
        #: What a round makes of the account's names.
        self.check: Check | None = None
        self._post: list[WebhookDelivery] = []
        client.set(Keys(ACCOUNT).store_epoch, self.now)

    @property
    def now(self) -> int:
        """The time in ms."""
        return self.clock.ms

    @now.setter
    def now(self, ms: int) -> None:
        self.clock.ms = ms

    # -- HappyFox's side

    def deliver(self) -> list[Acceptance]:
        """Take every webhook that HappyFox has to send by now into the inbox."""
        self._post += self.simulator.take_deliveries()
        ready = [delivery for delivery in self._post if delivery.due * 1000 <= self.now]
        self._post = [delivery for delivery in self._post if delivery.due * 1000 > self.now]
        return [taken for delivery in ready for taken in self.receive(delivery.body)]

    def posted(self) -> list[int]:
        """Return the times (ms) at which HappyFox sends the webhooks that wait to be sent."""
        self._post += self.simulator.take_deliveries()
        return [ceil(delivery.due * 1000) for delivery in self._post]

    def receive(self, body: bytes) -> list[Acceptance]:
        """Take one delivery into the inbox."""
        return self.store.run(accept(ACCOUNT, [receive(parse(body), body)], keep=604_800))

    def ticket(self, number: int) -> Mapping[str, Any]:
        """Read a ticket as the API shows it, without a call being counted."""
        return updates.ticket_json(self.simulator.account, self.simulator.account.tickets[number])

    # -- the worker's side

    def nonce(self) -> str:
        """Return a nonce that no claim has had."""
        self._nonce += 1
        return f"n{self._nonce}"

    def claim(self) -> ClaimedLane | None:
        """Claim the next due lane."""
        got = self.store.run(claim(self.config.claim, self.nonce()))
        return got if isinstance(got, ClaimedLane) else None

    def work(self) -> list[TurnResult]:
        """Works everything that is due now, one lane after another."""
        results: list[TurnResult] = []
        while (lane := self.claim()) is not None:
            results.append(self.drive(lane))
        return results

    def settle_down(self, most: int = 1_800_000, step: int = 500) -> list[TurnResult]:
        """Lets time pass, delivers and works until nothing is left to do, for ``most`` ms at the most."""
        results = self.work()
        end = self.now + most
        while self.now < end and (self.client.zcard(Keys(ACCOUNT).schedule) or self._post):
            self.now += step
            self.deliver()
            results += self.work()
            self._post += self.simulator.take_deliveries()
        return results

    def rounds(self) -> list[TaskResult]:
        """Take every round that is due: schedules search, and the tickets found get their events."""
        ends: list[TaskResult] = []
        while (ended := self.round()).name:
            ends.append(ended)
        return ends

    def round(self) -> TaskResult:
        """Take the round that is due longest, if one is."""
        return self.play(run_due_task(self.config, periodic_tasks(self.config.handlers, self.check), self.nonce()))

    def drive(self, lane: ClaimedLane) -> TurnResult:
        """Take the turn of a claimed lane."""
        return self.run(take_turn(lane, self.config))

    def run(self, turn: Steps[TurnResult]) -> TurnResult:
        """Run a turn to its end."""
        return self.play(turn)

    def play(self, turn: Steps[T]) -> T:
        """Drive a generator of steps to its end and return its result."""

        def perform(step: Step) -> Any:
            self.before(step)
            return self.after(step, self.perform(step))

        return drive(turn, perform)

    def perform(self, step: Step) -> Any:
        """Perform one step."""
        if isinstance(step, Script):
            return self.store.run(step)
        if isinstance(step, Call):
            return self.answer(step)
        return self.decide(step)

    def answer(self, step: Call) -> Answer | Unsent | InDoubt:
        """Lets the simulator answer a call; what a fault does to the connection is in doubt."""
        asked = step.request
        response = self.simulator.handle(
            ApiRequest(
                asked.method,
                BASE + asked.path,
                query=urlencode(asked.query),
                headers={"authorization": BASIC, "content-type": "application/json"},
                body=b"" if asked.body is None else msgspec.json.encode(asked.body),
            )
        )
        if response.cut or response.wait or response.pace:
            return InDoubt("the connection was cut")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.body)

    def _read(self, request: messages.Request) -> Answer:
        answer = self.answer(Call(request, "", 0))
        if not isinstance(answer, Answer):
            raise answer
        return answer

    def decide(self, step: Decide) -> Decision | Failure:
        """Lets a handler decide; what it does in other systems are steps of their own."""
        handler = step.bound.handler
        log = logging.getLogger(f"handlers.{handler.router}")
        invocation = Invocation(step, self._inner, self._read, lambda: False, SITE, log)
        try:
            said: Decision | Failure = invocation.run()
        except (Retry, GiveUp) as error:
            said = as_failure(error)
        except (Exception, SystemExit) as error:
            said = Failure(type(error).__name__)
        except (NotNow, LeaseLost, Stopped):
            pass
        if isinstance(invocation.end, Stopped):
            return invocation.end.failure
        if invocation.end is not None:
            raise invocation.end
        return said

    def _inner(self, step: Inner) -> Any:
        self.before(step)
        return self.after(step, self.store.run(step) if isinstance(step, Script) else step.function())
