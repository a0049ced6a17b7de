"""Echoes: the changes that we made ourselves, for the routers that ask for them. Pure.

They are owed to such a router when the turn that made them settles, and so are presented once, whatever happens to
HappyFox's webhook of them. No other router is ever shown one.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from workers.engine.context import DAY, TurnContext, trail_line
from workers.engine.guards import KEPT, acted
from workers.engine.missing import GRACE, SEARCH
from workers.engine.plan import (
    ALL_OF,
    DeadLetter,
    Effect,
    EffectsByName,
    Entry,
    Handover,
    Pending,
    Plan,
    Record,
    fingerprint,
    pieces,
    split,
    whom,
)
from workers.engine.steps import Steps, ask
from workers.plugins.actions import denials
from workers.plugins.invoke import Bound
from workers.store.lanes import ClaimedLane, EventForOther, NothingDue, Settlement, settle
from workers.tickets.change import Actor, Change, brief, matches
from workers.tickets.diff import KIND_OF, labels, named
from workers.tickets.model import Named, TicketRead, read_ticket
from workers.tickets.snapshot import Snapshot, Timer, advance, decode, encode, properties


def pending_echoes(
    plan: Plan, journal: Mapping[str, Entry], handlers: tuple[Bound, ...], now: int, due: int
) -> Iterator[Pending]:
    """Gives what the routers that hear our own changes are owed of a turn, at ``due``; times in ms."""
    hearing: dict[str, frozenset[str]] = {}
    for bound in handlers:
        if bound.handler.echoes:
            hearing[bound.handler.router] = hearing.get(bound.handler.router, frozenset()) | bound.handler.kinds
    changes = tuple(echoes(plan, journal, now)) if hearing else ()
    for router, kinds in hearing.items():
        if any(matches(kinds, change) for change in changes):
            yield Pending(ALL_OF.format(router), changes, 0, now, "", "", due)


def echoes(plan: Plan, journal: Mapping[str, Entry], now: int) -> Iterator[Change]:
    """Gives the changes that the effects of a turn made, in their order, dated ``now`` (ms)."""
    at, ticket = datetime.fromtimestamp(now / 1000, UTC), read_ticket(plan.ticket, "")
    for _, effect, entry in pieces(plan, journal):
        if entry.state == "done" and not entry.said:  # what is said is that there was nothing to do
            yield from _echo(effect, entry, ticket, at, Actor("us", plan.staff or None))


def _echo(effect: Effect, entry: Entry, ticket: TicketRead, at: datetime, actor: Actor) -> Iterator[Change]:
    update = entry.updates[0] if entry.updates else None
    if effect.sort in ("note", "reply"):
        kind = "note-added" if effect.sort == "note" else "staff-replied"
        yield Change(kind=kind, at=at, update_id=update, actor=actor, text=effect.text, html=effect.html)
    if effect.add or effect.remove:
        added, removed = frozenset(effect.add), frozenset(effect.remove)
        yield Change(kind="tags-changed", at=at, update_id=update, actor=actor, added=added, removed=removed)
    before, known = properties(ticket), labels(ticket)
    values = {name: value for name, value in effect.set.items() if name not in entry.without}
    if effect.sort == "move":
        values["category"] = effect.category
    for name, value in values.items():
        old = named(name, before[name], known[name])
        new = named(name, "" if value is None else str(value), effect.names.get(name, ""))
        yield Change(kind=KIND_OF[name], at=at, update_id=update, actor=actor, old=old, new=new)
    fields = {str(field.id): field for field in ticket.field_values}
    for identity in effect.fields:
        if f"#{identity}" not in entry.without:
            now_, then = entry.fields.get(identity, ""), fields.get(identity)
            yield Change(
                kind="field-changed",
                at=at,
                update_id=update,
                actor=actor,
                field=effect.names.get(f"#{identity}", then.name if then else identity),
                old=Named(None, then.value) if then and then.value else None,
                new=Named(None, now_) if now_ else None,
            )


# The story of a turn in plain words, for the trail and for whoever explains it.


#: So many handlers that did not run are told one by one in the trail; of more only how many they are.
FEW = 10

#: How the ends of an effect are told.
ENDS = {
    "done": "done",
    "dry": "not sent (dry run)",
    "withheld": "withheld",
    "refused": "refused",
    "gone": "not sent",
    "split": "refused as a whole, sent in parts",
}

#: The same for effects in other systems.
FOREIGN_ENDS = {"done": "done", "begun": "may or may not have happened", "dry": "not made (dry run)"}


def foreign_story(turn: str, external: Mapping[str, EffectsByName]) -> Iterator[str]:
    """Tells what handlers did in other systems; the values stay in the record."""
    for handler, entries in external.items():
        for name, entry in entries.items():
            end = FOREIGN_ENDS[entry.state] if entry.turn == turn else "done in an earlier attempt"
            yield f"{handler} effect {name}: {end}"


def handed_story(handed: Iterable[Handover], dry: bool) -> Iterator[str]:
    """Tells what handlers want of other tickets, without the words."""
    for each in handed:
        yield f"{each.handler}: {each.words}: " + (ENDS["dry"] if dry or each.dry else "handed over to its lane")


def story(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[str]:
    """Tells the turn in plain words: what changed, what each handler said, what was done."""
    for change in plan.changes:
        yield brief(change)
    skipped = sum(verdict.state == "skipped" for verdict in plan.verdicts)
    if skipped > FEW:
        yield f"{skipped} handlers did not run; the turn's record tells why"
    for verdict in plan.verdicts:
        if verdict.state == "skipped" and skipped > FEW:
            continue
        yield f"{whom(verdict.handler)} {verdict.state}: {verdict.reason}{denials(verdict.denied)}"
    yield from foreign_story(plan.turn, plan.external)
    yield from plan.remarks
    yield from handed_story(plan.handed, plan.dry)
    for _, effect, entry in pieces(plan, journal):
        yield effect_story(effect, entry)


def effect_story(effect: Effect, entry: Entry) -> str:
    """Tells how an effect ended, without its words."""
    updates = f" (row {', '.join(map(str, entry.updates))})" if entry.updates else ""
    updates += f" (ticket {entry.ticket})" if entry.ticket else ""
    return f"{effect.words}: {ENDS.get(entry.state, entry.state)}{updates}" + (f", {entry.said}" if entry.said else "")


# Settling: the end of a turn. What was done becomes part of last seen; the record and the trail keep its story.


#: After a turn that wrote, its lane stays quiet for this long (ms), so that the echoes of its writes share one read.
QUIET = 2_000

#: What is remembered of a ticket that could not be read.
NO_SNAPSHOT = Snapshot()

#: Whether the lease was held, and what the claim in the same trip got.
Closed = tuple[bool, ClaimedLane | NothingDue | None]


def close(context: TurnContext, plan: Plan, nonce: str | None) -> Steps[Closed]:
    """Settles a turn with everything it did: whether it held its lease, and what the claim with ``nonce`` got."""
    config, read = context.config, context.take_read_permit()
    # A ticket that could not be read is not remembered: it stays as it was seen before, or unseen.
    memory = _memory(context, plan) if plan.snapshot != NO_SNAPSHOT else None
    snapshot = encode(memory) if memory else b""
    timers = memory.timers if memory else _later(context)
    pending = (
        *plan.pending,
        *pending_echoes(plan, context.journal, config.handlers, context.now(), context.now() + QUIET),
    )
    encoded_pending = msgspec.json.encode(pending) if pending else b""
    record = zlib.compress(msgspec.json.encode(_record(context, plan)), 1) if plan.changes or plan.verdicts else b""
    trail = tuple(trail_line(context.now(), plan.turn, text) for text in story(plan, context.journal))
    carrying = {event.id for event in plan.events if event.work}
    taken = tuple(id for id in plan.handled if id in carrying)
    settlement = Settlement(
        lane=context.lane.name,
        token=context.lane.token,
        turn=plan.turn,
        handled=plan.handled,
        taken=taken,
        left=plan.left,
        recheck=plan.look,
        settling=QUIET if context.posts else 0,
        retry=min((work.due for work in pending), default=0),
        timer=min((_due(context, plan, timer) for timer in timers), default=0),
        timed=context.lane.retry is not None,
        paused=context.lane.pauses.ended if any(work.paused for work in pending) else -1,
        dead_letters={
            dead_letter.id: msgspec.json.encode(dead_letter).decode()
            for dead_letter in dead_letters(plan, context.journal)
        },
        history=trail,
        saved=plan.saved,
        created=tuple(_created(plan, context.journal)),
        for_others=tuple(_handed(context, plan)),
        permit=read.id or "",
        outcome=read.outcome if read.id else "",
        age=read.age if read.id else 0,
        lives=_lives(context, timers) if snapshot or record or trail or taken else {},
    )
    return (
        yield from ask(settle(context.lane.account, settlement, snapshot, record, encoded_pending, config.claim, nonce))
    )


def _later(context: TurnContext) -> tuple[Timer, ...]:
    """Gives the timers still to come of a ticket that was not read; those that are over wait for its next turn.

    A worker without handlers leaves them for a while to one that has some.
    """
    snapshot, over = decode(context.lane.snapshot), context.now() - (0 if context.config.claim.read else GRACE)
    return tuple(timer for timer in snapshot.timers if timer.due > over) if snapshot else ()


def _due(context: TurnContext, plan: Plan, timer: Timer) -> int:
    """Gives when a timer's lane is due; one that was due in this turn already waits for a worker that knows it."""
    return timer.due if timer.due > plan.read_at else context.now() + SEARCH


def _lives(context: TurnContext, timers: Iterable[Timer]) -> dict[str, int]:
    """Gives how long things are kept; last seen holds the timers, so it outlives them."""
    lives = context.config.lives
    last = max((timer.due - context.now() + DAY for timer in timers), default=0)
    return {**lives, "seen": max(lives["seen"], last)} if last else lives


def dead_letters(plan: Plan, journal: dict[str, Entry]) -> Iterator[DeadLetter]:
    """Gives the dead letters of a turn: of handlers that gave up, and of effects that HappyFox refused."""
    yield from plan.dead_letters
    for key, effect, entry in pieces(plan, journal):
        given_up = entry.state == "refused" or (entry.state == "gone" and effect.sort != "delete")
        # Each handler is given its own part, so that no replay brings about what is another letter's.
        for handler, part in zip(effect.handlers, split(effect), strict=True) if given_up else ():
            yield DeadLetter(
                id=f"{plan.turn}.{key}.{handler}",
                handler=handler,
                reason=entry.said,
                changes=plan.shown.get(handler, plan.changes),
                effect=part,
                evidence=entry.evidence,
                doubt=entry.doubt,
                external=plan.external.get(handler, {}),
            )


def _handed(context: TurnContext, plan: Plan) -> Iterator[EventForOther]:
    """Gives the events for the lanes of other tickets; what runs dry, also since the plan was stored, is left out."""
    for number, each in enumerate(plan.handed):
        if not each.dry and not plan.dry and not context.config.dry(each.handler):
            dead_letter = DeadLetter(
                id=f"{plan.turn}.on.{number}",
                handler=each.handler,
                reason=f"wanted on ticket {context.lane.ticket}",
                actions=each.actions,
                origin=context.lane.ticket,
            )
            yield EventForOther(dead_letter.id, each.ticket, msgspec.json.encode(dead_letter).decode())


def _created(plan: Plan, journal: dict[str, Entry]) -> Iterator[tuple[str, int]]:
    """Gives the creations whose end is known, each with its ticket, 0 when there is none."""
    for key, effect, entry in pieces(plan, journal):
        if effect.sort == "create" and (entry.state == "done" or "fields" in entry.evidence):
            yield f"{plan.turn}.{key}", entry.ticket


def _memory(context: TurnContext, plan: Plan) -> Snapshot:
    """Gives the snapshot of the turn with our own confirmed operations added."""
    snapshot = plan.snapshot
    for _, effect, entry in pieces(plan, context.journal):
        look = fingerprint(effect, plan.staff or context.config.staff)
        if look and entry.state != "dry":  # what was given up may have landed, or land yet
            snapshot = advance(snapshot, fingerprints=[(context.now(), look)])
        if entry.state != "done":
            continue
        changed = {name: value for name, value in effect.values.items() if name not in entry.without}
        if effect.sort == "move":
            changed["category"] = str(effect.category)
        snapshot = advance(
            snapshot,
            updates=entry.updates,
            tags_added=effect.add,
            tags_removed=effect.remove,
            fields=entry.fields,
            unread={
                identity: sent
                for identity, sent in effect.fields.items()
                if f"#{identity}" not in entry.without and identity not in entry.fields
            },
            changed=changed,
            expected=[(context.now(), look)] if entry.expected and look else [],
            writes=[context.now()],
            undelivered=[context.now()] if look else [],
        )
    act = acted(plan, context.journal)
    acts = (*snapshot.loop_guard.acts, act)[-KEPT:] if act else snapshot.loop_guard.acts
    return msgspec.structs.replace(snapshot, loop_guard=msgspec.structs.replace(snapshot.loop_guard, acts=acts))


def _record(context: TurnContext, plan: Plan) -> Record:
    return Record(
        format=1,
        account=context.lane.account,
        number=context.lane.ticket,
        turn=plan.turn,
        at=context.now(),
        events=plan.events,
        changes=plan.changes,
        verdicts=plan.verdicts,
        effects=plan.effects,
        journal=context.journal,
        remarks=plan.remarks,
        dry=plan.dry,
        ticket=plan.ticket,
        external=plan.external,
        handed=plan.handed,
    )
