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
from typing import Any

from workers.errors import InDoubt, Unsent
from workers.happyfox.messages import Answer, Request
from workers.plugins.invoke import Decide, T
from workers.store.scripts import Script


@dataclass(frozen=True, slots=True)
class Call:
    """One call to HappyFox, under a permit that the turn's scripts take and settle.

    The first byte must leave within ``send_by`` ms from now and while the lease is held, or the call is ``Unsent``.
    """

    request: Request
    permit: str
    send_by: int


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
