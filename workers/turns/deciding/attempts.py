"""Attempts: when a handler that failed runs again, and when no more."""

from zlib import crc32

import msgspec

from workers.events.change import Event
from workers.turns.deciding.foreign import Ledger
from workers.turns.plan.owed import Owed
from workers.turns.state import State
from workers.turns.steps import Failure

#: When a failed handler runs again (ms), with up to a fifth more so that many do not run at once; then it gives up.
RETRIES = (5_000, 30_000, 120_000, 600_000, 1_800_000)


def failed(
    state: State, ledger: Ledger, handler: str, event: Event, debt: Owed | None, failure: Failure
) -> tuple[Owed, str]:
    """Gives what the handler is owed now, and why it is nevertheless given up; empty when it runs again."""
    attempt = debt.attempt + 1 if debt else 1
    first = (debt.first_at, debt.first_error) if debt and debt.first_error else (state.now(), failure.error)
    owed = Owed(handler, event.changes, attempt, *first, failure.error, 0, event.replay, ledger.of(handler))
    doubt = ledger.doubt(handler)
    if failure.final or doubt or attempt > len(RETRIES):
        return owed, "; ".join(dict.fromkeys(said for said in (failure.error, doubt) if said))
    wait = _wait(state.held.turn + handler, attempt) if failure.after is None else int(failure.after * 1000)
    retry = max(state.now() + max(wait, 100), ledger.until(handler))
    return msgspec.structs.replace(owed, retry=retry), ""


def _wait(salt: str, attempt: int) -> int:
    """The time to the next attempt; the jitter comes from the turn's id, so that a turn run again is the same."""
    base = RETRIES[attempt - 1]
    return base + crc32(salt.encode()) % (base // 5)
