"""One run of a handler: what it finds in ``ctx``, and what must not be forgotten even if the handler swallows it."""

import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from workers.errors import GiveUp, LeaseLost, NotNow, Retry, StoreUnavailable, WrongIntent
from workers.happyfox.endpoints import Client
from workers.happyfox.messages import Answer, Request
from workers.lanes.scripts import Script
from workers.turns.deciding.foreign import Stopped
from workers.turns.plugin.context import Context
from workers.turns.plugin.decide import decide, refusal
from workers.turns.plugin.intents import AnyIntent
from workers.turns.plugin.router import Handler
from workers.turns.steps import Decide, Decision, Failure, Inner, Wanted

#: What ends a run for good, however its handler takes it.
ENDS = (NotNow, LeaseLost, Stopped)

#: How many characters of the reason that a handler gives are kept: it stands in trails and letters.
REASON = 1_000


class Visit:
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
        self._intents: list[AnyIntent] = []
        self._context = Context(
            ticket=step.ticket.id,
            now=step.now,
            settings=step.bound.settings,
            log=log,
            happyfox=Client(self.read, reads_only=True, site=site),
            intents=self._intents,
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
        """Makes a read for the handler; one that there is no permit for ends the run."""
        self._check()
        try:
            return self._read(request)
        except ENDS as error:
            self.end = error
            raise

    def effect(self, wanted: Wanted) -> Any:
        """Brings an effect of the handler's to its end and gives its value."""
        self._check()
        steps = self._step.effect(wanted)
        try:
            if self._stopped():
                raise NotNow(0, "the worker ends")
            step = next(steps)
            while True:
                try:
                    sent = self._perform(step)
                except BaseException as error:
                    if isinstance(step, Script) and isinstance(error, StoreUnavailable):
                        # What stands in the journal is not known: the turn begins anew from there.
                        self.end = error
                    step = steps.throw(error)
                else:
                    step = steps.send(sent)
        except StopIteration as stop:
            return stop.value
        except ENDS as error:
            self.end = error
            raise

    def _check(self) -> None:
        if self.end is not None:
            raise self.end
        if self._over:
            raise RuntimeError("this ctx is over: a handler may use it only until it returns")


def stated(error: Retry | GiveUp) -> Failure:
    """Makes a failure of what a handler raised on purpose. Its author may have put anything into a class of his own."""
    said = getattr(error, "reason", None)
    words = str(type(error).__name__ if said is None else said).encode("utf-8", "replace").decode()
    reason = words if len(words) <= REASON else f"{words[:REASON]}…"
    if isinstance(error, GiveUp):
        return Failure(reason, final=True)
    try:
        return Failure(reason, Retry(reason, getattr(error, "after", None)).after)
    except WrongIntent as wrong:
        return Failure(wrong.reason, final=True)


def place(error: BaseException, handler: Handler) -> str:
    """Names the line that failed, as in ` at vip.py:12`: the handler's own, if one of its file was under way."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if frame.filename == getattr(handler.decide, "__code__", place.__code__).co_filename
    ]
    return next((f" at {PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(own or frames)), "")
