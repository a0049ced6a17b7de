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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from math import ceil
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

import msgspec
import redis

from workers.engine.context import AccountConfig
from workers.engine.schedules import Check, TaskResult, periodic_tasks, run_due_task
from workers.engine.steps import Call, CallOutcome, Download, Step, Steps, drive
from workers.engine.turn import TurnResult, take_turn
from workers.errors import InDoubt, LeaseLost, NotNow, Retry, Unfit, Unsendable, seconds, suggest
from workers.happyfox import messages
from workers.happyfox.http import encoded
from workers.happyfox.messages import BASE, Answer
from workers.logs import HandlerLog
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
    describe_failure,
)
from workers.plugins.jobs import connect, run_waiting
from workers.plugins.loading import settings_of
from workers.plugins.router import Router
from workers.plugins.state import RouterStore, StoredEntry
from workers.settings import Budget
from workers.simulator import ApiRequest, Hook, Simulator, WebhookDelivery, updates
from workers.store.client import Store
from workers.store.inbox import Acceptance, Arrival, accept, receive, receive_hook
from workers.store.keys import Keys
from workers.store.lanes import ClaimConfig, ClaimedLane, claim, read_state
from workers.store.permits import Governor
from workers.store.records import AccountRecords, DeadLetterEntry
from workers.store.scripts import Script
from workers.testing.handlers import checked_grants, moment
from workers.tickets.model import TicketRead, read_ticket
from workers.webhook import parse
from workers.webhook.hooks import read_hook

ACCOUNT = "demo"
BOT = 7
BASIC = "Basic " + b64encode(b"demo-key:demo-code").decode()
SITE = "https://demo.happyfox.com"

#: The time at which the clock starts: a Thursday evening, 2026-05-28 20:26:40 UTC.
START = 1_780_000_000_000

#: The shortest step, in ms, by which time advances while due work must wait.
TICK = 500

#: How a test expects a failure.
EXPECT = "expect it with `with desk.failing():`"

#: The scripts that store what a turn decided.
STORING = ("plan", "settle")


class Clock:
    """A clock that a test controls; ``ms`` is Unix time in milliseconds, as in the store."""

    def __init__(self, start: datetime | None = None) -> None:
        self.ms = START if start is None else int(start.timestamp() * 1000)

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


class HandlerError(NamedTuple):
    """What a handler raised."""

    handler: str
    ticket: int
    error: BaseException


class LogLine(NamedTuple):
    """A line that a handler logged."""

    level: str
    """In lower case: ``info``."""
    message: str
    fields: Mapping[str, Any]


class DeskLog(HandlerLog):
    """A handler's log that also keeps its lines for the test."""

    def __init__(self, router: str, lines: list[LogLine], **place: object) -> None:
        super().__init__(router, **place)
        self._lines = lines

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Keep a line, whatever the level of the logger is, and log it."""
        message, options = self.process(msg, {**kwargs})
        text = str(message) % args if args else str(message)
        self._lines.append(LogLine(logging.getLevelName(level).lower(), text, options["extra"]["fields"]))
        super().log(level, msg, *args, **kwargs)


class Desk:
    """An account with foxhooks running; ``crash`` can be changed at any time.

    A handler that fails, and any dead letter, fails the test: unless the test expects it with ``failing``.
    """

    def __init__(self, client: "redis.Redis", clock: Clock, simulator: Simulator) -> None:
        self.clock, self.simulator = clock, simulator
        self.crash = False
        self._deployment = SimulatedDeployment(client, clock=clock, simulator=simulator)
        self._deployment.before, self._deployment.after = self._before, self._after
        connect(self._deployment.post)
        self._turn = ""
        self._examined = 0
        self._known_dead: set[str] = set()
        self._expected: tuple[type[Exception], ...] | None = None
        self._crashed: set[tuple[str, Hashable]] = set()

    def use(
        self, *routers: Router, settings: Mapping[str, Mapping[str, Any]] | None = None, allow: Iterable[str] = ()
    ) -> None:
        """Run the handlers of these routers, in this order, instead of others.

        ``settings`` has the tables of the settings file by router, ``allow`` the grants, such as `"vip:reply"`.
        """
        names = [router.name for router in routers]
        for other in sorted(set(settings or {}) - set(names)):
            raise ValueError(f"settings has {other!r}, which is not a router here; {suggest(other, names)}")
        values = {router.name: settings_of(router, (settings or {}).get(router.name, {})) for router in routers}
        granted = checked_grants(allow, names)
        config = self._deployment.config
        self._deployment.config = replace(
            config,
            claim=replace(config.claim, read=True),
            handlers=tuple(Bound(each, values[router.name]) for router in routers for each in router.handlers),
            allow=granted,
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

    def at(self, time: datetime | str) -> None:
        """Advance to a time: ``"09:30"`` is the next one in UTC, ``"2026-03-02 09:30"`` may have a zone after it."""
        end = moment(time, self.now)
        if end < self.now:
            raise ValueError(f"{time!r} is in the past: it is {self.now:%Y-%m-%d %H:%M} UTC; the clock only advances")
        self.advance((end - self.now).total_seconds())

    @contextmanager
    def failing(self, *kinds: type[Exception]) -> Iterator[None]:
        """Expect failures in this block: exceptions of these kinds, or any; fail if there is none."""
        before, self._expected = self._expected, kinds or (Exception,)
        count, dead = len(self._deployment.failures), len(self.dead)
        try:
            yield
        finally:
            self._expected = before
        if len(self._deployment.failures) == count and len(self.dead) == dead:
            raise AssertionError("no handler failed in this block; leave out desk.failing, or correct the test")

    @property
    def dead(self) -> list[DeadLetterEntry]:
        """The dead letters, oldest first; each has ``ticket``, ``handler``, ``reason`` and ``evidence``."""
        return sorted(self._records.dead_letters(), key=lambda entry: (entry.at, entry.id))

    @property
    def log(self) -> list[LogLine]:
        """What handlers logged, oldest first; a crash of the worker repeats lines."""
        return list(self._deployment.logged)

    def explain(self, number: int | None = None) -> str:
        """Return the history of a ticket, or of all, line by line: what happened, which handlers ran or why not."""
        numbers = sorted(self.simulator.account.tickets) if number is None else [number]
        lines = []
        for each in numbers:
            lines += [f"ticket {each}", *(f"  {line.text}" for line in self._records.history(each))]
        return "\n".join(lines)

    def hook(self, router: str, name: str, ticket: int, **data: Any) -> None:
        """Send JSON data about a ticket to a hook of a router, as another system would."""
        self._deployment.call_hook(router, name, ticket, data)

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

    @property
    def _records(self) -> AccountRecords:
        return AccountRecords(self._deployment.client, ACCOUNT)

    def _raise_failure(self) -> None:
        """Raise what a handler raised, or an AssertionError for a dead letter, unless the test expects it."""
        new, self._examined = self._deployment.failures[self._examined :], len(self._deployment.failures)
        letters = [entry for entry in self.dead if entry.id not in self._known_dead]
        self._known_dead.update(entry.id for entry in letters)
        for failure in new:
            if not (self._expected and isinstance(failure.error, self._expected)):
                failure.error.add_note(f"raised by {failure.handler} on ticket {failure.ticket}; {EXPECT}")
                raise failure.error
        if letters and self._expected is None:
            first = letters[0]
            raise AssertionError(f"dead letter of ticket {first.ticket}: {first.handler}: {first.reason}; {EXPECT}")

    def _work(self) -> None:
        self._deployment.deliver()
        self._deployment.run_tasks()
        for lane in iter(self._deployment.claim, None):
            self._turn = lane.turn
            try:
                self._deployment.drive(lane)
            except Crash:
                continue
            run_waiting()
            self._deployment.deliver()
            self._raise_failure()

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
        #: What handlers raised, without ``Retry``, and what they logged.
        self.failures: list[HandlerError] = []
        self.logged: list[LogLine] = []
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

    def post(self, account: str, arrival: Arrival) -> None:
        """Store what a job sends to a ticket."""
        if account != ACCOUNT:
            raise ValueError(f"router.post: no account {account!r}; pass event.account")
        self.store.run(accept(ACCOUNT, [arrival], keep=604_800))

    def call_hook(self, router: str, name: str, ticket: int, data: Mapping[str, Any]) -> list[Acceptance]:
        """Accept one call of another system into the inbox."""
        body = msgspec.json.encode({"ticket": ticket, **data})
        arrival = receive_hook(read_hook(body)[0], router, name, body)
        return self.store.run(accept(ACCOUNT, [arrival], keep=604_800))

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
        tasks = periodic_tasks(self.config.handlers, self.check, sweep=self.config.sweep)
        return self.play(run_due_task(self.config, tasks, self.nonce()))

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
        if isinstance(step, Download):
            return self.download(step)
        return self.decide(step)

    def download(self, step: Download) -> bytes | None:
        """Read an attachment from the simulator."""
        link = urlsplit(step.link)
        response = self.simulator.handle(ApiRequest("GET", link.path, query=link.query, headers={}, body=b""))
        return response.body if response.status == 200 else None

    def answer(self, step: Call) -> CallOutcome:
        """Send a call to the simulator; a connection fault leaves it in doubt."""
        request = step.request
        try:
            with encoded(request, SITE + BASE, {}) as sent:
                kind, body = sent.headers.get("content-type", "application/json"), sent.read()
        except Unfit as error:
            return Unsendable(str(error))
        response = self.simulator.handle(
            ApiRequest(
                request.method,
                BASE + request.path,
                query=urlencode(request.query, doseq=True),
                headers={"authorization": BASIC, "content-type": kind},
                body=body,
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
        place = {"account": ACCOUNT, "ticket": step.ticket.id, "handler": handler.name}
        log = DeskLog(handler.router, self.logged, **place)
        invocation = Invocation(step, self._inner, self._read, lambda: False, SITE, log)
        try:
            answer: Decision | Failure = invocation.run()
        except Retry as error:
            answer = as_failure(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as in a worker, which survives any error of a handler
            self.failures.append(HandlerError(handler.name, step.ticket.id, error))
            answer = describe_failure(error, handler)
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
