"""A turn: one pass over a lane, as a generator of steps without I/O.

    plan stored already?   perform it; if it is old, compare it with a new read first
    else                   read the ticket, compare, run the handlers, store the plan
    perform                per effect: begin, call, done
    settle                 snapshot, record, history; timers and retries make the lane due again

A crash before the plan is stored has changed nothing in HappyFox: the handlers decide again, on the same stored reading
if one of them had an effect in another system. After a crash later on, the plan is resumed and no handler runs again.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, AccountConfig, Parked, TicketMerged, TicketUnreadable, TurnContext, history_line
from workers.engine.decide import decide
from workers.engine.missing import (
    add_external_effects,
    make_dead_letter,
    merged_away,
    split_note,
    without_handlers,
    without_ticket,
)
from workers.engine.perform import Performer
from workers.engine.plan import (
    FORMAT,
    TICKET,
    DeadLetter,
    Entry,
    Pending,
    Plan,
    Unreadable,
    Verdict,
    decode_pending,
    decode_replay,
    decode_stored,
    merge_pending,
)
from workers.engine.read import Reading, decode_reading, read_and_compare
from workers.engine.settle import close, dead_letters
from workers.engine.state import MAX_DECISIONS, encode_state
from workers.engine.steps import Steps
from workers.errors import LeaseLost, NotNow
from workers.store.lanes import ClaimedLane, NothingDue, PlanStored, park, store_plan
from workers.tickets.snapshot import Snapshot

#: A turn that was claimed more often than this, without being settled or released, is given up. What its plan has done
#: by then counts. If that cannot be stored either, all of it is given up at the second limit.
MAX_CLAIMS, MAX_CLAIMS_OF_PLAN = 10, 20

#: The most characters of each stored value of such a turn that its dead letter keeps.
MOST_EVIDENCE = 20_000

#: How long (ms) a lane waits for a worker with the newer version that has stored something of it.
NEWER_DELAY = 60_000


class TurnResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended."""

    end: str
    """``settled``, ``parked`` or ``lost``."""
    why: str = ""
    plan: Plan | None = None
    journal: dict[str, Entry] | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    newer: bool = False
    """Whether it was left to a worker with a newer version."""
    next: ClaimedLane | NothingDue | None = None
    """The result of the claim that was made together with settling."""


class TooManyCrashes(Exception):
    """The turn crashed its worker repeatedly."""


def take_turn(lane: ClaimedLane, config: AccountConfig, nonce: str | None = None) -> Steps[TurnResult]:
    """Take the turn of a claimed lane; with a ``nonce``, settling also claims the next due lane."""
    context, why = TurnContext(lane, config), ""
    if newer := _newer_part(lane):
        return (yield from _leave_to_newer(context, newer))
    try:
        try:
            plan = yield from _plan_and_perform(context)
        except (TooManyCrashes, Unreadable) as error:
            why = str(error)
            plan = _give_up(context, why)
        settled, following = yield from close(context, plan, nonce)
    except Parked as parked:
        return (yield from _park(context, parked.delay, parked.why))
    except NotNow as refused:
        return (yield from _park(context, refused.wait, f"no permit ({refused.reason})"))
    except LeaseLost:
        return TurnResult(end="lost")
    return TurnResult(
        end="settled" if settled else "lost",
        why=why,
        plan=plan,
        journal=context.journal,
        dead_letters=tuple(dead_letters(plan, context.journal)),
        next=following,
    )


class _Numbered(msgspec.Struct):
    """Any stored value that has the number of its format."""

    format: int = 1


class _NumberedList(msgspec.Struct, array_like=True):
    """The same for a snapshot, whose members have no names."""

    format: int = 1


_NUMBERED, _NUMBERED_LIST = msgspec.json.Decoder(_Numbered), msgspec.json.Decoder(_NumberedList)


def _newer_part(lane: ClaimedLane) -> str:
    """Return what of a lane a newer version has stored, nothing if this version can read all of it."""
    parts: list[tuple[str, msgspec.json.Decoder[Any], Iterable[bytes | None]]] = [
        ("the snapshot", _NUMBERED_LIST, [lane.snapshot]),
        ("the plan", _NUMBERED, [lane.plan]),
        ("the reading", _NUMBERED, [lane.reading]),
        ("the journal", _NUMBERED, [*lane.journal.values(), *lane.external.values()]),
        ("the replay", _NUMBERED, lane.replays),
    ]
    for name, decoder, values in parts:
        for stored in [each for each in values if each]:
            with suppress(msgspec.DecodeError):  # what is corrupt is found later
                if decoder.decode(stored).format > FORMAT:
                    return name
    return ""


def _leave_to_newer(context: TurnContext, what: str) -> Steps[TurnResult]:
    """Release a lane untouched: reading it as new, or giving it up, would destroy what a newer version knows."""
    lane, config = context.lane, context.config
    permit, life = context.take_read_permit(), config.record_ttl
    kept = yield park(lane, NEWER_DELAY, config.claim.budget, permit, "", life)
    why = f"{what} was stored by a newer version of foxhooks: update this worker, or wait for one with that version"
    return TurnResult(end="parked" if kept else "lost", why=why, newer=bool(kept))


def _park(context: TurnContext, delay: int, why: str) -> Steps[TurnResult]:
    """Release the lane for ``delay`` ms."""
    lane, config = context.lane, context.config
    line = history_line(context.now(), lane.turn, f"waits {delay / 1000:g} s: {why}") if delay >= 1_000 else ""
    kept = yield park(lane, delay, config.claim.budget, context.take_read_permit(), line, config.record_ttl)
    return TurnResult(end="parked" if kept else "lost", why=why)


def _plan_and_perform(context: TurnContext) -> Steps[Plan]:
    lane = context.lane
    crashes = f"this turn was interrupted or crashed its worker {lane.claims - 1} times: see the log"
    if lane.claims > (MAX_CLAIMS if lane.plan is None else MAX_CLAIMS_OF_PLAN):
        raise TooManyCrashes(f"{crashes}; its changes are handled with the next event")
    if lane.plan is not None:
        context.journal = {key: decode_stored(entry, Entry, "the journal") for key, entry in lane.journal.items()}
        plan = _doubt(context, decode_stored(lane.plan, Plan, "the stored plan"))
        if lane.claims > MAX_CLAIMS:
            Performer(context, plan).give_up(crashes)
            return plan
    else:
        plan = yield from _decide_and_store(context)
    if plan.effects:
        yield from Performer(context, plan).perform()
    return plan


def _decide_and_store(context: TurnContext) -> Steps[Plan]:
    """Make a plan and store it if it changes anything; decide again if what handlers read has changed since."""
    reading: Reading | None = None
    for _ in range(MAX_DECISIONS):
        plan, reading = yield from _make_plan(context, reading)
        calls, state = sum(not effect.dry for effect in plan.effects), encode_state(plan)
        if not state and (plan.dry or not calls):
            return plan
        read_permit, encoded = context.take_read_permit(), msgspec.json.encode(plan)
        stored: PlanStored = yield store_plan(
            context.lane, encoded, calls, context.config.claim.budget, read_permit, state
        )
        if stored == "lost":
            raise LeaseLost
        if stored == "stored":
            return plan
    # The wait comes from the turn's id, so that turns do not wait in step.
    raise Parked(50 + crc32(context.lane.token.encode()) % 200, "other turns keep changing the store of its handlers")


def _doubt(context: TurnContext, plan: Plan) -> Plan:
    """Mark the effects of a plan whose ticket was read before the store lost time: each may have been done.

    Updates of that time by our staff member are ours. The snapshot stays in doubt: the next turn looks for more.
    """
    memory, config = context.lane.memory, context.config
    if plan.snapshot.doubts >= memory.doubts:
        return plan
    until = max(plan.snapshot.untrusted_until, memory.at + config.call_ms + config.doubt_ms)
    return replace(
        plan,
        snapshot=replace(plan.snapshot, untrusted_until=until),
        effects=tuple(replace(effect, maybe_since=memory.ends) for effect in plan.effects),
        remarks=(*plan.remarks, f"{memory.cause}: its effects were looked up first"),
    )


def _make_plan(context: TurnContext, reading: Reading | None) -> Steps[tuple[Plan, Reading | None]]:
    """Make the plan of a turn from its reading, or from a new one; return both.

    Work for another account that had this name before becomes dead letters.
    """
    config, lane = context.config, context.lane
    replays = (decode_replay(work, by_person=by_person) for work, by_person in lane.work)
    work = (*replays, *decode_pending(lane.pending))
    ours = [each for each in work if not config.wrong_site(each.site)]
    plan, reading = yield from _plan_work(context, ours, reading)
    for each in work:
        if (why := config.wrong_site(each.site)) and (each.handler != TICKET or each.events_since):
            dead = make_dead_letter(lane.turn, each, why)
            verdict = Verdict(handler=each.handler, state="dead", reason=why, attempt=each.attempt)
            plan = replace(plan, dead_letters=(*plan.dead_letters, dead), verdicts=(*plan.verdicts, verdict))
    return plan, reading


def _plan_work(
    context: TurnContext, work: Sequence[Pending], reading: Reading | None
) -> Steps[tuple[Plan, Reading | None]]:
    work, context.note = split_note(work)
    pending = add_external_effects(context, merge_pending(work))
    if not context.config.claim.read:
        return without_handlers(context, _empty_plan(context), pending), None
    try:
        reading = reading or (yield from _read(context))
        if reading is None:
            return without_ticket(context, _empty_plan(context), pending), None
    except TicketUnreadable as problem:
        return without_ticket(context, _empty_plan(context), pending, problem), None
    except TicketMerged as merged:
        return merged_away(context, _empty_plan(context), pending, str(merged)), None
    return _doubt(context, (yield from decide(context, reading, pending))), reading


def _read(context: TurnContext) -> Steps[Reading | None]:
    """Return what handlers were shown before, or a new reading.

    It is a new one, too, if the store has lost how the turn went on after the stored one.
    """
    stored = context.lane.reading and decode_reading(context.lane.reading, context.config.site)
    if stored and stored.diff.snapshot.doubts >= context.lane.memory.doubts:
        return stored
    fresh = yield from read_and_compare(context)
    return stored if stored and not (fresh and fresh.diff.lost) else fresh


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


def _give_up(context: TurnContext, reason: str) -> Plan:
    """Return the plan that ends a turn which is unreadable or keeps crashing.

    One dead letter keeps all that is stored of it. Pending work and replays become dead letters of their own, which
    can be replayed.
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
    evidence = {key: _cut(value.decode("utf-8", "replace")) for key, value in stored.items() if value}
    work = [each for each in _add_readable_effects(context, _readable_work(lane)) if each.changes or each.dead_letter]
    dead = (
        DeadLetter(id=f"{lane.turn}.turn", handler="", reason=reason, evidence=evidence),
        *(make_dead_letter(lane.turn, each, reason) for each in work),
    )
    # The changes are found again with the next event; effects in other systems must not be repeated then.
    notes = [replace(note, check_at=now + DAY) for note in _add_readable_effects(context, ())]
    plan = replace(
        _empty_plan(context),
        remarks=(reason,),
        dead_letters=dead,
        verdicts=(Verdict(handler="", state="dead", reason=reason),),
        pending=tuple(notes),
    )
    if (snapshot := context.snapshot) is not None:
        # It is unknown which effects happened: until the last call can no longer land, our updates start no handler.
        until = now + context.config.call_ms + context.config.doubt_ms
        plan = replace(plan, snapshot=replace(snapshot, untrusted_until=until))
    context.journal = {}
    return plan


def _cut(text: str) -> str:
    return text if len(text) <= MOST_EVIDENCE else f"{text[:MOST_EVIDENCE]}… ({len(text):,} characters)"


def _add_readable_effects(context: TurnContext, pending: tuple[Pending, ...]) -> tuple[Pending, ...]:
    """Add the effects in other systems, if they are readable."""
    with suppress(Unreadable):
        return add_external_effects(context, pending)
    return pending


def _readable_work(lane: ClaimedLane) -> tuple[Pending, ...]:
    """Return the pending work and replays that are readable."""
    work: list[Pending] = []
    for stored, by_person in lane.work:
        with suppress(Unreadable):
            work.append(decode_replay(stored, by_person=by_person))
    with suppress(Unreadable):
        work += decode_pending(lane.pending)
    return merge_pending(split_note(work)[0])
