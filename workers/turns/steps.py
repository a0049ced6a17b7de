"""The steps of a turn: what the generator asks its driver to do, and what it is sent back. No step does I/O itself.

    Script(...)                    -> the script's answer
    Call(request, ...)             -> Answer, Unsent or InDoubt
    Decide(handler, ticket, event) -> Decision or Failure

While a handler runs, what it changes in other systems has steps of its own (``Inner``): scripts and calls ``Outside``.
A driver may throw ``NotNow`` at a ``Decide`` whose handler had no permit for a read, and at every step that can wait
when the worker ends; ``LeaseLost`` at any step.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from workers.errors import InDoubt, Unsent
from workers.events.change import Event
from workers.happyfox.messages import Answer, Request
from workers.lanes.scripts import Script
from workers.models.ticket import TicketRead
from workers.turns.plugin.intents import AnyIntent
from workers.turns.plugin.router import Handler

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call to HappyFox, under a permit that the turn's scripts take and settle.

    The first byte must leave within ``send_by`` ms from now and while the lease is held, or the call is ``Unsent``.
    """

    request: Request
    permit: str
    send_by: int


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
class Outside:
    """A function of the handler's author that speaks to another system; what it gives or raises is sent back.

    It runs in the handler's thread and under its limit, and only while the lease is held. ``name`` is the effect's.
    """

    name: str
    function: Callable[[], Any]


#: What a handler's effect in another system is made of.
Inner = Script[Any] | Outside
InnerSteps = Generator[Inner, Any, T]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An effect in another system, as a handler asked for it by ``ctx.effect``."""

    name: str
    call: Callable[[], Any]
    landed: Callable[[], Any] | None
    dry: Any


@dataclass(frozen=True, slots=True)
class Decide:
    """One run of a handler, for one turn; ``effect`` gives the steps of an effect that it wants at once."""

    bound: Bound
    ticket: TicketRead
    event: Event
    now: datetime
    attempt: int
    effect: Callable[[Wanted], InnerSteps[Any]]


@dataclass(frozen=True, slots=True)
class Decision:
    """A handler ran: what it wants, or why its ``when`` kept it from running."""

    intents: tuple[AnyIntent, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler failed: ``after`` is the wait in seconds it asked for, ``final`` that no retry will help."""

    error: str
    after: float | None = None
    final: bool = False


Step = Script[Any] | Call | Decide
Steps = Generator[Step, Any, T]
Outcome = Answer | Unsent | InDoubt

Clock = Callable[[], int]


def ask(script: Script[T]) -> Steps[T]:
    """Yields a script and gives its typed answer."""
    answer: T = yield script
    return answer


def call(request: Request, permit: str, send_by: int) -> Steps[Outcome]:
    """Yields a call and gives what came of it."""
    outcome: Outcome = yield Call(request, permit, send_by)
    return outcome
