"""A help desk for tests: the real engine and store, a simulated HappyFox, and a clock controlled by the test.

    def test_a_vip_is_greeted_once(desk: Desk) -> None:
        desk.use(router)
        desk.crash = True
        number = desk.simulator.create_ticket("sam@bigcorp.example").id
        desk.advance("1m")
        assert desk.notes(number) == ["VIP contact: answer within the hour."]

With ``crash`` the worker crashes at every critical point, and another one continues: after the handlers of a turn have
run, before their plan is stored; and after each write to HappyFox and each call of ``ctx.effect``, before the answer
is received.
"""

import logging
from base64 import b64encode
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from math import ceil
from typing import Any, cast
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
    T,
    as_failure,
)
from workers.plugins.loading import settings_of
from workers.plugins.router import Router
from workers.plugins.state import RouterStore, StoredEntry
from workers.settings import Budget
from workers.simulator import ApiRequest, Hook, Simulator, WebhookDelivery, updates
from workers.store.client import Store
from workers.store.inbox import Acceptance, accept, receive
from workers.store.keys import Keys
from workers.store.lanes import ClaimConfig, ClaimedLane, claim, read_state
from workers.store.permits import Governor
from workers.store.scripts import Script
from workers.tickets.model import TicketRead, read_ticket
from workers.webhook import parse

ACCOUNT = "demo"
BOT = 7
BASIC = "Basic " + b64encode(b"demo-key:demo-code").decode()
SITE = "https://demo.happyfox.com"

#: The time at which the clock starts: a Thursday evening, 2026-05-28 20:26:40 UTC.
START = 1_780_000_000_000

#: The shortest step, in ms, by which time advances while due work must wait.
TICK = 500

#: The scripts that store what a turn decided.
STORING = ("plan", "settle")


class Clock:
    """A clock that a test controls; ``ms`` is Unix time in milliseconds, as in the store."""

    def __init__(self) -> None:
        self.ms = START

    @property
    def now(self) -> datetime:
        """The current time (aware, UTC)."""
        return datetime.fromtimestamp(self.ms / 1000, UTC)

    def seconds(self) -> float:
        """Return Unix time in seconds, as the simulator expects it."""
        return self.ms / 1000

    def advance(self, span: float | str) -> None:
        """Advance the clock by a number of seconds, or by ``"90s"``, ``"10m"``, ``"2h"`` or ``"1d"``."""
        self.ms += int(seconds(span) * 1000)


class Desk:
    """An account with foxhooks running; ``crash`` can be changed at any time."""

    def __init__(self, client: "redis.Redis", clock: Clock, simulator: Simulator) -> None:
        self.clock, self.simulator = clock, simulator
        self.crash = False
        self._deployment = SimulatedDeployment(client, clock=clock, simulator=simulator)
        self._deployment.before, self._deployment.after = self._before, self._after
        self._turn = ""
        self._crashed: set[tuple[str, Hashable]] = set()

    def use(
        self, *routers: Router, settings: Mapping[str, Mapping[str, Any]] | None = None, allow: Iterable[str] = ()
    ) -> None:
        """Run the handlers of these routers, in this order, instead of others.

        ``settings`` has the tables of the settings file by router, ``allow`` the grants, such as `"vip:reply"`.
        """
        values = {router.name: settings_of(router, (settings or {}).get(router.name, {})) for router in routers}
        config = self._deployment.config
        self._deployment.config = replace(
            config,
            claim=replace(config.claim, read=True),
            handlers=tuple(Bound(each, values[router.name]) for router in routers for each in router.handlers),
            allow=frozenset((router, permission) for router, _, permission in (one.partition(":") for one in allow)),
        )

    @property
    def now(self) -> datetime:
        """The current time (aware, UTC)."""
        return self.clock.now

    def advance(self, span: float | str) -> None:
        """Advance the time, for example by ``"90s"`` or ``"2h"``, and do all work that becomes due."""
        end = self.clock.ms + int(seconds(span) * 1000)
        self._work()
        while self.clock.ms < end and (due := self._due()) is not None and due <= end:
            self.clock.ms = min(end, max(due, self.clock.ms + TICK))
            self._work()
        self.clock.ms = end

    def ticket(self, number: int) -> TicketRead:
        """Read the current ticket as a handler would see it."""
        return read_ticket(dict(self._deployment.ticket(number)), self._deployment.config.site)

    def store(self, router: str) -> RouterStore:
        """Return what a router remembers, to read it; changes of the test itself are not stored."""

        def read(entry: str) -> StoredEntry:
            found = self._deployment.store.run(read_state(ACCOUNT, f"{router}:{entry}"))
            return StoredEntry(found)

        return RouterStore(read, [], lambda: self.now)

    def notes(self, number: int) -> list[str]:
        """Return the texts of the private notes that foxhooks wrote on a ticket, oldest first."""
        return self._messages(number, private=True)

    def replies(self, number: int) -> list[str]:
        """Return the texts of the replies that foxhooks wrote to the contact, oldest first."""
        return self._messages(number, private=False)

    def _messages(self, number: int, *, private: bool) -> list[str]:
        own = [each for each in self.ticket(number).history if each.author == "staff" and each.author_id == BOT]
        return [each.message.text.strip() for each in own if each.message and each.message.private == private]

    def _work(self) -> None:
        self._deployment.deliver()
        self._deployment.run_tasks()
        for lane in iter(self._deployment.claim, None):
            self._turn = lane.turn
            try:
                self._deployment.drive(lane)
            except Crash:
                continue
            self._deployment.deliver()

    def _due(self) -> int | None:
        """Return the time in ms at which the next work is due."""
        key = Keys(ACCOUNT).schedule
        lanes = cast(list[tuple[bytes, float]], self._deployment.client.zrange(key, 0, 0, withscores=True))
        times = [int(due) for _, due in lanes] + [ceil(delivery.due * 1000) for delivery in self._deployment.queued()]
        if (task := self._deployment.run_next_task()).wait > 0:
            times.append(self.clock.ms + task.wait)
        return min(times, default=None)

    def _before(self, step: Step | Inner) -> None:
        if isinstance(step, Script) and step.name in STORING:
            self._crash(step.name)

    def _after(self, step: Step | Inner, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method != "GET":
            self._crash((step.request.path, msgspec.json.encode(step.request.body)))
        if isinstance(step, ExternalCall):
            self._crash(("external", step.name))
        return result

    def _crash(self, where: Hashable) -> None:
        """Crash the worker at this point, once per turn."""
        if self.crash and (self._turn, where) not in self._crashed:
            self._crashed.add((self._turn, where))
            raise Crash


class Crash(BaseException):
    """The worker crashes."""


class SimulatedDeployment:
    """One account on a virtual clock (``now``, in ms): a real store, no sockets and no threads."""

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
        #: Called before each step, and after it with its result; either may raise ``Crash``.
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
        #: The check of the account's names, which runs as a periodic task.
        self.check: Check | None = None
        self._queued: list[WebhookDelivery] = []
        client.set(Keys(ACCOUNT).store_epoch, self.now)

    @property
    def now(self) -> int:
        """The current time in ms."""
        return self.clock.ms

    @now.setter
    def now(self, ms: int) -> None:
        self.clock.ms = ms

    def deliver(self) -> list[Acceptance]:
        """Deliver every webhook that is due to the inbox."""
        ready = [delivery for delivery in self.queued() if delivery.due * 1000 <= self.now]
        self._queued = [delivery for delivery in self._queued if delivery.due * 1000 > self.now]
        return [accepted for delivery in ready for accepted in self.receive(delivery.body)]

    def queued(self) -> list[WebhookDelivery]:
        """Return the webhooks that HappyFox has not sent yet."""
        self._queued += self.simulator.take_deliveries()
        return self._queued

    def receive(self, body: bytes) -> list[Acceptance]:
        """Accept one delivery into the inbox."""
        return self.store.run(accept(ACCOUNT, [receive(parse(body), body)], keep=604_800))

    def ticket(self, number: int) -> Mapping[str, Any]:
        """Return a ticket as the API does, without counting a call."""
        return updates.ticket_json(self.simulator.account, self.simulator.account.tickets[number])

    def nonce(self) -> str:
        self._nonce += 1
        return f"n{self._nonce}"

    def claim(self) -> ClaimedLane | None:
        claimed = self.store.run(claim(self.config.claim, self.nonce()))
        return claimed if isinstance(claimed, ClaimedLane) else None

    def work(self) -> list[TurnResult]:
        """Work on everything that is due now, one lane after another."""
        return [self.drive(lane) for lane in iter(self.claim, None)]

    def settle_down(self, most: int = 1_800_000, step: int = 500) -> list[TurnResult]:
        """Advance the time, deliver and work until nothing is left to do, for at most ``most`` ms."""
        results = self.work()
        end = self.now + most
        while self.now < end and (self.client.zcard(Keys(ACCOUNT).schedule) or self.queued()):
            self.now += step
            self.deliver()
            results += self.work()
        return results

    def run_tasks(self) -> list[TaskResult]:
        """Run all periodic tasks that are due."""
        return list(takewhile(lambda result: result.name, iter(self.run_next_task, None)))

    def run_next_task(self) -> TaskResult:
        """Run the task that has been due longest, if any."""
        return self.play(run_due_task(self.config, periodic_tasks(self.config.handlers, self.check), self.nonce()))

    def drive(self, lane: ClaimedLane) -> TurnResult:
        return self.play(take_turn(lane, self.config))

    def play(self, turn: Steps[T]) -> T:
        """Run a generator of steps to its end and return its result."""

        def perform(step: Step) -> Any:
            self.before(step)
            return self.after(step, self.perform(step))

        return drive(turn, perform)

    def perform(self, step: Step) -> Any:
        if isinstance(step, Script):
            return self.store.run(step)
        if isinstance(step, Call):
            return self.answer(step)
        return self.decide(step)

    def answer(self, step: Call) -> Answer | Unsent | InDoubt:
        """Send a call to the simulator; a connection fault leaves it in doubt."""
        request = step.request
        response = self.simulator.handle(
            ApiRequest(
                request.method,
                BASE + request.path,
                query=urlencode(request.query),
                headers={"authorization": BASIC, "content-type": "application/json"},
                body=b"" if request.body is None else msgspec.json.encode(request.body),
            )
        )
        if response.cut or response.wait or response.pace:
            return InDoubt("the connection was cut")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.body)

    def _read(self, request: messages.Request) -> Answer:
        answer = self.answer(Call(request, "", 0))
        if isinstance(answer, Answer):
            return answer
        raise answer

    def decide(self, step: Decide) -> Decision | Failure:
        """Run a handler; its effects in other systems are separate steps."""
        handler = step.bound.handler
        log = logging.getLogger(f"handlers.{handler.router}")
        invocation = Invocation(step, self._inner, self._read, lambda: False, SITE, log)
        try:
            answer: Decision | Failure = invocation.run()
        except (Retry, GiveUp) as error:
            answer = as_failure(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as in a worker, which survives any error of a handler
            answer = Failure(type(error).__name__)
        except (NotNow, LeaseLost, Stopped):
            pass
        if isinstance(invocation.end, Stopped):
            return invocation.end.failure
        if invocation.end is not None:
            raise invocation.end
        return answer

    def _inner(self, step: Inner) -> Any:
        self.before(step)
        return self.after(step, self.store.run(step) if isinstance(step, Script) else step.function())
