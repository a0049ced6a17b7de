"""Settle a turn: store its results, hand over work for other tickets, and write the ticket's history."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, TurnContext, history_line, utc
from workers.engine.effect import Effect, fingerprint, omit_parts, split_actions
from workers.engine.excerpt import encode_record
from workers.engine.guards import KEPT_TURNS, acting_turn, pause_work
from workers.engine.missing import HANDLER_GRACE, SEARCH
from workers.engine.plan import (
    ALL_OF,
    DeadLetter,
    EffectsByName,
    Entry,
    HandlerWork,
    Handover,
    Pending,
    Plan,
    Record,
    StateDecision,
    TurnDecisions,
    count_calls,
    describe_handler,
    journaled_effects,
)
from workers.engine.steps import Steps
from workers.plugins.actions import describe_denials
from workers.plugins.router import router_of
from workers.store.audit import By
from workers.store.completeness import DELIVERY, SWEEP, MissedChanges
from workers.store.figures import HANDLER, LAG, pack
from workers.store.lanes import WEBHOOK, ClaimedLane, EventForOther, HeldEmail, NothingDue, Settlement, settle
from workers.tickets.change import Actor, Change, brief, matches
from workers.tickets.diff import KIND_OF, property_labels, property_value
from workers.tickets.model import Named, millis, read_ticket
from workers.tickets.snapshot import Snapshot, Timer, add_own_writes, encode, properties

#: After a turn that wrote, its lane waits this long (ms), so that the webhooks of its writes share one read.
SETTLING = 2_000

#: The kinds of changes that nobody made: a schedule or a timer.
OWN_KINDS = ("scheduled", "later", "hook")

#: The states of effects that were certainly not sent.
UNSENT = ("dry", "held", "paused")

Work = TypeVar("Work", bound=HandlerWork)

#: The snapshot of a plan whose ticket was not read.
NOTHING_READ = Snapshot()

#: The effects that ended, each with its key and its entry.
Ended = Sequence[tuple[str, Effect, Entry]]

#: Whether the lease was held, and the result of the claim made together with settling.
Closed = tuple[bool, ClaimedLane | NothingDue | None]


def close(context: TurnContext, plan: Plan, nonce: str | None) -> Steps[Closed]:
    """End a turn and store everything it did; with a ``nonce``, claim the next lane."""
    config, read = context.config, context.take_read_permit()
    ended = list(journaled_effects(plan, context.journal)) if plan.effects else []
    # A ticket that could not be read keeps its previous snapshot, if any: its plan has an empty one.
    snapshot = _final_snapshot(context, plan, ended) if plan.snapshot != NOTHING_READ else None
    encoded_snapshot = encode(snapshot) if snapshot else b""
    timers = snapshot.timers if snapshot else _unread_timers(context)
    pending = (*plan.pending, *_paused_effects(context, plan, ended), *_pending_echoes(context, plan))
    site = plan.site or config.site
    pending = tuple(_for_site(each, site) for each in pending)
    record = _encode_record(context, plan) if plan.changes or plan.verdicts else b""
    by, news = learned(plan, context.lane.store_epoch or 0)
    lines = _limited([*history_lines(plan, context.journal)])
    history = tuple(history_line(context.now(), plan.turn, line) for line in lines)
    settlement = Settlement(
        lane=context.lane.name,
        token=context.lane.token,
        turn=plan.turn,
        handled=plan.handled,
        left=plan.unexplained,
        recheck=plan.recheck_in,
        settling=SETTLING if context.writes else 0,
        quiet=context.config.claim.read and not (plan.changes or plan.verdicts or context.writes),
        retry=min((work.due for work in pending), default=0),
        timer=min(_times(context, plan, timers), default=0),
        timed=context.lane.retry is not None,
        paused=context.lane.pauses.ended if any(work.paused for work in pending) else -1,
        dead_letters={
            each.id: msgspec.json.encode(_for_site(each, site)).decode() for each in dead_letters(plan, context.journal)
        },
        held=tuple(_held_emails(plan, ended)) if ended else (),
        history=history,
        saved=plan.calls_saved,
        learned=by,
        news=len(news),
        missed=_missed(context, plan, news) if by == SWEEP else "",
        reset=_reset(context, plan, snapshot),
        created=tuple(_created_tickets(plan, ended)) if ended else (),
        for_others=tuple(_events_for_others(context, plan)),
        permit=read.id or "",
        outcome=read.outcome if read.id else "",
        age=read.age if read.id else 0,
        lives=_ttls(context, timers),
    )
    encoded_pending = msgspec.json.encode(pending) if pending else b""
    counted = read.counted, pack(_figures(context, plan, ended))
    closed: Closed = yield settle(
        context.lane.account, settlement, encoded_snapshot, record, encoded_pending, config.claim, nonce, counted
    )
    return closed


def _reset(context: TurnContext, plan: Plan, snapshot: Snapshot | None) -> str:
    """Return who reset the ticket's loop guard in this turn, for the audit log; empty if nobody did."""
    before = context.snapshot
    if not (before and before.loop_guard.tripped) or snapshot is None or snapshot.loop_guard.tripped:
        return ""
    actors = {change.actor.kind for change in plan.changes if change.actor.id != context.config.staff_id}
    by_contact = "contact" in actors and before.loop_guard.tripped == "turns"
    who = "a colleague" if "staff" in actors else "a contact" if by_contact else "a replay"
    return By(who, "worker", f"turn {plan.turn}").encode().decode()


#: The verdicts of handlers that ran, or that will not run any more.
COUNTED_VERDICTS = ("decided", "retrying", "dead")


def _figures(context: TurnContext, plan: Plan, ended: Ended) -> dict[str, int]:
    """Return what is counted of a turn; see ``FAMILIES`` in ``store/figures.py``."""
    calls = any(entry.attempts or entry.state == "done" for _, _, entry in ended)
    idle = not (plan.changes or plan.verdicts)
    counted = Counter({f"turn {'acted' if calls else 'nothing-new' if idle else 'no-action'}": 1})
    handled, now = set(plan.handled), context.now()
    for event in context.lane.events:
        if event.source == WEBHOOK and event.id in handled:
            LAG.observe(counted, now - event.at)
    if plan.calls_saved:
        counted["saved"] += plan.calls_saved
    if idle and not ended and not plan.dead_letters:
        return counted
    counted.update(f"change {change.kind}" for change in plan.changes)
    for verdict in plan.verdicts:
        if verdict.state in COUNTED_VERDICTS:
            counted[f"handler {verdict.state} {verdict.handler}"] += 1
            if verdict.state != "dead" or verdict.took:
                HANDLER.observe(counted, verdict.took, verdict.handler)
    counted.update(f"effect {effect.kind} {entry.state}" for _, effect, entry in ended)
    for _, effect, entry in ended:
        if effect.handlers and (sent := max(entry.attempts, entry.state == "done")):
            counted[f"write {router_of(effect.handlers[0])}"] += sent
    counted.update(f"dead_letter {each.handler}" for each in dead_letters(plan, context.journal))
    before = context.snapshot
    if plan.snapshot.loop_guard.tripped and not (before and before.loop_guard.tripped):
        counted["loop_guard"] += 1
    return counted


def learned(plan: TurnDecisions, born: int = 0) -> tuple[str, list[Change]]:
    """Return the changes that others made, and how foxhooks learned of them: by a delivery, by a sweep, or "".

    What happened before the store's birth (ms) is left out: no delivery of it could arrive.
    """
    if not plan.changes:
        return "", []
    news = [change for change in plan.changes if change.kind not in OWN_KINDS and _is_after(change, born)]
    sources = {event.source for event in plan.events} if news else frozenset[str]()
    return (DELIVERY if WEBHOOK in sources else SWEEP if SWEEP in sources else ""), news


def _is_after(change: Change, born: int) -> bool:
    return not change.at or millis(change.at) >= born


def _missed(context: TurnContext, plan: Plan, news: Sequence[Change]) -> str:
    """Return the changes that a sweep found, as they are listed; never what anybody wrote."""
    kinds = tuple(dict.fromkeys(change.kind for change in news))
    happened = min(millis(change.at) for change in news)
    missed = MissedChanges(context.now(), happened, context.lane.ticket, plan.turn, kinds)
    return msgspec.json.encode(missed).decode()


def _for_site(work: Work, site: str) -> Work:
    """Note which account work is for, unless it is known: an address may be given to another account later."""
    return work if work.site else replace(work, site=site)


def _final_snapshot(context: TurnContext, plan: Plan, ended: Ended) -> Snapshot:
    """Return the plan's snapshot with our own confirmed writes added."""
    snapshot = plan.snapshot
    for _, effect, entry in ended:
        own = fingerprint(effect, plan.staff or context.config.staff_id)
        if own and entry.state not in UNSENT:  # an effect that was given up may have happened, or may still happen
            snapshot = add_own_writes(snapshot, fingerprints=[(context.now(), own.shortened())])
        if effect.addresses and (entry.state == "done" or entry.doubt):  # one that may have been sent counts
            snapshot = replace(snapshot, emails=snapshot.emails.one_more())
        if entry.state != "done":
            continue
        sent = omit_parts(effect, entry.omitted)
        snapshot = add_own_writes(
            snapshot,
            ids=entry.updates,
            tags_added=effect.add,
            tags_removed=effect.remove,
            fields=entry.fields,
            unread={name: value for name, value in sent.fields.items() if name not in entry.fields},
            properties=sent.property_values,
            expected=[(context.now(), own)] if entry.expected and own else [],
            undelivered=[context.now()] if own else [],
        )
    handed_over = sum(len(each.actions) for _, each in _live_handovers(context, plan) if not each.by_person)
    calls = count_calls(plan, context.journal) + handed_over
    snapshot = add_own_writes(snapshot, writes=[context.now()] * calls)
    if act := acting_turn(plan, context.journal):
        loop_guard = replace(snapshot.loop_guard, acting_turns=(*snapshot.loop_guard.acting_turns, act)[-KEPT_TURNS:])
        snapshot = replace(snapshot, loop_guard=loop_guard)
    return snapshot


def _unread_timers(context: TurnContext) -> tuple[Timer, ...]:
    """Return the future timers of a ticket that was not read; due ones wait for its next turn.

    A worker without handlers leaves due ones to other workers for a while.
    """
    snapshot, over = context.snapshot, context.now() - (0 if context.config.claim.read else HANDLER_GRACE)
    return tuple(timer for timer in snapshot.timers if timer.due > over) if snapshot else ()


def _times(context: TurnContext, plan: Plan, timers: Iterable[Timer]) -> Iterator[int]:
    """Yield when the lane is due without any event (ms): for its timers, or to read again what no event announces."""
    for timer in timers:
        # One that was due in this turn already waits for a worker that has its handler.
        yield timer.due if timer.due > plan.read_at else context.now() + SEARCH
    if plan.recheck_in and not plan.unexplained:
        yield context.now() + plan.recheck_in


def _ttls(context: TurnContext, timers: Iterable[Timer]) -> dict[str, int]:
    """Return how long things are kept (ms), as ``lua/settle.lua`` reads it; the snapshot outlives its timers."""
    config, last = context.config, max((timer.due - context.now() + DAY for timer in timers), default=0)
    snapshot = max(config.snapshot_ttl, last)
    return {"snapshot": snapshot, "record": config.record_ttl, "dead_letter": config.dead_letter_ttl}


def _encode_record(context: TurnContext, plan: Plan) -> bytes:
    decisions = {name: getattr(plan, name) for name in TurnDecisions.__struct_fields__}
    decisions["effects"] = tuple(map(_without_content, plan.effects))
    lane = context.lane
    record = Record(**decisions, account=lane.account, number=lane.ticket, at=context.now(), journal=context.journal)
    return encode_record(record)


def _without_content(effect: Effect) -> Effect:
    """Return the effect with the names of its files only."""
    return replace(effect, files=tuple(replace(each, content=b"") for each in effect.files)) if effect.files else effect


def dead_letters(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[DeadLetter]:
    """Yield the dead letters of handlers that gave up and of effects that HappyFox refused."""
    yield from plan.dead_letters
    for key, effect, entry in journaled_effects(plan, journal):
        given_up = entry.state == "refused" or (entry.state == "gone" and effect.kind != "delete")
        # Each part gets its own, so that a replay never performs a part of another dead letter.
        for number, part in enumerate(split_actions(effect)) if given_up else ():
            handler = part.handlers[0]
            apart = f".{number}" if number and handler == effect.handler else ""  # set apart from its message
            yield DeadLetter(
                id=f"{plan.turn}.{key}.{handler}{apart}",
                handler=handler,
                reason=entry.reason,
                changes=plan.handler_changes.get(handler, plan.changes),
                effect=part,
                evidence=entry.evidence,
                doubt=entry.doubt,
                external=plan.external.get(handler, {}),
            )


def _held_emails(plan: Plan, ended: Ended) -> Iterator[HeldEmail]:
    """Yield the emails that a brake holds, each with the dead letter that it becomes a part of."""
    for key, effect, entry in ended:
        if entry.held and entry.state == "held":
            letter = DeadLetter(id=entry.held.dead_letter, handler=effect.handler, reason=entry.reason)
            email = DeadLetter(
                id=f"{plan.turn}.{key}",
                handler=effect.handler,
                reason=entry.reason,
                changes=plan.handler_changes.get(effect.handler, plan.changes),
                effect=replace(effect, held=None),
                site=plan.site,
            )
            encoded = [msgspec.json.encode(each).decode() for each in (letter, email)]
            yield HeldEmail(letter.id, encoded[0], email.id, encoded[1])


def _paused_effects(context: TurnContext, plan: Plan, ended: Ended) -> Iterator[Pending]:
    """Yield the effects that a pause held, as work for its end; then they pass all checks again."""
    for key, effect, entry in ended:
        if entry.state == "paused":
            handler = effect.handlers[0]
            changes = plan.handler_changes.get(handler, plan.changes)
            work = Pending(
                handler=handler, effect=effect, changes=changes, first_at=context.now(), replay=effect.by_person
            )
            yield replace(pause_work(work, context.now()), dead_letter=f"{plan.turn}.{key}")


def _live_handovers(context: TurnContext, plan: Plan) -> Iterator[tuple[int, Handover]]:
    """Yield the actions for other tickets with their numbers, except those of handlers that run dry by now."""
    for number, handover in enumerate(plan.handovers):
        if not handover.dry and not plan.dry and not context.config.dry(handover.handler):
            yield number, handover


def _events_for_others(context: TurnContext, plan: Plan) -> Iterator[EventForOther]:
    """Yield the events for the lanes of other tickets."""
    for number, handover in _live_handovers(context, plan):
        dead_letter = DeadLetter(
            id=f"{plan.turn}.on.{number}",
            handler=handover.handler,
            reason=f"requested by a turn of ticket {context.lane.ticket}",
            actions=handover.actions,
            origin=context.lane.ticket,
            since=handover.since,
            until=handover.until,
            by_person=handover.by_person,
            site=plan.site,
        )
        yield EventForOther(dead_letter.id, handover.ticket, msgspec.json.encode(dead_letter).decode())


def _created_tickets(plan: Plan, ended: Ended) -> Iterator[tuple[str, int]]:
    """Yield each creation whose result is known, with the number of its ticket or 0."""
    for key, effect, entry in ended:
        if effect.kind == "create" and (entry.state == "done" or "fields" in entry.evidence):
            yield f"{plan.turn}.{key}", entry.ticket


def _pending_echoes(context: TurnContext, plan: Plan) -> Iterator[Pending]:
    """Yield our own changes as pending work of the routers that ask for them (``echoes=True``).

    These routers see them exactly once, even if HappyFox's webhooks are lost or repeated; other routers never do.
    """
    kinds_of: dict[str, frozenset[str]] = {}
    for bound in context.config.handlers:
        if bound.handler.echoes:
            kinds_of[bound.handler.router] = kinds_of.get(bound.handler.router, frozenset()) | bound.handler.kinds
    now = context.now()
    changes = tuple(_echoes(plan, context.journal, now)) if kinds_of else ()
    for router, kinds in kinds_of.items():
        if any(matches(kinds, change) for change in changes):
            name = ALL_OF.format(router)
            yield Pending(handler=name, changes=changes, first_at=now, retry_at=now + SETTLING)


def _echoes(plan: Plan, journal: Mapping[str, Entry], now: int) -> Iterator[Change]:
    """Yield the changes that a turn's effects made, in their order, dated ``now`` (ms)."""
    ticket = read_ticket(plan.ticket, "")
    before, known = properties(ticket), property_labels(ticket)
    known_fields = {str(field.id): field for field in ticket.field_values}
    at, actor = utc(now), Actor("us", plan.staff or None)
    for _, effect, entry in journaled_effects(plan, journal):
        if entry.state != "done" or entry.reason:  # a reason says that there was nothing to do
            continue
        change = partial(Change, at=at, update_id=entry.updates[0] if entry.updates else None, actor=actor)
        if effect.kind in ("note", "reply"):
            kind = "note-added" if effect.kind == "note" else "staff-replied"
            yield change(kind=kind, text=effect.text, html=effect.html)
        if effect.add or effect.remove:
            yield change(kind="tags-changed", added=frozenset(effect.add), removed=frozenset(effect.remove))
        sent = omit_parts(effect, entry.omitted)
        for name, value in sent.property_values.items():
            old = property_value(name, before[name], known[name])
            yield change(kind=KIND_OF[name], old=old, new=property_value(name, value, effect.names.get(name, "")))
        for field_id in sent.fields:
            value, field = entry.fields.get(field_id, ""), known_fields.get(field_id)
            name = effect.names.get(f"#{field_id}", field.name if field else field_id)
            old = Named(None, field.value) if field and field.value else None
            yield change(kind="field-changed", field=name, old=old, new=Named(None, value) if value else None)


#: The text for each state of a verdict.
VERDICTS = {
    "decided": "decided:",
    "skipped": "skipped:",
    "waits": "waiting:",
    "retrying": "failed, will be retried:",
    "dead": "failed for good:",
}

#: If more handlers than this were skipped, the history only counts them.
MOST_SKIPPED = 10

#: The most lines of one turn in a history.
MOST_LINES = 150

#: The text for each final state of an effect.
ENDS = {
    "done": "done",
    "dry": "not sent (dry run)",
    "withheld": "withheld",
    "refused": "refused",
    "gone": "not sent",
    "split": "sent in parts",
    "held": "held back",
    "paused": "waits for the end of the pause",
}

#: The same for changes in the state of a router, by whether it was a dry run.
STATE_ENDS = {False: "done", True: "not made (dry run)"}

#: The same for effects in other systems.
EXTERNAL_ENDS = {"done": "done", "begun": "may or may not have happened", "dry": "not made (dry run)"}


def _limited(lines: list[str]) -> list[str]:
    """Leave out lines of a very long turn, which would push all earlier turns out of the history."""
    left_out = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"{left_out} more lines are left out"] if left_out > 0 else lines


def history_lines(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[str]:
    """Describe a turn line by line: changes, decisions of handlers, effects."""
    for change in plan.changes:
        yield brief(change)
    if learned(plan)[0] == SWEEP:
        yield "found by a sweep: no delivery had announced it"
    skipped = sum(verdict.state == "skipped" for verdict in plan.verdicts)
    if skipped > MOST_SKIPPED:
        yield f"{skipped} handlers skipped; the turn's record says why"
    for verdict in plan.verdicts:
        if verdict.state != "skipped" or skipped <= MOST_SKIPPED:
            decision = f"{VERDICTS[verdict.state]} {verdict.reason}{describe_denials(verdict.denied, verdict.grant)}"
            yield f"{describe_handler(verdict.handler)} {decision}"
    yield from describe_external(plan.turn, plan.external)
    yield from plan.remarks
    yield from describe_handovers(plan.handovers, plan.dry)
    yield from describe_state(plan.state, plan.dry)
    for _, effect, entry in journaled_effects(plan, journal):
        yield describe_effect(effect, entry)


def describe_external(turn: str, external: Mapping[str, EffectsByName]) -> Iterator[str]:
    """Describe the effects in other systems, without their values."""
    for handler, entries in external.items():
        for name, entry in entries.items():
            end = EXTERNAL_ENDS[entry.state] if entry.turn == turn else "done in an earlier attempt"
            yield f"{handler} effect {name}: {end}"


def describe_handovers(handovers: Iterable[Handover], dry: bool) -> Iterator[str]:
    """Describe the actions for other tickets, without any text that handlers wrote."""
    for each in handovers:
        end = ENDS["dry"] if dry or each.dry else "handed over to its lane"
        yield f"{each.handler}: {each.summary}: {end}"


def describe_state(decisions: Iterable[StateDecision], dry: bool) -> Iterator[str]:
    """Describe what handlers changed in the state of their routers, without values."""
    for each in decisions:
        changes = ", ".join(change.summary for change in each.changes)
        if changes:
            yield f"{each.handler} store: {changes}: {STATE_ENDS[dry or each.dry]}"


def describe_effect(effect: Effect, entry: Entry) -> str:
    """Describe how an effect ended, without any text that handlers wrote."""
    made = f" (update {', '.join(map(str, entry.updates))})" if entry.updates else ""
    made += f" (ticket {entry.ticket})" if entry.ticket else ""
    reason = f", {entry.reason}" if entry.reason else ""
    end = (
        "may or may not have happened" if entry.doubt and entry.state == "gone" else ENDS.get(entry.state, entry.state)
    )
    return f"{effect.summary}: {end}{made}{reason}"
