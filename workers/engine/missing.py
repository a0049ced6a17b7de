"""Handle work whose ticket or handler cannot be found; either may be temporary.

HappyFox may answer 404 by mistake, and during a rolling deploy an old worker does not have the new handlers.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from workers.engine.context import TurnContext
from workers.engine.plan import (
    TICKET,
    DeadLetter,
    ExternalEffect,
    HandlerWork,
    Pending,
    Plan,
    Verdict,
    decode_stored,
)
from workers.tickets.snapshot import decode

#: How long (ms) after the first 404 a ticket is read again. After the last 404 it is gone.
RECHECKS = (5_000, 35_000, 155_000, 900_000)

#: How long (ms) work waits for a worker that has its handler, and how often one is looked for.
HANDLER_GRACE, SEARCH = 600_000, 60_000

#: Why work is dead-lettered if no worker has its handler.
NO_HANDLER = "no handler with this name runs any more; it was renamed or removed"

#: Why work is dead-lettered if its ticket is gone, or never existed: actions for another ticket name its number.
GONE = "the ticket is gone: HappyFox repeatedly answered 404"
NO_TICKET = "HappyFox has no such ticket: it repeatedly answered 404; correct the number or the handler"


def split_missing_note(pending: Sequence[Pending]) -> tuple[tuple[Pending, ...], int]:
    """Separate work from the note that the ticket is missing, and since when (ms, 0 if it is not missing)."""
    since = next((work.missing_since for work in pending if work.handler == TICKET), 0)
    return tuple(work for work in pending if work.handler != TICKET), since


def add_external_effects(context: TurnContext, pending: Sequence[Pending]) -> tuple[Pending, ...]:
    """Add what earlier attempts of the turn did in other systems, so that no later run repeats it."""
    entries: dict[str, dict[str, ExternalEffect]] = {}
    for key, stored in context.lane.external.items():
        handler, _, name = key.partition(" ")
        entries.setdefault(handler, {})[name] = decode_stored(stored, ExternalEffect, "the journal of another system")
    if not entries:
        return tuple(pending)
    own = {work.handler: work for work in pending if not work.dead_letter}
    for handler, effects in entries.items():
        work = own.get(handler, Pending(handler=handler, first_at=context.now()))
        own[handler] = replace(work, external={**work.external, **effects})
    return (*(work for work in pending if work.dead_letter), *own.values())


def ms_until_recheck(since: int, now: int) -> int:
    """Return the ms until a ticket that is missing ``since`` (ms) is read again, 0 if it is gone."""
    return next((since + age - now for age in RECHECKS if since + age > now), 0)


def without_ticket(context: TurnContext, empty: Plan, pending: Sequence[Pending], since: int) -> Plan:
    """Return the plan for a ticket that HappyFox does not have: work waits, and is finally dead-lettered.

    The snapshot stays: if the ticket comes back, its next turn finds all changes since then.
    """
    now = context.now()
    first = since or now
    delay = ms_until_recheck(first, now)
    if not delay:
        dead = tuple(make_dead_letter(empty.turn, work, NO_TICKET if work.actions else GONE) for work in pending)
        return replace(empty, dead_letters=dead, remarks=("the ticket is gone",))
    note = Pending(handler=TICKET, first_at=first, missing_since=first)
    return replace(
        empty,
        # Events that carry a replay leave the lane: their work is pending from now on.
        handled=tuple(event.id for event in context.lane.events if event.work),
        unexplained=tuple(event.id for event in context.lane.events if not event.work),
        recheck_in=delay,
        pending=tuple(replace(work, check_at=now + delay) for work in (*pending, note)),
        remarks=("HappyFox does not know the ticket (404)",),
    )


def merged_away(context: TurnContext, empty: Plan, pending: Sequence[Pending], why: str) -> Plan:
    """Return the plan for a ticket that was merged into another one: all work is dead-lettered.

    Its timers end. The rest of the snapshot stays, so that the surviving ticket's turns know what was shown here.
    """
    snapshot = decode(context.lane.snapshot)
    timers = snapshot.timers if snapshot else ()
    return replace(
        empty,
        dead_letters=tuple(make_dead_letter(empty.turn, work, why) for work in pending),
        verdicts=tuple(
            Verdict(handler=work.handler, state="dead", reason=why, attempt=work.attempt) for work in pending
        ),
        remarks=(why, *(f"{timer.words}: ended, because {why}" for timer in timers)),
        snapshot=replace(snapshot, timers=()) if snapshot and timers else empty.snapshot,
    )


def without_handlers(context: TurnContext, empty: Plan, pending: Sequence[Pending]) -> Plan:
    """Return the plan of a worker that has no handlers at all."""
    waiting = [(work, wait_for_known_worker(context, work)) for work in pending]
    dead = tuple(make_dead_letter(empty.turn, work, NO_HANDLER) for work, later in waiting if later is None)
    return replace(empty, dead_letters=dead, pending=tuple(later for _, later in waiting if later))


def wait_for_known_worker(context: TurnContext, work: Pending) -> Pending | None:
    """Keep work for a worker that has its handler; return None if it has waited long enough."""
    now = context.now()
    first = work.missing_since or now
    return None if now >= first + HANDLER_GRACE else replace(work, missing_since=first, check_at=now + SEARCH)


def known_elsewhere(context: TurnContext, kind: str, since: int) -> bool:
    """Return whether only other workers may have the handler of a timer or schedule due at ``since`` (ms)."""
    known = any(kind in bound.handler.kinds for bound in context.config.handlers)
    return not known and context.now() < since + HANDLER_GRACE


def make_dead_letter(turn: str, work: Pending, reason: str) -> DeadLetter:
    """Return the dead letter for work; a replayed effect keeps the id of its earlier one."""
    shared = {name: getattr(work, name) for name in HandlerWork.__struct_fields__}
    return DeadLetter(id=work.dead_letter or f"{turn}.{work.handler}", reason=reason, attempts=work.attempt, **shared)
