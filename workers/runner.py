"""The driver: performs the steps that a turn yields, with the store, the wire and the handlers."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from workers.engine.context import AccountConfig
from workers.engine.plan import EVERYONE
from workers.engine.steps import Call, Step, drive
from workers.engine.turn import TurnResult, take_turn
from workers.errors import GiveUp, InDoubt, LeaseLost, NotNow, Retry, Unsent
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import Answer, Request
from workers.plugins.invoke import Decide, Decision, Failure, Inner, Invocation, Stopped, as_failure, failing_line
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.leases import Leases
from workers.store.scripts import Script
from workers.timeouts import HandlerTimeout, HandlerTimeouts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountRuntime:
    """An account as a worker process works it: its terms and its wire to HappyFox."""

    config: AccountConfig
    wire: ApiConnection


class InvocationRunner:
    """Run the handlers of one account; ``stopped`` tells when no further effect may be begun."""

    def __init__(
        self,
        account: AccountRuntime,
        store: Store,
        leases: Leases,
        timeouts: HandlerTimeouts,
        stopped: Callable[[], bool],
    ) -> None:
        self._site, self._wire = account.config.site, account.wire
        self._store, self._leases, self._timeouts, self._stopped = store, leases, timeouts, stopped

    def take(self, lane: ClaimedLane, step: Decide) -> Decision | Failure:
        """Run a handler in a thread of its own; raises what ends the turn, even if the handler swallowed it."""
        handler = step.bound.handler
        fields = {"account": lane.account, "ticket": lane.ticket, "handler": handler.name}
        invocation = Invocation(
            step,
            lambda inner: self._perform(lane, inner),
            lambda request: self._read(lane, request),
            self._stopped,
            self._site,
            logging.LoggerAdapter(logging.getLogger(f"handlers.{handler.router}"), fields),
        )
        try:
            decision = self._timeouts.run(invocation.run)
        except (NotNow, LeaseLost):
            raise
        except BaseException as error:
            decision = None
            if invocation.end is None:
                return _failure(lane, step, error)
        if isinstance(invocation.end, Stopped):
            return invocation.end.failure
        if invocation.end is not None:
            raise invocation.end
        assert decision is not None
        return decision

    def _read(self, lane: ClaimedLane, request: Request) -> Answer:
        if request.method != "GET":
            raise GiveUp("ctx.happyfox only reads: a handler decides, so say on the ticket what is to be done")
        return self._timeouts.engine(lambda: self._wire.send(request, still_held=lambda: self._leases.still_held(lane)))

    def _perform(self, lane: ClaimedLane, inner: Inner) -> Any:
        """Perform a step of an effect: the engine's own under its guard, the author's function under the limit."""
        if isinstance(inner, Script):
            return self._timeouts.engine(lambda: self._store.run(inner))
        # A process that was frozen since the journal was written may have lost its lane to another one.
        if not self._leases.still_held(lane):
            raise LeaseLost
        return inner.function()


def _failure(lane: ClaimedLane, step: Decide, error: BaseException) -> Failure:
    """Build a failure of what a handler raised; only its author's own words, never a customer's, are kept."""
    handler = step.bound.name
    where = "" if isinstance(error, HandlerTimeout) else failing_line(error, step.bound.handler)
    fields = {"account": lane.account, "ticket": lane.ticket, "handler": handler, "attempt": step.attempt}
    if isinstance(error, Retry):
        log.info("Handler asked for a retry", extra=fields)
        return as_failure(error)
    if isinstance(error, GiveUp):
        log.warning("Handler gave up", extra=fields)
        return as_failure(error)
    # Sentry hears of it by this line, once: errors become reports there, and a retry is no news.
    level = logging.ERROR if step.attempt == 1 else logging.WARNING
    said = f": {error}" if isinstance(error, HandlerTimeout) else ""
    log.log(level, "Handler failed", exc_info=error, extra={**fields, "error": f"{type(error).__name__}{where}"})
    return Failure(f"{type(error).__name__}{said}{where}")


#: Answers that concern the whole account, and what they mean. The gate lets few of them happen.
GATES = {
    401: "HappyFox rejected the API key or the auth code; run `foxhooks doctor`",
    429: "HappyFox locked the account out; calls wait until the lockout ends",
}


class Driver:
    """Work the lanes of one account: claims, drives the turn, and goes on while lanes are due.

    ``stopped`` tells when no further lane may be claimed, and no further read, handler or effect begun. ``doubt`` is
    told when HappyFox has refused a write: a name may not be what it was.
    """

    def __init__(
        self,
        account: AccountRuntime,
        store: Store,
        leases: Leases,
        timeouts: HandlerTimeouts,
        stopped: Callable[[], bool],
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self._doubt = doubt
        self._config, self._wire = account.config, account.wire
        self._store, self._leases, self._timeouts, self._stopped = store, leases, timeouts, stopped
        self._invocations = InvocationRunner(account, store, leases, timeouts, stopped)
        self._denied: set[str] = set()

    def work(self, seconds: float, should_yield: Callable[[], bool] = lambda: False) -> None:
        """Work due lanes, one after another; returns when none is due, it is ``crowded`` or so long has passed."""
        nonce = secrets.token_hex(8)
        began = monotonic()
        until = began + seconds
        lane: ClaimedLane | NothingDue | None = self._store.run(claim(self._config.claim, nonce))
        while isinstance(lane, ClaimedLane):
            onward = None if monotonic() >= until or self._stopped() or should_yield() else secrets.token_hex(8)
            lane, began = self._turn(lane, began, onward)

    def _turn(
        self, lane: ClaimedLane, began: float, nonce: str | None
    ) -> tuple[ClaimedLane | NothingDue | None, float]:
        """Take one turn; return what the claim made with its settling got, and when that call began."""
        self._leases.add(lane, began)
        performer = _TimedPerformer(self, lane, began)
        try:
            result = drive(take_turn(lane, self._config, nonce), performer.perform)
        finally:
            self._leases.drop(lane)
        _tell(lane, result)
        self._tell_denied(lane, result)
        return result.next, performer.began

    def _tell_denied(self, lane: ClaimedLane, result: TurnResult) -> None:
        """Name what a router may not do, with the line that would allow it, once for each."""
        for verdict in result.plan.verdicts if result.plan else ():
            for line in verdict.denied:
                if line not in self._denied:
                    self._denied.add(line)
                    fields = {"account": lane.account, "handler": verdict.handler, "permission": line}
                    log.warning("Handler lacks a permission; set it to allow the action", extra=fields)

    def perform(self, lane: ClaimedLane, step: Step) -> Any:
        """Perform one step and gives what the turn is sent; a worker on its way out gives the lane back instead."""
        if self._stopped() and _can_wait(step):
            raise NotNow(0, "the worker ends")
        if isinstance(step, Script):
            return self._store.run(step)
        if isinstance(step, Call):
            return self._call(lane, step)
        return self._invocations.take(lane, step)

    def _call(self, lane: ClaimedLane, step: Call) -> Answer | Unsent | InDoubt:
        try:
            answer = self._wire.send(
                step.request,
                permit=step.permit,
                send_by=monotonic() + step.send_by / 1000,
                still_held=lambda: self._leases.still_held(lane),
            )
        except (Unsent, InDoubt) as error:
            return error
        if answer.status == 400:
            self._doubt()
        if answer.status in GATES:
            log.warning(GATES[answer.status], extra={"account": lane.account, "status": answer.status})
        return answer


def _can_wait(step: Step) -> bool:
    """Return whether a turn may end before this step: nothing is under way, and another worker can go on from here."""
    if isinstance(step, Script):
        return step.name == "begin"
    return isinstance(step, Decide) or step.request.method == "GET"


class _TimedPerformer:
    """Performs the steps of one turn and notes when the last one ``began``.

    A call's permit was granted by the last script, at first by the claim. Time that the store took to answer is no
    longer left for sending the call.
    """

    def __init__(self, driver: Driver, lane: ClaimedLane, granted: float) -> None:
        self._driver, self._lane = driver, lane
        self.began = self._granted = granted

    def perform(self, step: Step) -> Any:
        """Perform one step."""
        self.began = monotonic()
        if isinstance(step, Script):
            self._granted = self.began
        elif isinstance(step, Call):
            late = int((self.began - self._granted) * 1000)
            step = replace(step, send_by=step.send_by - late)
        return self._driver.perform(self._lane, step)


def _tell(lane: ClaimedLane, result: TurnResult) -> None:
    """Write one line for the turn, at DEBUG when nothing came of it, and one for each dead letter."""
    plan = result.plan
    level = logging.INFO if result.end != "settled" or (plan and (plan.changes or plan.verdicts)) else logging.DEBUG
    if not log.isEnabledFor(level) and not result.dead_letters:
        return
    fields = {"account": lane.account, "ticket": lane.ticket, "turn": lane.turn, "attempt": lane.claims}
    if result.end != "settled":
        log.info("Turn %s", result.end, extra={**fields, "reason": result.why})
        return
    ends = [entry.state for entry in (result.journal or {}).values()]
    kinds = ",".join(dict.fromkeys(change.kind for change in plan.changes)) if plan else ""
    log.log(level, "Turn settled", extra={**fields, "kind": kinds or "nothing new", "effect": ",".join(ends)})
    for dead_letter in result.dead_letters:
        if dead_letter.handler == EVERYONE:
            log.error("Loop guard tripped; the ticket's handlers stop: see `foxhooks dead list`", extra=fields)
        else:
            log.error("Dead letter added: see `foxhooks dead list`", extra={**fields, "handler": dead_letter.handler})
