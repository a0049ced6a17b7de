"""A turn: one pass over a lane, as a generator of steps without I/O.

    plan stored already?   perform it; what is old is held against a fresh read first
    else                   read the ticket, once; compare; every handler decides; store the plan
    perform                per effect: begin, call, done
    settle                 last seen, record, trail; the lane goes on, or its timers and retries make it due later

A crash before the plan is stored changed nothing in HappyFox: the handlers decide again, and if one of them had an
effect in another system, on the reading that was frozen for it. A crash after it resumes the plan and runs no handler
again.
"""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from workers.engine.context import DAY, AccountConfig, LaneLost, Parked, TicketMerged, TurnContext
from workers.engine.decide import decide
from workers.engine.missing import begun, dead_letter, merged_away, part, without_handlers, without_ticket
from workers.engine.perform import Performer
from workers.engine.plan import (
    FORMAT,
    DeadLetter,
    Entry,
    Pending,
    Plan,
    Unreadable,
    Verdict,
    decode_pending,
    decode_plan,
    decode_replay,
    merge_pending,
)
from workers.engine.read import decode_reading, read_and_compare
from workers.engine.settle import close, dead_letters
from workers.engine.steps import Steps, ask
from workers.errors import LeaseLost, NotNow
from workers.store.lanes import ClaimedLane, NothingDue, store_plan
from workers.tickets.snapshot import Snapshot, decode

#: Claims of one turn that never came to an end or back: whatever it is that ends its workers, it stops here.
POISON = 10


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended, for logs and for whoever drives it; ``next`` is what the claim made with the settling got."""

    end: str
    why: str = ""
    plan: Plan | None = None
    journal: dict[str, Entry] | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    next: ClaimedLane | NothingDue | None = None


def take_turn(lane: ClaimedLane, config: AccountConfig, nonce: str | None = None) -> Steps[TurnResult]:
    """Works a claimed lane to the end of its turn: ``settled``, ``parked`` or ``lost``.

    With a ``nonce`` settling also claims the next due lane.
    """
    context = TurnContext(lane, config)
    if lane.claims > POISON:
        reason = (
            f"this turn broke off {lane.claims - 1} times, or ended its worker: see the log; "
            "its changes are handled with the next event"
        )
        return (yield from _give_up_turn(context, reason, nonce))
    try:
        return (yield from _turn(context, nonce))
    except Parked as parked:
        return (yield from _park(context, parked.delay, parked.why))
    except NotNow as refused:
        return (yield from _park(context, refused.wait, f"no permit ({refused.reason})"))
    except Unreadable as error:
        return (yield from _give_up_turn(context, str(error), nonce))
    except (LaneLost, LeaseLost):
        return TurnResult("lost")


def _turn(context: TurnContext, nonce: str | None) -> Steps[TurnResult]:
    if context.lane.plan is not None:
        context.resume()
        plan = decode_plan(context.lane.plan)
    else:
        plan = yield from _make_plan(context)
        calls = sum(not effect.dry for effect in plan.effects)
        if calls and not plan.dry:
            read_permit, encoded = context.take_read_permit(), msgspec.json.encode(plan)
            stored = store_plan(context.lane, encoded, calls, context.config.budget, read_permit)
            if not (yield from ask(stored)):
                raise LaneLost
    yield from Performer(context, plan).perform()
    settled, following = yield from close(context, plan, nonce)
    dead = tuple(dead_letters(plan, context.journal))
    return TurnResult("settled" if settled else "lost", "", plan, context.journal, dead, following)


def _make_plan(context: TurnContext) -> Steps[Plan]:
    stored, missing = part(decode_pending(context.lane.pending))
    pending = begun(context, merge_pending((*map(decode_replay, context.lane.replays), *stored)))
    if not context.config.claim.read:
        return without_handlers(context, _empty(context, ""), pending)
    frozen = context.lane.reading
    try:
        reading = decode_reading(frozen, context.config.site) if frozen else (yield from read_and_compare(context))
    except TicketMerged as merged:
        return merged_away(context, _empty(context, ""), pending, str(merged))
    if reading is None:
        return without_ticket(context, _empty(context, ""), pending, missing)
    return (yield from decide(context, reading, pending))


def _empty(context: TurnContext, remark: str) -> Plan:
    """Gives the plan of a turn in which there is nothing to decide."""
    return Plan(
        format=FORMAT,
        turn=context.lane.turn,
        read_at=context.now(),
        snapshot=Snapshot(),
        changes=(),
        verdicts=(),
        effects=(),
        pending=(),
        dead_letters=(),
        remarks=(remark,) if remark else (),
        handled=tuple(event.id for event in context.lane.events),
        unexplained=(),
        recheck_in=0,
        dry=context.config.dry_run,
        ticket={},
        events=context.lane.events,
    )


def _park(context: TurnContext, delay: int, why: str) -> Steps[TurnResult]:
    kept = yield from context.park(delay, why)
    return TurnResult("parked" if kept else "lost", why)


def _give_up_turn(context: TurnContext, reason: str, nonce: str | None) -> Steps[TurnResult]:
    """Ends a turn that cannot go on, unreadable or deadly: dead letters keep what is stored, the lane goes on.

    What was owed, or wanted again, becomes a letter of its own that can be replayed.
    """
    lane = context.lane
    kept = {
        "plan": lane.plan,
        "pending": lane.pending,
        "reading": lane.reading,
        **{f"e:{name}": entry for name, entry in lane.external.items()},
        **{f"replay {number}": replay for number, replay in enumerate(lane.replays)},
        **{f"j:{key}": entry for key, entry in lane.journal.items()},
    }
    evidence = {key: value.decode("utf-8", "replace") for key, value in kept.items() if value}
    kept_as = DeadLetter(id=f"{lane.turn}.turn", handler="", reason=reason, evidence=evidence)
    pending = _begun(context, _readable(lane))
    dead = (kept_as, *(dead_letter(lane.turn, work, reason) for work in pending if work.changes or work.dead_letter))
    # The changes come again, and must not do again what they did elsewhere.
    notes = tuple(msgspec.structs.replace(note, check_at=context.now() + DAY) for note in _begun(context, ()))
    said = (Verdict(handler="", state="dead", reason=reason),)
    plan = msgspec.structs.replace(_empty(context, reason), dead_letters=dead, verdicts=said, pending=notes)
    if (snapshot := decode(lane.snapshot)) is not None:
        # What of it was done is not known any more: our rows until its last call can land start nothing.
        until = context.now() + context.config.call_ms + context.config.doubt_ms
        plan = msgspec.structs.replace(plan, snapshot=msgspec.structs.replace(snapshot, untrusted_until=until))
    context.journal = {}
    settled, following = yield from close(context, plan, nonce)
    return TurnResult("settled" if settled else "lost", reason, plan, {}, dead, following)


def _begun(context: TurnContext, pending: tuple[Pending, ...]) -> tuple[Pending, ...]:
    """Adds what was done in other systems, if that can be read."""
    with suppress(Unreadable):
        return begun(context, pending)
    return pending


def _readable(lane: ClaimedLane) -> tuple[Pending, ...]:
    """Gives what of the owed and of the replays can be read."""
    found: list[Pending] = []
    for stored in lane.replays:
        with suppress(Unreadable):
            found.append(decode_replay(stored))
    with suppress(Unreadable):
        found += part(decode_pending(lane.pending))[0]
    return merge_pending(found)
