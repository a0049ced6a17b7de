"""The player of a test: it performs the steps of turns, on a real store and with the simulator as HappyFox.

Faults strike where a test, a sweep or a seeded schedule puts them: before a step, or after it.
"""

import logging
from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from workers.errors import GiveUp, InDoubt, LeaseLost, NotNow, Retry, Unsent
from workers.happyfox import messages
from workers.happyfox.messages import BASE, Answer
from workers.lanes.scripts import Script
from workers.lanes.store import Store
from workers.simulator import ApiRequest, Simulator
from workers.turns.deciding.foreign import Stopped
from workers.turns.deciding.visit import Visit, stated
from workers.turns.steps import Call, Decide, Decision, Failure, Inner, Step, Steps

T = TypeVar("T")

BASIC = "Basic " + b64encode(b"demo-key:demo-code").decode()
SITE = "https://demo.happyfox.com"


class Crash(BaseException):
    """The worker died here."""


class Player:
    """Performs steps. ``before`` is called with each, ``after`` with its result too; either may raise ``Crash``."""

    def __init__(self, store: Store, simulator: Simulator) -> None:
        self.store, self.simulator = store, simulator
        self.before: Callable[[Step | Inner], None] = lambda step: None
        self.after: Callable[[Step | Inner, Any], Any] = lambda step, result: result

    def play(self, turn: Steps[T]) -> T:
        """Drives a generator of steps to its end and gives what it gives."""
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
        visit = Visit(step, self._inner, self._read, lambda: False, SITE, log)
        try:
            said: Decision | Failure = visit.take()
        except (Retry, GiveUp) as error:
            said = stated(error)
        except (Exception, SystemExit) as error:
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
