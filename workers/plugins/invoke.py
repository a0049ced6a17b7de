"""Call a handler: check its ``when``, collect its actions, and turn what it raises into a failure."""

import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any, TypeVar

import msgspec

from workers.errors import GiveUp, InvalidAction, LeaseLost, NotNow, Retry, StoreUnavailable
from workers.happyfox.base import IN_HANDLER
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request
from workers.logs import plugin_frames
from workers.plugins.actions import Action, AnyAction, recording
from workers.plugins.context import Context, EffectRequest
from workers.plugins.router import Handler
from workers.plugins.state import RouterStore, StateRead, StoredEntry
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
    """A call to another system, in the handler's thread and time limit, and only while the lease is held."""

    name: str
    """The name of the effect."""
    function: Callable[[], Any]


#: The steps of an effect in another system.
Inner = Script[Any] | ExternalCall

InnerSteps = Generator[Inner, Any, T]


@dataclass(frozen=True, slots=True)
class Decide:
    """The step that runs a handler in one turn."""

    bound: Bound
    ticket: TicketRead
    event: Event
    now: datetime
    attempt: int
    effect: Callable[[EffectRequest, Callable[[Inner], Any]], Any]
    """Run an effect now, performing its steps with the given function."""
    read_state: Callable[[str, Callable[[Inner], Any]], StoredEntry]
    """Read an entry of the router's state in the same way."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of a handler that did not fail."""

    actions: tuple[AnyAction, ...]
    skipped: str = ""
    """Why the handler did not run, or an empty string."""
    seen: tuple[StateRead, ...] = ()
    """What it has read of its router's state."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a handler."""

    error: str
    after: float | None = None
    """The wait before a retry that the handler asked for, in seconds."""
    final: bool = False
    """Whether a retry cannot help."""
    traceback: tuple[str, ...] = ()
    """Where the plug-in's code was, outermost first: files, lines and functions, but no values."""


class Stopped(BaseException):
    """End the handler's run with this failure, even if the handler swallows the exception."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


#: The largest total of one run's actions as stored, in bytes: the plan is one value in the store.
MAX_ACTIONS_SIZE = 5_000_000


def refusal(handler: Handler, ticket: TicketRead, event: Event, now: datetime, settings: object = None) -> str:
    """Return why the handler's `when` rejects an event of a kind it asked for, or an empty string.

    `when` gets the ticket without the methods that record actions: only the handler decides.
    """
    if handler.every is not None and event.kind == "scheduled" and (reason := handler.every.refusal(ticket, now)):
        return reason
    if handler.ask is not None:
        return handler.ask(ticket, event, now)
    if handler.when is None:
        return ""
    values = {"ticket": ticket, "event": event, "now": now, "settings": settings}
    result = handler.when(**{name: values[name] for name in handler.when_parameters})
    return "" if result else str(getattr(result, "reason", "")) or "its `when` does not hold"


def decide(handler: Handler, ticket: TicketRead, event: Event, context: Context) -> tuple[AnyAction, ...]:
    """Call the handler with its own ticket and return the recorded actions in order.

    Raise what the handler raises, and GiveUp if it returns anything but None: a retry would return it again.
    """
    context.actions.clear()
    recorder = recording(ticket, context.actions)
    values = {"ticket": recorder, "event": event, "ctx": replace(context, timers=handler.receives)}
    function: Callable[..., object] = handler.decide
    returned = function(**{name: values[name] for name in handler.parameters})
    if returned is not None:
        if hasattr(returned, "close"):
            returned.close()  # an unawaited coroutine would warn
        raise GiveUp(
            f"{handler.name} returned a {type(returned).__name__}; a handler returns None: record actions on the ticket"
        )
    return _storable(recorder.actions)


def _storable(actions: Sequence[AnyAction]) -> tuple[AnyAction, ...]:
    """Return the actions; raise InvalidAction if a plan cannot store them, so that only this handler fails."""
    if not all(isinstance(action, Action) for action in actions):
        raise InvalidAction("something other than an action was recorded; use the methods of the ticket")
    try:
        size = len(msgspec.json.encode(actions))
    except UnicodeEncodeError:
        raise InvalidAction("a string contains half a character (a surrogate) and cannot be sent; remove it") from None
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise InvalidAction("a value cannot be sent; pass strings, numbers, dates, or lists of them") from None
    if size > MAX_ACTIONS_SIZE:
        raise InvalidAction(f"the actions of one run take {size} bytes; record at most {MAX_ACTIONS_SIZE}")
    return tuple(actions)


#: The exceptions that end a run even if its handler swallows them.
ENDS = (NotNow, LeaseLost, Stopped)

#: The longest reason kept from a handler's exception, in characters: it appears in histories and dead letters.
MAX_REASON = 1_000

#: How many frames of a plug-in a dead letter keeps.
MOST_FRAMES = 20


class Invocation:
    """One call of a handler.

    ``perform`` performs the steps of an effect, ``read`` a read of the handler's own; ``stopped`` returns whether no
    new effect may start.
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
        self._store = RouterStore(self.read_state, self._actions, lambda: step.now)
        self._context = Context(
            ticket=step.ticket.id,
            now=step.now,
            settings=step.bound.settings,
            log=log,
            happyfox=Client(self.read, reads_only=True, site=site),
            actions=self._actions,
            store=self._store,
            act=self.effect,
        )
        #: What ended the run from inside; the driver raises it again, even if the handler swallowed it.
        self.end: BaseException | None = None
        self._over = False

    def run(self) -> Decision:
        """Call the handler; raise what it raises."""
        step = self._step
        try:
            IN_HANDLER.add(self)
            if reason := refusal(step.bound.handler, step.ticket, step.event, step.now, step.bound.settings):
                return Decision((), reason)
            actions = decide(step.bound.handler, step.ticket, step.event, self._context)
            return Decision(actions, seen=self._store.seen)
        finally:
            IN_HANDLER.discard(self)
            self._over = True

    def read(self, request: Request) -> Answer:
        """Perform a read for the handler; a read without a permit ends the run."""
        return self._for_handler(lambda: self._read(request))

    def effect(self, requested: EffectRequest) -> Any:
        """Complete an effect of the handler and return its value."""

        def complete() -> Any:
            if self._stopped():
                raise NotNow(0, "the worker is stopping")
            return self._step.effect(requested, self._perform_inner)

        return self._for_handler(complete)

    def read_state(self, entry: str) -> StoredEntry:
        """Read an entry of the router's state."""
        return self._for_handler(lambda: self._step.read_state(entry, self._perform_inner))

    def _perform_inner(self, step: Inner) -> Any:
        try:
            return self._perform(step)
        except StoreUnavailable as error:
            if isinstance(step, Script):
                # The state of the journal is unknown: the turn must start again from there.
                self.end = error
            raise

    def _for_handler(self, function: Callable[[], T]) -> T:
        """Call an engine function for the handler, and note if it ends the run."""
        if self.end is not None:
            raise self.end
        if self._over:
            raise RuntimeError("this ctx was used after its handler returned; use it only inside the handler")
        try:
            return function()
        except ENDS as error:
            self.end = error
            raise


def as_failure(error: Retry | GiveUp) -> Failure:
    """Convert a handler's Retry or GiveUp; a subclass may hold any reason and wait."""
    stated = getattr(error, "reason", None)
    words = str(type(error).__name__ if stated is None else stated).encode("utf-8", "replace").decode()
    reason = words if len(words) <= MAX_REASON else f"{words[:MAX_REASON]}…"
    if isinstance(error, GiveUp):
        return Failure(reason, final=True)
    try:
        return Failure(reason, Retry(reason, getattr(error, "after", None)).after)
    except InvalidAction as wrong:
        return Failure(wrong.reason, final=True)


def describe_failure(error: BaseException, handler: Handler, *, show_text: bool = False) -> Failure:
    """Describe a handler's exception: without its text, which may quote a customer, unless ``show_text`` is set."""
    file = getattr(handler.decide, "__code__", describe_failure.__code__).co_filename
    frames = plugin_frames(error, file)
    own = [frame for frame in frames if frame.filename == file] or frames
    where = f" at {PurePath(own[-1].filename).name}:{own[-1].lineno}" if own else _raised_at(error)
    lines = tuple(f"{_shown(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames[-MOST_FRAMES:])
    if isinstance(error, Retry | GiveUp):
        return replace(as_failure(error), traceback=lines)
    text = str(error).encode("utf-8", "replace").decode()[:MAX_REASON] if show_text else ""
    return Failure(f"{type(error).__name__}{where}" + (f": {text}" if text else ""), traceback=lines)


def _raised_at(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _shown(file: str) -> str:
    """Return a path relative to the current folder, if it is in it."""
    path = PurePath(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
