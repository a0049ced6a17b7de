"""Work the lanes of one account: perform steps and call handlers."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from workers.engine.context import AccountConfig
from workers.engine.plan import EVERYONE
from workers.engine.steps import Call, CallOutcome, Download, Step, Steps, drive
from workers.engine.turn import TurnResult, take_turn
from workers.errors import GiveUp, InDoubt, LeaseLost, NotNow, Retry, Unfit, Unsendable, Unsent
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import Answer, Request
from workers.logs import HandlerLog
from workers.plugins.invoke import Decide, Decision, Failure, Inner, Invocation, Stopped, describe_failure
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.leases import Leases
from workers.store.scripts import Script
from workers.timeouts import STOPPING, HandlerTimeout, HandlerTimeouts
from workers.traces import traces

#: Errors that concern the whole account. Few calls get one, because the store then stops all other calls.
ACCOUNT_ERRORS = {
    401: "HappyFox rejected the API key or the auth code; run `foxhooks doctor`",
    429: "HappyFox locked the account out; calls wait until the lockout ends",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountRuntime:
    """An account's configuration and its connection to HappyFox."""

    config: AccountConfig
    connection: ApiConnection


class LaneRunner:
    """Claim the due lanes of one account and drive their turns.

    Call ``on_rejected_write`` when HappyFox rejects a write: a name may have changed.
    """

    def __init__(
        self,
        account: AccountRuntime,
        store: Store,
        leases: Leases,
        timeouts: HandlerTimeouts,
        *,
        on_rejected_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._connection = account.config, account.connection
        self._store, self._leases, self._stopped = store, leases, timeouts.stopped
        self._on_rejected_write = on_rejected_write
        self._invocations = InvocationRunner(account, store, leases, timeouts)
        self._logged_denials: set[str] = set()

    def work(self, seconds: float, should_yield: Callable[[], bool] = lambda: False) -> None:
        """Take turns until no lane is due, time is up, or another account waits."""
        nonce = secrets.token_hex(8)
        claimed_at = monotonic()
        until = claimed_at + seconds
        lane: ClaimedLane | NothingDue | None = self._store.run(claim(self._config.claim, nonce))
        while isinstance(lane, ClaimedLane):
            last = monotonic() >= until or self._stopped() or should_yield()
            lane, claimed_at = self._take_turn(lane, claimed_at, None if last else secrets.token_hex(8))

    def _take_turn(
        self, lane: ClaimedLane, claimed_at: float, nonce: str | None
    ) -> tuple[ClaimedLane | NothingDue | None, float]:
        """Take one turn; return the lane that was claimed while settling it, and when that claim began."""
        self._leases.add(lane, claimed_at)
        events = [event.id for event in lane.events]
        with traces.turn(lane.account, lane.ticket, lane.turn, events):
            try:
                result, began = self.drive(take_turn(lane, self._config, nonce), lane, claimed_at)
            finally:
                self._leases.drop(lane)
            traces.note(end=result.end, attempt=lane.claims)
            _log_result(lane, result, monotonic() - claimed_at)
        self._log_denied(lane, result)
        return result.next, began

    def drive(self, turn: Steps[TurnResult], lane: ClaimedLane, granted_at: float) -> tuple[TurnResult, float]:
        """Drive a turn; return its result, and when its last step began.

        A call's permit was granted by the last script before it; for the first call, by the claim. The time that the
        store took to answer is deducted from the time for sending the call.
        """
        began = granted_at

        def perform(step: Step) -> Any:
            nonlocal began, granted_at
            began = monotonic()
            if isinstance(step, Script):
                granted_at = began
            elif isinstance(step, Call):
                step = replace(step, send_by=step.send_by - int((began - granted_at) * 1000))
            return self.perform(lane, step)

        result = drive(turn, perform)
        return result, began

    def _log_denied(self, lane: ClaimedLane, result: TurnResult) -> None:
        """Log each missing permission once per process, as the line that grants it."""
        for verdict in result.plan.verdicts if result.plan else ():
            if verdict.grant and verdict.grant not in self._logged_denials:
                self._logged_denials.add(verdict.grant)
                fields = {"account": lane.account, "handler": verdict.handler, "permission": verdict.grant}
                log.warning("Handler lacks a permission; set it to allow the action", extra=fields)

    def perform(self, lane: ClaimedLane, step: Step) -> Any:
        """Perform one step, or release the lane if the worker is stopping."""
        if self._stopped() and _can_wait(step):
            raise NotNow(0, STOPPING)
        if isinstance(step, Script):
            return self._store.run(step)
        if isinstance(step, Call):
            with traces.call(step.request.method, step.request.path):
                outcome = self._call(lane, step)
                traces.note(outcome=outcome.status if isinstance(outcome, Answer) else type(outcome).__name__)
                return outcome
        if isinstance(step, Download):
            return self._download(step)
        with traces.step(f"handler {step.bound.name}", attempt=step.attempt):
            decision = self._invocations.run(lane, step)
            traces.note(outcome="failed" if isinstance(decision, Failure) else "decided")
            return decision

    def _download(self, step: Download) -> bytes | None:
        parts: list[bytes] = []
        try:
            status = self._connection.download(step.link, parts.append, step.most)
        except (Unsent, InDoubt, Unfit):
            return None
        return b"".join(parts) if 200 <= status < 300 else None

    def _call(self, lane: ClaimedLane, step: Call) -> CallOutcome:
        try:
            answer = self._connection.send(
                step.request,
                permit=step.permit,
                send_by=monotonic() + step.send_by / 1000,
                still_held=lambda: self._leases.still_held(lane),
            )
        except Unfit as error:
            return Unsendable(str(error))
        except (Unsent, InDoubt) as error:
            return error
        if answer.status == 400:
            self._on_rejected_write()
        if answer.status in ACCOUNT_ERRORS:
            log.warning(ACCOUNT_ERRORS[answer.status], extra={"account": lane.account, "status": answer.status})
        return answer


def _can_wait(step: Step) -> bool:
    """Return whether another worker can continue with this step."""
    if isinstance(step, Script):
        return step.name == "begin"
    return isinstance(step, Decide | Download) or step.request.method == "GET"


class InvocationRunner:
    """Run the handlers of one account, each in a thread with a time limit."""

    def __init__(self, account: AccountRuntime, store: Store, leases: Leases, timeouts: HandlerTimeouts) -> None:
        self._site, self._connection = account.config.site, account.connection
        self._show_text = account.config.show_errors
        self._store, self._leases, self._timeouts = store, leases, timeouts

    def run(self, lane: ClaimedLane, step: Decide) -> Decision | Failure:
        """Run a handler; raise the error that ends the turn, even if the handler swallowed it."""
        handler = step.bound.handler
        fields = {"account": lane.account, "ticket": lane.ticket, "handler": handler.name}
        invocation = Invocation(
            step,
            lambda inner: self._perform(lane, inner),
            lambda request: self._read(lane, request),
            self._timeouts.stopped,
            self._site,
            HandlerLog(handler.router, **fields),
        )
        try:
            decision = self._timeouts.run(invocation.run)
        except (NotNow, LeaseLost):
            raise
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            decision = None
            if invocation.end is None:
                return _failure(lane, step, error, self._show_text)
        if isinstance(invocation.end, Stopped):
            return invocation.end.failure
        if invocation.end is not None:
            raise invocation.end
        assert decision is not None
        return decision

    def _read(self, lane: ClaimedLane, request: Request) -> Answer:
        if request.method != "GET":
            raise GiveUp("ctx.happyfox is read-only; record actions on the ticket instead")
        return self._timeouts.run_engine(
            lambda: self._connection.send(request, still_held=lambda: self._leases.still_held(lane))
        )

    def _perform(self, lane: ClaimedLane, inner: Inner) -> Any:
        """Run a store script as engine code, or an effect's own function within the handler's time limit."""
        if isinstance(inner, Script):
            return self._timeouts.run_engine(lambda: self._store.run(inner))
        # If this process was frozen after writing the journal, another worker may have the lane by now.
        if not self._leases.still_held(lane):
            raise LeaseLost
        return inner.function()


def _failure(lane: ClaimedLane, step: Decide, error: BaseException, show_text: bool) -> Failure:
    """Describe and log a handler's exception; its text may quote a customer."""
    failure = describe_failure(error, step.bound.handler, show_text=show_text)
    fields = {"account": lane.account, "ticket": lane.ticket, "handler": step.bound.name, "attempt": step.attempt}
    if isinstance(error, Retry):
        log.info("Handler asked for a retry", extra=fields)
        return failure
    if isinstance(error, GiveUp):
        log.warning("Handler gave up", extra=fields)
        return failure
    # Sentry reports errors, so only the first attempt is one: each failure is reported once.
    level = logging.ERROR if step.attempt == 1 else logging.WARNING
    timed_out = isinstance(error, HandlerTimeout)
    # Error reports must not get the text, so it is not in a field that they keep.
    error_only = describe_failure(error, step.bound.handler).error if not timed_out else type(error).__name__
    extra = {**fields, "error": error_only, "fields": {"text": str(error)} if show_text and str(error) else {}}
    if failure.traceback:
        extra["traceback"] = failure.traceback
    log.log(level, "Handler failed", exc_info=error, extra=extra)
    return Failure(f"{type(error).__name__}: {error}") if timed_out else failure


def _log_result(lane: ClaimedLane, result: TurnResult, seconds: float) -> None:
    """Log the turn, at DEBUG if it found nothing new, and its dead letters."""
    plan = result.plan
    level = logging.INFO if result.end != "settled" or (plan and (plan.changes or plan.verdicts)) else logging.DEBUG
    if not log.isEnabledFor(level) and not result.dead_letters:
        return
    fields = {"account": lane.account, "ticket": lane.ticket, "turn": lane.turn, "attempt": lane.claims}
    fields |= {"event": ",".join(event.id for event in lane.events[:3]), "seconds": round(seconds, 3)}
    if result.end != "settled":
        level = logging.WARNING if result.newer else logging.INFO
        log.log(level, "Turn %s", result.end, extra={**fields, "reason": result.why})
        return
    effects = ",".join(entry.state for entry in (result.journal or {}).values())
    kinds = ",".join(dict.fromkeys(change.kind for change in plan.changes)) if plan else ""
    log.log(level, "Turn settled", extra={**fields, "kind": kinds or "nothing new", "effect": effects})
    for dead_letter in result.dead_letters:
        if dead_letter.handler == EVERYONE:
            log.error("Loop guard tripped; the ticket's handlers stop: see `foxhooks dead list`", extra=fields)
        else:
            log.error("Dead letter added: see `foxhooks dead list`", extra={**fields, "handler": dead_letter.handler})
