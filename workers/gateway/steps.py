"""The steps of a client's call, and how a call ends early."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from workers.engine.steps import Call
from workers.happyfox.messages import Request
from workers.store.client_figures import CallResult
from workers.store.scripts import Script

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait before the next step."""

    ms: int


ClientStep = Script[Any] | Call | Wait
ClientSteps = Generator[ClientStep, Any, T]

#: Makes a read that a call depends on; the text says what is read.
GetContent = Callable[[Request, str], ClientSteps[object]]


class CallRefused(Exception):
    """A call is not made, or its answer is not passed on; ``retry`` is the time (ms) until it may be tried again."""

    def __init__(self, status: int, result: CallResult, why: str, *, retry: int = 0) -> None:
        super().__init__(why)
        self.status, self.result, self.retry = status, result, retry


def held(why: str) -> CallRefused:
    """Return the refusal of a write that a person must allow first."""
    return CallRefused(409, "held", why)
