"""Handle work whose ticket or handler cannot be found; either may be temporary.

HappyFox may answer 404 by mistake, the API key may get access to a ticket later, and during a rolling deploy an old
worker does not have the new handlers.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, NO_NOTE, TicketUnreadable, TurnContext, utc
from workers.engine.plan import (
    ALL_OF,
    TICKET,
    DeadLetter,
    ExternalEffect,
    HandlerWork,
    Pending,
    Plan,
    Verdict,
    decode_stored,
)
from workers.store.lanes import HOOK, SCHEDULE, EventSummary
from workers.tickets.change import Change, hook_kind

#: How long (ms) after the first 404 a ticket is read again. After the last 404 it is gone.
RECHECKS = (5_000, 35_000, 155_000, 900_000)

#: The same if the API key may not read the ticket, and if HappyFox answers other calls but fails to send this ticket.
DENIED_RECHECKS = (60_000, 360_000, 2_160_000, 9_360_000)
FAILED_RECHECKS = (5_000, 35_000, 155_000, 900_000, *range(3_600_000, DAY, 7_200_000), DAY)

#: How long (ms) work waits for a worker that has its handler, and how often one is looked for.
HANDLER_GRACE, SEARCH = 600_000, 60_000

#: Why work is dead-lettered if no worker has its handler.
NO_HANDLER = "no handler with this name runs any more; it was renamed or removed"

#: What other systems send.
_DATA = msgspec.json.Decoder(dict[str, Any])

#: Why a call of another system is dead-lettered.
NO_HOOK = 'no handler receives it: write @router.on("hook") in that router, or correct the URL of the other system'

#: Why work is dead-lettered if its ticket is gone, or never existed: actions for another ticket name its number.
GONE = "the ticket is gone: HappyFox repeatedly answered 404"
NO_TICKET = "HappyFox has no such ticket: it repeatedly answered 404; correct the number or the handler"

#: How to fix a ticket that cannot be read.
GIVE_ACCESS = "give the owner of the key access to the ticket's category in HappyFox, then replay this"
LOOK = "look at the ticket in HappyFox, then replay this"


def split_note(pending: Iterable[Pending]) -> tuple[tuple[Pending, ...], Pending]:
    """Separate work from the note on earlier reads that failed; a replay may bring another note."""
    listed = tuple(pending)
    notes = [work for work in listed if work.handler == TICKET]
    if not notes:
        return listed, NO_NOTE
    note = Pending(
        handler=TICKET,
        missing_since=min((each.missing_since for each in notes if each.missing_since), default=0),
        events_since=min((each.events_since for each in notes if each.events_since), default=0),
        created_at=min((each.created_at for each in notes if each.created_at), default=0),
    )
    return tuple(work for work in listed if work.handler != TICKET), note


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


def ms_until_recheck(since: int, now: int, problem: TicketUnreadable | None = None) -> int:
    """Return the ms until a ticket that is missing ``since`` (ms) is read again, 0 if it is given up."""
    rechecks = RECHECKS if problem is None else DENIED_RECHECKS if problem.denied else FAILED_RECHECKS
    return next((since + age - now for age in rechecks if since + age > now), 0)


def explain_unreadable(problem: TicketUnreadable) -> str:
    """Return why work of a ticket is given up that cannot be read, and how to fix that."""
    return f"{problem}: {GIVE_ACCESS if problem.denied else LOOK}"


def without_ticket(
    context: TurnContext, empty: Plan, pending: Sequence[Pending], problem: TicketUnreadable | None = None
) -> Plan:
    """Return the plan for a ticket that HappyFox does not have, or that cannot be read because of a ``problem``.

    Events and work wait, and are finally given up. The snapshot stays: if the ticket comes back, its next turn finds
    all changes since then.
    """
    now = context.now()
    first = context.note.missing_since or now
    delay = ms_until_recheck(first, now, problem)
    if not delay and problem is not None:
        return _give_up_unreadable(context, empty, pending, problem)
    if not delay:
        lost = (*pending, *hook_work(hook_changes(context.lane.events, context)))
        dead = tuple(make_dead_letter(empty.turn, work, GONE if _names_own(work) else NO_TICKET) for work in lost)
        return replace(empty, dead_letters=dead, remarks=("the ticket is gone",))
    note = replace(context.note, first_at=first, missing_since=first)
    return replace(
        empty,
        # Events that carry a replay leave the lane: their work is pending from now on.
        handled=tuple(event.id for event in context.lane.events if event.work),
        unexplained=tuple(event.id for event in context.lane.events if not event.work),
        recheck_in=delay,
        pending=tuple(replace(work, check_at=now + delay) for work in (*pending, note)),
        remarks=(str(problem or "HappyFox does not know the ticket (404)"),),
    )


def _give_up_unreadable(
    context: TurnContext, empty: Plan, pending: Sequence[Pending], problem: TicketUnreadable
) -> Plan:
    """Return the plan that gives up the work of a ticket and its events, which are one dead letter together."""
    reason = explain_unreadable(problem)
    # A schedule finds the ticket again.
    events = [event for event in context.lane.events if not event.work and event.source not in (SCHEDULE, HOOK)]
    since = [event.since or event.at for event in events] + [context.note.events_since or context.now()]
    created = [event.since or event.at for event in events if event.kind == "created"]
    created += [context.note.created_at] * bool(context.note.created_at)
    note = replace(context.note, events_since=min(since), created_at=min(created, default=0))
    given_up = (note, *pending) if events or context.note.events_since else pending
    given_up = (*given_up, *hook_work(hook_changes(context.lane.events, context)))
    dead = tuple(make_dead_letter(empty.turn, work, reason) for work in given_up)
    return replace(empty, dead_letters=dead, remarks=(reason,))


def _names_own(work: Pending) -> bool:
    """Return whether the number of work's ticket comes from HappyFox: not from a handler or another system."""
    return not work.actions and not any(change.kind == HOOK for change in work.changes)


def hook_changes(events: Iterable[EventSummary], context: TurnContext) -> Iterator[Change]:
    """Yield a change for each of the events that is a call of another system."""
    for event in events:
        if event.source == HOOK and event.id in context.lane.bodies:
            router, _, name = event.handler.partition(" ")
            data = _DATA.decode(context.lane.bodies[event.id])
            yield Change(kind="hook", at=utc(event.at), name=name, to=router, data=data)


def hook_work(changes: Iterable[Change]) -> Iterator[Pending]:
    """Yield the work of each router whose hooks no handler received; a replay is for all of its handlers."""
    by_router: dict[str, list[Change]] = {}
    for change in changes:
        by_router.setdefault(change.to, []).append(change)
    for router, found in by_router.items():
        yield Pending(handler=ALL_OF.format(router), changes=tuple(found), attempt=1)


def hook_waits(context: TurnContext, event: EventSummary) -> bool:
    """Return whether only other workers may have a handler for a call of another system."""
    router, _, name = event.handler.partition(" ")
    return all(known_elsewhere(context, kind, event.at) for kind in (hook_kind(router), hook_kind(router, name)))


def merged_away(context: TurnContext, empty: Plan, pending: Sequence[Pending], why: str) -> Plan:
    """Return the plan for a ticket that was merged into another one: all work is dead-lettered.

    Its timers end. The rest of the snapshot stays, so that the surviving ticket's turns know what was shown here.
    """
    snapshot = context.snapshot
    timers = snapshot.timers if snapshot else ()
    return replace(
        empty,
        dead_letters=tuple(
            make_dead_letter(empty.turn, work, why)
            for work in (*pending, *hook_work(hook_changes(context.lane.events, context)))
        ),
        verdicts=tuple(
            Verdict(handler=work.handler, state="dead", reason=why, attempt=work.attempt) for work in pending
        ),
        remarks=(why, *(f"{timer.words}: ended, because {why}" for timer in timers)),
        snapshot=replace(snapshot, timers=()) if snapshot and timers else empty.snapshot,
    )


def without_handlers(context: TurnContext, empty: Plan, pending: Sequence[Pending]) -> Plan:
    """Return the plan of a worker that has no handlers at all."""
    if not pending:
        return empty
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
    return DeadLetter(
        id=work.dead_letter or f"{turn}.{work.handler or 'ticket'}", reason=reason, attempts=work.attempt, **shared
    )
