"""The steps of a turn, and the loop that drives a generator of steps.

A turn does no I/O. It yields steps; its driver performs each one and returns the result:

    Script(...)  -> the script's answer
    Call(...)    -> Answer, Unsent or InDoubt
    Download(...) -> bytes, or None if the link does not work
    Decide(...)  -> Decision or Failure

While a handler runs, its effects in other systems are steps of their own (``Inner``).

A driver may throw ``LeaseLost`` at any step. It may throw ``NotNow`` at a ``Decide`` whose handler got no permit for a
read and, when the worker is stopping, at every step that can wait.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from workers.errors import InDoubt, Unsent
from workers.happyfox.messages import Answer, Request
from workers.plugins.invoke import Decide, T
from workers.store.scripts import Script

StepT = TypeVar("StepT")


@dataclass(frozen=True, slots=True)
class Call:
    """One call to HappyFox, under a permit that the turn's scripts take and settle."""

    request: Request
    permit: str
    send_by: int
    """The first byte must leave within this many ms and while the lease is held; otherwise the call is ``Unsent``."""


@dataclass(frozen=True, slots=True)
class Download:
    """Read an attachment by its signed link, which is no call of the API (KB 1039)."""

    link: str
    most: int
    """How many bytes it may have."""


Step = Script[Any] | Call | Decide | Download
Steps = Generator[Step, Any, T]
CallOutcome = Answer | Unsent | InDoubt

Clock = Callable[[], int]


def drive(steps: Generator[StepT, Any, T], perform: Callable[[StepT], Any]) -> T:
    """Run a generator of steps to its end and return its result; throw the errors of ``perform`` into it."""
    try:
        step = next(steps)
        while True:
            try:
                answer = perform(step)
            except BaseException as error:  # noqa: BLE001 - the generator handles it or ends with it
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
