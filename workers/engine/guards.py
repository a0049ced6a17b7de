"""The fuse: it stops what goes round in circles, on one ticket, until a person has had a look. Pure.

Echoes start nothing, so a circle always leads through somebody else: a rule of HappyFox, a contact's auto-responder,
another tool. Each of them only answers, so that it is over when we fall silent. A contact's row is therefore no sign
that all is well, and neither is a colleague's that comes in the moment in which the fuse blows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.engine.context import TurnContext
from workers.engine.plan import EVERYONE, DeadLetter, Entry, Pending, Plan, journaled_effects
from workers.engine.replay import HANDED
from workers.store.lanes import Pause
from workers.tickets.change import Change
from workers.tickets.model import TicketRead
from workers.tickets.snapshot import HOUR, ActingTurn, LoopGuard, Snapshot

#: So many turns that acted, within so long (ms) and without anybody else's row, are a circle.
TURNS, SPAN = 8, 600_000

#: A colleague's row that comes sooner after the blow (ms) than this may be a tool's last answer.
ANSWER = 60_000

#: So many turns that acted are remembered, and of each so many letters.
KEPT, LETTERS = 10, 160

#: What lets handlers run again, by the rule that stopped them.
RESETS = {
    "writes": "a colleague writes to the ticket, or an hour has passed",
    "turns": "a contact or a colleague writes to the ticket",
}


@dataclass(frozen=True, slots=True)
class LoopGuardCheck:
    """How the fuse is: the memory with it, why handlers must stop or nothing, and the letter when it has just blown."""

    snapshot: Snapshot
    stopped: str = ""
    dead_letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True)
class LoopGuardLimits:
    """What the fuse of a ticket allows: so many writes an hour by us, who write as this staff member."""

    ticket: int
    writes: int
    staff: int


def check_loop_guard(
    snapshot: Snapshot, diff: Sequence[Change], waits: bool, now: int, bounds: LoopGuardLimits, reset: bool
) -> LoopGuardCheck:
    """Looks at the fuse of a ticket with the changes of a turn; ``now`` in ms.

    ``waits`` tells that some handler has anything to do, ``mended`` that a person wants handlers to run again.
    """
    contact = any(change.actor.kind == "contact" for change in diff)
    colleague = any(change.actor.kind == "staff" and change.actor.id != bounds.staff for change in diff)
    loop_guard = snapshot.loop_guard
    if contact or colleague:
        loop_guard = msgspec.structs.replace(loop_guard, heard=now)
    if reset or (loop_guard.tripped and _resets(loop_guard, now, contact, colleague)):
        # What was written until now does not count any more, or it would blow at once.
        snapshot, loop_guard = msgspec.structs.replace(snapshot, writes=()), LoopGuard(heard=now)
    elif not loop_guard.tripped and waits:
        writes = sum(at > now - HOUR for at in snapshot.writes)
        turns = [act for act in loop_guard.acts if act.at > max(loop_guard.heard, now - SPAN)]
        if writes >= bounds.writes:
            why = f"{writes} writes of ours within an hour (FOXHOOKS_LOOP_GUARD)"
            return _trip(snapshot, loop_guard, "writes", why, diff, now, bounds.ticket)
        if len(turns) >= TURNS:
            why = f"{len(turns)} turns of ours within {SPAN // 60_000} minutes, in which nobody else had a part"
            return _trip(snapshot, loop_guard, "turns", why, diff, now, bounds.ticket)
    return LoopGuardCheck(msgspec.structs.replace(snapshot, loop_guard=loop_guard), describe_loop_guard(loop_guard))


def describe_loop_guard(loop_guard: LoopGuard) -> str:
    """Says since when a fuse has been blown and what mends it; nothing of one that is whole."""
    if not loop_guard.tripped:
        return ""
    when = datetime.fromtimestamp(loop_guard.at / 1000, UTC)
    return f"the fuse of this ticket blew at {when:%Y-%m-%d %H:%M} UTC, until {RESETS[loop_guard.tripped]}"


def _resets(loop_guard: LoopGuard, now: int, contact: bool, colleague: bool) -> bool:
    if loop_guard.tripped == "turns":
        return contact or colleague
    return (colleague and now >= loop_guard.at + ANSWER) or now >= loop_guard.at + HOUR


def _trip(
    snapshot: Snapshot, loop_guard: LoopGuard, rule: str, why: str, diff: Sequence[Change], now: int, ticket: int
) -> LoopGuardCheck:
    snapshot = msgspec.structs.replace(snapshot, loop_guard=msgspec.structs.replace(loop_guard, tripped=rule, at=now))
    circle = Counter(f"{act.cause} -> {act.did}" for act in loop_guard.acts)
    told = "; ".join(f"{step} ({count} times)" if count > 1 else step for step, count in circle.items())
    reason = f"the fuse blew: {why}. The last turns: {told or 'not known any more'}. Handlers stop until {RESETS[rule]}"
    turns = [
        f"{datetime.fromtimestamp(act.at / 1000, UTC):%H:%M:%S} {act.cause} -> {act.did}" for act in loop_guard.acts
    ]
    dead_letter = DeadLetter(
        id=f"fuse-{ticket}-{now}",
        handler=EVERYONE,
        reason=reason,
        changes=tuple(diff),
        evidence={"turns": turns, "writes": len(snapshot.writes)},
    )
    return LoopGuardCheck(snapshot, f"the fuse of this ticket blew, until {RESETS[rule]}", dead_letter)


def acted(plan: Plan, journal: dict[str, Entry]) -> ActingTurn | None:
    """Tells what a turn did and why, None when it did nothing: kinds, names and numbers, nobody's words."""
    done = [
        f"{', '.join(effect.handlers)}: {effect.summary}"
        for _, effect, one in journaled_effects(plan, journal)
        if one.state == "done"
    ]
    done += [f"{handler}: {', '.join(effects)}" for handler, effects in plan.external.items()]
    if not done:
        return None
    ours = (change for shown in plan.handler_changes.values() for change in shown if change.actor.kind == "us")
    others = (verdict.reason.partition(":")[0] for verdict in plan.verdicts if verdict.reason.startswith(HANDED))
    causes = [*(_cause(change) for change in (*plan.changes, *ours)), *others] or ["what was owed"]
    return ActingTurn(plan.read_at, _brief(causes), _brief(done))


def _cause(change: Change) -> str:
    name = f" {change.new.name!r}" if change.kind == "smart-rule" and change.new else ""
    return f"{change.kind} by {change.actor.kind}{name}"


def _brief(parts: Iterable[str]) -> str:
    told = ", ".join(dict.fromkeys(parts))
    return told if len(told) <= LETTERS else told[: LETTERS - 3] + "..."


# Pausing: what a person has stopped runs no handler until it is resumed; what comes meanwhile waits, or is skipped.
#
# The ticket is read and remembered all the same, so that nothing is lost and everything stays in order. What waits is
# kept once for all handlers that it concerns. A plan that is stored is carried out: it was decided before.


#: The end of a pause makes its lanes due, and so does the webhook of a tag that was removed. Should it be lost, they
#: are looked at again after so long (ms).
LOOK = 86_400_000

#: So many changes wait for the handlers of a ticket; then they become a dead letter, which can be replayed.
MOST = 500


@dataclass(frozen=True, slots=True)
class Halt:
    """Why handlers do not run, and whether what comes meanwhile is skipped."""

    why: str
    skip: bool


@dataclass(frozen=True, slots=True)
class Halts:
    """What is paused for a ticket: everything, or the routers named."""

    everything: Halt | None
    routers: dict[str, Halt]


def halts(context: TurnContext, ticket: TicketRead) -> Halts:
    """Tells what is paused for a ticket as it was read; where pauses meet, one that waits counts: it loses nothing."""
    pauses, config = context.lane.pauses, context.config
    found = []
    if pauses.account:
        found.append(_halt("the account", pauses.account))
    if pauses.ticket:
        found.append(_halt("the ticket", pauses.ticket))
    if tagged(ticket.tags, config.off_tag):
        found.append(Halt(f"the ticket is paused by its tag {config.off_tag}", config.off_skips))
    routers = {name: _halt(f"the router {name}", pause) for name, pause in pauses.routers.items()}
    return Halts(min(found, key=lambda halt: halt.skip, default=None), routers)


def tagged(ticket_tags: Iterable[str], off_tag: str) -> bool:
    """Tells whether a ticket has the tag that pauses it, in any case; an empty one pauses none."""
    off = off_tag.strip().casefold()
    return bool(off) and any(tag.strip().casefold() == off for tag in ticket_tags)


def describe_pause(what: str, pause: Pause) -> str:
    """Says that something is paused, since when and by whom."""
    since = datetime.fromtimestamp(pause.since / 1000, UTC)
    return f"{what} is paused since {since:%Y-%m-%d %H:%M} UTC by {pause.by}"


def _halt(what: str, pause: Pause) -> Halt:
    return Halt(describe_pause(what, pause), pause.skip)


def keep(
    name: str, before: Pending | None, halt: Halt, changes: Sequence[Change], now: int, turn: str
) -> tuple[Pending | None, DeadLetter | None]:
    """Gives what is owed to those that ``name`` stands for while they wait, or the letter of more than can wait.

    ``before`` is what they were owed already, ``changes`` is new; a pause that skips lets only the former wait.
    """
    waiting = (*(before.changes if before else ()), *(() if halt.skip else changes))
    if not waiting:
        return None, None
    if len(waiting) > MOST:
        reason = f"{halt.why}, and {len(waiting)} changes wait: replay this when it is resumed"
        return None, DeadLetter(id=f"{turn}.{name}", handler=name, reason=reason, changes=waiting)
    first = before or Pending(handler=name, first_at=now)
    return msgspec.structs.replace(wait(first, now), changes=waiting), None


def wait(work: Pending, now: int) -> Pending:
    """Lets what is owed wait for the end of a pause; no attempt is used."""
    return msgspec.structs.replace(work, check_at=now + LOOK, paused=True, missing_since=0)
