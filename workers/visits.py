"""Visits: the runs of handlers in a worker process, each under its limit, and what they ask of the engine meanwhile."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.errors import GiveUp, LeaseLost, NotNow, Retry
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import Answer, Request
from workers.lanes.claims import Held
from workers.lanes.leases import Leases
from workers.lanes.scripts import Script
from workers.lanes.store import Store
from workers.limits import Limits, OverLimit
from workers.turns.account import Terms
from workers.turns.deciding.foreign import Stopped
from workers.turns.deciding.visit import Visit, place, stated
from workers.turns.steps import Decide, Decision, Failure, Inner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """An account as a worker process works it: its terms and its wire to HappyFox."""

    terms: Terms
    wire: ApiConnection


class Visits:
    """Runs the handlers of one account; ``stopped`` tells when no further effect may be begun."""

    def __init__(
        self, account: Account, store: Store, leases: Leases, limits: Limits, stopped: Callable[[], bool]
    ) -> None:
        self._site, self._wire = account.terms.site, account.wire
        self._store, self._leases, self._limits, self._stopped = store, leases, limits, stopped

    def take(self, held: Held, step: Decide) -> Decision | Failure:
        """Runs a handler in a thread of its own; raises what ends the turn, even if the handler swallowed it."""
        handler = step.bound.handler
        fields = {"account": held.account, "ticket": held.ticket, "handler": handler.name}
        visit = Visit(
            step,
            lambda inner: self._perform(held, inner),
            lambda request: self._read(held, request),
            self._stopped,
            self._site,
            logging.LoggerAdapter(logging.getLogger(f"handlers.{handler.router}"), fields),
        )
        try:
            decision = self._limits.run(visit.take)
        except (NotNow, LeaseLost):
            raise
        except BaseException as error:
            decision = None
            if visit.end is None:
                return _failure(held, step, error)
        if isinstance(visit.end, Stopped):
            return visit.end.failure
        if visit.end is not None:
            raise visit.end
        assert decision is not None
        return decision

    def _read(self, held: Held, request: Request) -> Answer:
        if request.method != "GET":
            raise GiveUp("ctx.happyfox only reads: a handler decides, so say on the ticket what is to be done")
        return self._limits.engine(lambda: self._wire.send(request, still_held=lambda: self._leases.still_held(held)))

    def _perform(self, held: Held, inner: Inner) -> Any:
        """Performs a step of an effect: the engine's own under its guard, the author's function under the limit."""
        if isinstance(inner, Script):
            return self._limits.engine(lambda: self._store.run(inner))
        # A process that was frozen since the journal was written may have lost its lane to another one.
        if not self._leases.still_held(held):
            raise LeaseLost
        return inner.function()


def _failure(held: Held, step: Decide, error: BaseException) -> Failure:
    """Makes a failure of what a handler raised; only its author's own words, never a customer's, are kept."""
    handler = step.bound.name
    where = "" if isinstance(error, OverLimit) else place(error, step.bound.handler)
    fields = {"account": held.account, "ticket": held.ticket, "handler": handler, "attempt": step.attempt}
    if isinstance(error, Retry):
        log.info("a handler asks to run again", extra=fields)
        return stated(error)
    if isinstance(error, GiveUp):
        log.warning("a handler gives up", extra=fields)
        return stated(error)
    # Sentry hears of it by this line, once: errors become reports there, and a retry is no news.
    level = logging.ERROR if step.attempt == 1 else logging.WARNING
    said = f": {error}" if isinstance(error, OverLimit) else ""
    log.log(level, "a handler failed", exc_info=error, extra={**fields, "error": f"{type(error).__name__}{where}"})
    return Failure(f"{type(error).__name__}{said}{where}")
