"""One run of a handler: what it finds in ``ctx``, and what must not be forgotten even if the handler swallows it."""

import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from workers.errors import GiveUp, InvalidAction, LeaseLost, NotNow, Retry, StoreUnavailable
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request
from workers.plugins.actions import Action, AnyAction, recording
from workers.plugins.context import Context, EffectRequest
from workers.plugins.router import Handler
from workers.store.scripts import Script
from workers.tickets.change import Event
from workers.tickets.model import TicketRead

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bound:
    """A handler with its router's settings."""

    handler: Handler
    settings: Any = None

    @property
    def name(self) -> str:
        """The handler's full name."""
        return self.handler.name


@dataclass(frozen=True, slots=True)
class ExternalCall:
    """A function of the handler's author that speaks to another system; what it gives or raises is sent back.

    It runs in the handler's thread and under its limit, and only while the lease is held. ``name`` is the effect's.
    """

    name: str
    function: Callable[[], Any]


#: What a handler's effect in another system is made of.
Inner = Script[Any] | ExternalCall

InnerSteps = Generator[Inner, Any, T]


@dataclass(frozen=True, slots=True)
class Decide:
    """One run of a handler, for one turn; ``effect`` runs an effect now, by performing its steps with a function."""

    bound: Bound
    ticket: TicketRead
    event: Event
    now: datetime
    attempt: int
    effect: Callable[[EffectRequest, Callable[[Inner], Any]], Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """A handler ran: what it wants, or why its ``when`` kept it from running."""

    actions: tuple[AnyAction, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler failed: ``after`` is the wait in seconds it asked for, ``final`` that no retry will help."""

    error: str
    after: float | None = None
    final: bool = False


class Stopped(BaseException):
    """The handler's run is over with this failure, whatever the handler makes of the exception."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


#: How much a handler may want in one run, in bytes as stored: the plan is one value of the store.
LARGEST = 5_000_000


def refusal(handler: Handler, ticket: TicketRead, event: Event, now: datetime, settings: object = None) -> str:
    """Return why the handler's `when` does not hold, empty when it does; `event` is already of a kind it asked for.

    `when` is given the ticket without the methods that record intents: it looks, the handler decides. `settings` are
    the router's.
    """
    if handler.every is not None and event.kind == "scheduled" and (reason := handler.every.refusal(ticket, now)):
        return reason
    if handler.ask is not None:
        return handler.ask(ticket, event, now)
    if handler.when is None:
        return ""
    given = {"ticket": ticket, "event": event, "now": now, "settings": settings}
    lane = handler.when(**{name: given[name] for name in handler.when_takes})
    if lane:
        return ""
    return str(getattr(lane, "reason", "")) or "its `when` does not hold"


def decide(handler: Handler, ticket: TicketRead, event: Event, context: Context) -> tuple[AnyAction, ...]:
    """Call the handler with a ticket of its own and gives what it recorded, in order.

    Raise what the handler raises, and GiveUp when it returns anything but None, for it would do so again.
    """
    context.actions.clear()
    recorder = recording(ticket, context.actions)
    given = {"ticket": recorder, "event": event, "ctx": replace(context, timers=handler.receives)}
    function: Callable[..., object] = handler.decide
    returned = function(**{name: given[name] for name in handler.takes})
    if returned is not None:
        if hasattr(returned, "close"):
            returned.close()  # a coroutine complains when it is thrown away unawaited
        raise GiveUp(
            f"{handler.name} returned a {type(returned).__name__}; a handler returns None: record actions on the ticket"
        )
    return _storable(recorder.actions)


def _storable(actions: Sequence[AnyAction]) -> tuple[AnyAction, ...]:
    """Return what was recorded; a value that no plan can hold is this handler's mistake, and must not end the turn."""
    if not all(isinstance(action, Action) for action in actions):
        raise InvalidAction("something that is no action was recorded: use the methods of the ticket")
    try:
        size = len(msgspec.json.encode(actions))
    except UnicodeEncodeError:
        raise InvalidAction("a text with half a character in it (a surrogate) cannot be sent") from None
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise InvalidAction("a value cannot be sent: give texts, numbers, dates, or lists of them") from None
    if size > LARGEST:
        raise InvalidAction(f"{size} bytes wanted in one run of a handler: {LARGEST} are the most")
    return tuple(actions)


#: What ends a run for good, however its handler takes it.
ENDS = (NotNow, LeaseLost, Stopped)

#: How many characters of the reason that a handler gives are kept: it stands in trails and letters.
REASON = 1_000


class Invocation:
    """One run of a handler for the step that asks for it.

    ``perform`` performs the steps of an effect, ``read`` a read of the handler's own, ``stopped`` tells that no effect
    may be begun any more. ``end`` is what ended the run from inside: the driver raises it again, whatever the handler
    made of it.
    """

    def __init__(
        self,
        step: Decide,
        perform: Callable[[Inner], Any],
        read: Callable[[Request], Answer],
        stopped: Callable[[], bool],
        site: str,
        log: Any,
    ) -> None:
        self._step, self._perform, self._read, self._stopped = step, perform, read, stopped
        self._actions: list[AnyAction] = []
        self._context = Context(
            ticket=step.ticket.id,
            now=step.now,
            settings=step.bound.settings,
            log=log,
            happyfox=Client(self.read, reads_only=True, site=site),
            actions=self._actions,
            act=self.effect,
        )
        self.end: BaseException | None = None
        self._over = False

    def take(self) -> Decision:
        """Asks the handler; raises what it raises."""
        step = self._step
        try:
            if reason := refusal(step.bound.handler, step.ticket, step.event, step.now, step.bound.settings):
                return Decision((), reason)
            return Decision(decide(step.bound.handler, step.ticket, step.event, self._context))
        finally:
            self._over = True

    def read(self, request: Request) -> Answer:
        """Make a read for the handler; one that there is no permit for ends the run."""
        self._check()
        try:
            return self._read(request)
        except ENDS as error:
            self.end = error
            raise

    def effect(self, wanted: EffectRequest) -> Any:
        """Brings an effect of the handler's to its end and gives its value."""
        self._check()
        try:
            if self._stopped():
                raise NotNow(0, "the worker ends")
            return self._step.effect(wanted, self._perform_inner)
        except ENDS as error:
            self.end = error
            raise

    def _perform_inner(self, step: Inner) -> Any:
        try:
            return self._perform(step)
        except StoreUnavailable as error:
            if isinstance(step, Script):
                # Nobody knows what is in the journal now: the turn starts again from there.
                self.end = error
            raise

    def _check(self) -> None:
        if self.end is not None:
            raise self.end
        if self._over:
            raise RuntimeError("this ctx is over: a handler may use it only until it returns")


def stated(error: Retry | GiveUp) -> Failure:
    """Make a failure of what a handler raised on purpose. Its author may have put anything into a class of his own."""
    said = getattr(error, "reason", None)
    words = str(type(error).__name__ if said is None else said).encode("utf-8", "replace").decode()
    reason = words if len(words) <= REASON else f"{words[:REASON]}…"
    if isinstance(error, GiveUp):
        return Failure(reason, final=True)
    try:
        return Failure(reason, Retry(reason, getattr(error, "after", None)).after)
    except InvalidAction as wrong:
        return Failure(wrong.reason, final=True)


def place(error: BaseException, handler: Handler) -> str:
    """Name the line that failed, as in ` at vip.py:12`: the handler's own, if one of its file was under way."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if frame.filename == getattr(handler.decide, "__code__", place.__code__).co_filename
    ]
    return next((f" at {PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(own or frames)), "")
