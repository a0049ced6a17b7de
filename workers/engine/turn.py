"""A turn: one pass over a lane, as a generator of steps without I/O.

    plan stored already?   perform it; check what is old against a new read first
    else                   read the ticket once, compare, run the handlers, store the plan
    perform                per effect: begin, call, done
    settle                 snapshot, record, history; timers and retries make the lane due again

A crash before the plan is stored changed nothing in HappyFox: the handlers decide again, on the same stored reading if
one of them had an effect in another system. A crash after it resumes the plan, and no handler runs again.
"""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from workers.engine.context import DAY, AccountConfig, Parked, TicketMerged, TurnContext
from workers.engine.decide import decide
from workers.engine.missing import (
    add_external_effects,
    make_dead_letter,
    merged_away,
    split_missing_note,
    without_handlers,
    without_ticket,
)
from workers.engine.perform import Performer
from workers.engine.plan import (
    FORMAT,
    DeadLetter,
    Entry,
    Pending,
    Plan,
    Unreadable,
    Verdict,
    decode_entry,
    decode_pending,
    decode_plan,
    decode_replay,
    merge_pending,
)
from workers.engine.read import decode_reading, read_and_compare
from workers.engine.settle import close, dead_letters
from workers.engine.steps import Steps
from workers.errors import LeaseLost, NotNow
from workers.store.lanes import ClaimedLane, NothingDue, store_plan
from workers.tickets.snapshot import Snapshot, decode

#: A turn that was claimed more often than this, without being settled or given back, is given up.
MAX_CLAIMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """How a turn ended."""

    end: str
    """``settled``, ``parked`` or ``lost``."""
    why: str = ""
    plan: Plan | None = None
    journal: dict[str, Entry] | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    next: ClaimedLane | NothingDue | None = None
    """The result of the claim that was made together with settling."""


def take_turn(lane: ClaimedLane, config: AccountConfig, nonce: str | None = None) -> Steps[TurnResult]:
    """Take the turn of a claimed lane; with a ``nonce``, settling also claims the next due lane."""
    context = TurnContext(lane, config)
    if lane.claims > MAX_CLAIMS:
        reason = (
            f"this turn was interrupted or crashed its worker {lane.claims - 1} times: see the log; "
            "its changes are handled with the next event"
        )
        return (yield from _give_up(context, reason, nonce))
    try:
        return (yield from _plan_and_perform(context, nonce))
    except Parked as parked:
        return (yield from _park(context, parked.delay, parked.why))
    except NotNow as refused:
        return (yield from _park(context, refused.wait, f"no permit ({refused.reason})"))
    except Unreadable as error:
        return (yield from _give_up(context, str(error), nonce))
    except LeaseLost:
        return TurnResult(end="lost")


def _plan_and_perform(context: TurnContext, nonce: str | None) -> Steps[TurnResult]:
    if context.lane.plan is not None:
        context.journal = {key: decode_entry(entry) for key, entry in context.lane.journal.items()}
        plan = decode_plan(context.lane.plan)
    else:
        plan = yield from _make_plan(context)
        calls = sum(not effect.dry for effect in plan.effects)
        if calls and not plan.dry:
            read_permit, encoded = context.take_read_permit(), msgspec.json.encode(plan)
            if not (yield store_plan(context.lane, encoded, calls, context.config.claim.budget, read_permit)):
                raise LeaseLost
    yield from Performer(context, plan).perform()
    return (yield from _settle(context, plan, nonce, tuple(dead_letters(plan, context.journal))))


def _make_plan(context: TurnContext) -> Steps[Plan]:
    stored, missing_since = split_missing_note(decode_pending(context.lane.pending))
    replays = (decode_replay(work, by_person=by_person) for work, by_person in context.lane.work)
    pending = add_external_effects(context, merge_pending((*replays, *stored)))
    if not context.config.claim.read:
        return without_handlers(context, _empty_plan(context), pending)
    try:
        if context.lane.reading:
            reading = decode_reading(context.lane.reading, context.config.site)
        elif (read := (yield from read_and_compare(context))) is not None:
            reading = read
        else:
            return without_ticket(context, _empty_plan(context), pending, missing_since)
    except TicketMerged as merged:
        return merged_away(context, _empty_plan(context), pending, str(merged))
    return (yield from decide(context, reading, pending))


def _empty_plan(context: TurnContext) -> Plan:
    """Return the plan of a turn in which there is nothing to decide."""
    return Plan(
        format=FORMAT,
        turn=context.lane.turn,
        read_at=context.now(),
        snapshot=Snapshot(),
        handled=tuple(event.id for event in context.lane.events),
        dry=context.config.dry_run,
        ticket={},
        events=context.lane.events,
    )


def _settle(
    context: TurnContext, plan: Plan, nonce: str | None, dead: tuple[DeadLetter, ...], why: str = ""
) -> Steps[TurnResult]:
    settled, following = yield from close(context, plan, nonce)
    return TurnResult(
        end="settled" if settled else "lost",
        why=why,
        plan=plan,
        journal=context.journal,
        dead_letters=dead,
        next=following,
    )


def _park(context: TurnContext, delay: int, why: str) -> Steps[TurnResult]:
    kept = yield from context.park(delay, why)
    return TurnResult(end="parked" if kept else "lost", why=why)


def _give_up(context: TurnContext, reason: str, nonce: str | None) -> Steps[TurnResult]:
    """End a turn that is unreadable or keeps crashing; dead letters keep what is stored of it, the lane continues.

    Pending work and replays become dead letters of their own, which can be replayed.
    """
    lane, now = context.lane, context.now()
    stored = {
        "plan": lane.plan,
        "pending": lane.pending,
        "reading": lane.reading,
        **{f"e:{name}": entry for name, entry in lane.external.items()},
        **{f"replay {number}": replay for number, replay in enumerate(lane.replays)},
        **{f"j:{key}": entry for key, entry in lane.journal.items()},
    }
    evidence = {key: value.decode("utf-8", "replace") for key, value in stored.items() if value}
    work = [each for each in _add_readable_effects(context, _readable_work(lane)) if each.changes or each.dead_letter]
    dead = (
        DeadLetter(id=f"{lane.turn}.turn", handler="", reason=reason, evidence=evidence),
        *(make_dead_letter(lane.turn, each, reason) for each in work),
    )
    # The changes come again with the next event; what handlers did in other systems must not be repeated then.
    notes = [msgspec.structs.replace(note, check_at=now + DAY) for note in _add_readable_effects(context, ())]
    plan = msgspec.structs.replace(
        _empty_plan(context),
        remarks=(reason,),
        dead_letters=dead,
        verdicts=(Verdict(handler="", state="dead", reason=reason),),
        pending=tuple(notes),
    )
    if (snapshot := decode(lane.snapshot)) is not None:
        # Nobody knows which effects happened: until the last call can no longer land, our updates start nothing.
        until = now + context.config.call_ms + context.config.doubt_ms
        plan = msgspec.structs.replace(plan, snapshot=msgspec.structs.replace(snapshot, untrusted_until=until))
    context.journal = {}
    return (yield from _settle(context, plan, nonce, dead, reason))


def _add_readable_effects(context: TurnContext, pending: tuple[Pending, ...]) -> tuple[Pending, ...]:
    """Add what was done in other systems, if that can be read."""
    with suppress(Unreadable):
        return add_external_effects(context, pending)
    return pending


def _readable_work(lane: ClaimedLane) -> tuple[Pending, ...]:
    """Return the pending work and replays that can be read."""
    work: list[Pending] = []
    for stored, by_person in lane.work:
        with suppress(Unreadable):
            work.append(decode_replay(stored, by_person=by_person))
    with suppress(Unreadable):
        work += split_missing_note(decode_pending(lane.pending))[0]
    return merge_pending(work)
