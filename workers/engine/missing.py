"""Missing: what becomes of work whose ticket or whose handler is not to be found; neither may be so for good.

HappyFox may answer 404 by mistake, and while a new version is rolled out an old worker does not know its handlers.
"""

from collections.abc import Sequence

import msgspec

from workers.engine.context import TurnContext
from workers.engine.plan import TICKET, DeadLetter, ExternalEffect, Pending, Plan, Verdict, decode_external
from workers.tickets.snapshot import decode

#: The ms after the first 404 at which a ticket is looked at again; after the last one it is gone.
AWAY = (5_000, 35_000, 155_000, 900_000)

#: How long (ms) what is owed to a handler waits for a worker that knows it, and how often one is looked for.
GRACE, SEARCH = 600_000, 60_000

#: Why what is owed to a handler becomes a dead letter when nobody of its name is there to take it.
RENAMED = "no handler of this name runs any more; it was renamed or taken out"

#: Why what is owed becomes a dead letter when its ticket is not there any more.
GONE = "the ticket is gone: HappyFox answers 404 again and again"

#: The same for what a handler of another ticket wants of it.
UNKNOWN = "HappyFox knows no such ticket: it answers 404 again and again; correct the number, or the handler"


def part(pending: Sequence[Pending]) -> tuple[tuple[Pending, ...], int]:
    """Parts what is owed to handlers from the note since when (ms) the ticket has been missing, 0 when it has not."""
    since = next((work.missing_since for work in pending if work.handler == TICKET), 0)
    return tuple(work for work in pending if work.handler != TICKET), since


def begun(context: TurnContext, pending: Sequence[Pending]) -> tuple[Pending, ...]:
    """Adds what earlier attempts of the turn did in other systems, so that it is not done again whoever takes it up."""
    entries: dict[str, dict[str, ExternalEffect]] = {}
    for key, stored in context.lane.external.items():
        handler, _, name = key.partition(" ")
        entries.setdefault(handler, {})[name] = decode_external(stored)
    if not entries:
        return tuple(pending)
    own = {work.handler: work for work in pending if not work.dead_letter}
    for handler, done in entries.items():
        work = own.get(handler, Pending(handler=handler, first_at=context.now()))
        own[handler] = msgspec.structs.replace(work, external={**work.external, **done})
    return (*(work for work in pending if work.dead_letter), *own.values())


def next_look(since: int, now: int) -> int:
    """Gives the ms until a ticket that has been missing ``since`` (ms) is looked at again, 0 when it is gone."""
    return next((since + age - now for age in AWAY if since + age > now), 0)


def without_ticket(context: TurnContext, empty: Plan, pending: Sequence[Pending], since: int) -> Plan:
    """Gives the plan for a ticket that HappyFox does not show: everything waits, and in the end it is gone.

    Then what is owed becomes dead letters. Last seen stays: should the ticket come back, its next event brings all
    changes since.
    """
    now = context.now()
    first = since or now
    look = next_look(first, now)
    if not look:
        dead_letters = tuple(dead_letter(empty.turn, work, UNKNOWN if work.actions else GONE) for work in pending)
        return msgspec.structs.replace(empty, dead_letters=dead_letters, remarks=("the ticket is gone",))
    note = Pending(handler=TICKET, first_at=first, missing_since=first)
    return msgspec.structs.replace(
        empty,
        # A replay leaves the lane: from here on it is owed.
        handled=tuple(event.id for event in context.lane.events if event.work),
        unexplained=tuple(event.id for event in context.lane.events if not event.work),
        recheck_in=look,
        pending=tuple(msgspec.structs.replace(work, check_at=now + look) for work in (*pending, note)),
        remarks=("HappyFox does not know the ticket (404)",),
    )


def merged_away(context: TurnContext, empty: Plan, pending: Sequence[Pending], why: str) -> Plan:
    """Gives the plan for a ticket that was merged into another one: nothing runs, what is owed becomes dead letters.

    Its timers end. The rest of last seen stays: the surviving ticket's turns tell by it what was shown here already.
    """
    snapshot = decode(context.lane.snapshot)
    timers = snapshot.timers if snapshot else ()
    return msgspec.structs.replace(
        empty,
        dead_letters=tuple(dead_letter(empty.turn, work, why) for work in pending),
        verdicts=tuple(
            Verdict(handler=work.handler, state="dead", reason=why, attempt=work.attempt) for work in pending
        ),
        remarks=(why, *(f"{timer.words}: ended, for {why}" for timer in timers)),
        snapshot=msgspec.structs.replace(snapshot, timers=()) if snapshot and timers else empty.snapshot,
    )


def without_handlers(context: TurnContext, empty: Plan, pending: Sequence[Pending]) -> Plan:
    """Gives the plan of a worker that knows no handler at all."""
    kept = [(work, search(context, work)) for work in pending]
    dead_letters = tuple(dead_letter(empty.turn, work, RENAMED) for work, later in kept if later is None)
    return msgspec.structs.replace(empty, dead_letters=dead_letters, pending=tuple(later for _, later in kept if later))


def search(context: TurnContext, work: Pending) -> Pending | None:
    """Lets what is owed to an unknown handler wait for a worker that knows it; None when it has waited long enough."""
    now = context.now()
    first = work.missing_since or now
    return None if now >= first + GRACE else msgspec.structs.replace(work, missing_since=first, check_at=now + SEARCH)


def known_elsewhere(context: TurnContext, kind: str, since: int) -> bool:
    """Tells whether no handler here asks for a kind of timer or schedule, due at ``since`` (ms), and another may."""
    known = any(kind in bound.handler.kinds for bound in context.config.handlers)
    return not known and context.now() < since + GRACE


def dead_letter(turn: str, work: Pending, reason: str) -> DeadLetter:
    """Makes the dead letter of what is owed; of an effect that a person wanted again it is the letter it was before."""
    return DeadLetter(
        id=work.dead_letter or f"{turn}.{work.handler}",
        handler=work.handler,
        reason=reason,
        attempts=work.attempt,
        first_error=work.first_error,
        last_error=work.last_error,
        changes=work.changes,
        effect=work.effect,
        doubt=work.doubt,
        external=work.external,
        actions=work.actions,
        origin=work.origin,
    )
