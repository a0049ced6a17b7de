"""The guards that stop handlers: the loop guard of a ticket, and pauses.

The loop guard stops a loop on one ticket until a person has looked at it. Our own changes start no handler, so a loop
always includes somebody else: a rule of HappyFox, a contact's auto-responder, another tool. These only answer, and stop
when we stop. So a contact's update does not prove that the loop has ended, and neither does a colleague's that was
written before the loop guard tripped or just after that, whenever we hear of it.

During a pause, tickets are still read, so nothing is lost and the order is kept. Changes are queued once for all their
handlers, or skipped. What a stored plan has not sent yet waits for the end of the pause, too; see ``perform``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from workers.engine.context import DAY, TurnContext, utc
from workers.engine.plan import EVERYONE, DeadLetter, Entry, Pending, Plan, journaled_effects
from workers.engine.replay import HANDED
from workers.store.pauses import Pause, describe_pause
from workers.tickets.change import Change
from workers.tickets.diff import ReadDiff
from workers.tickets.folding import fold
from workers.tickets.model import TicketRead, millis
from workers.tickets.snapshot import HOUR, ActingTurn, LoopGuard, Snapshot

#: This number of acting turns within this time (ms), without anybody else's update, are a loop.
MAX_TURNS, TURNS_SPAN = 8, 600_000

#: A colleague's update that is made sooner (ms) after the loop guard tripped may be a tool's last answer.
LAST_ANSWER = 60_000

#: How many acting turns are remembered, and how many characters of each.
KEPT_TURNS, KEPT_CHARACTERS = 10, 160

#: What resets the loop guard, by the limit that tripped it. Time never does: a loop would go on after the hour.
RESETS = {
    "writes": "a colleague writes to the ticket",
    "turns": "a contact or a colleague writes to the ticket",
}

#: When paused work is checked (ms) if neither the end of the pause nor the webhook of a removed tag makes its lane due.
PAUSE_RECHECK = DAY

#: How many changes are queued for the handlers of a ticket; more become a dead letter that can be replayed.
MAX_QUEUED = 500


@dataclass(frozen=True, slots=True)
class LoopGuardCheck:
    """The result of checking the loop guard of a ticket."""

    snapshot: Snapshot
    """The snapshot with the loop guard's new state."""
    stopped: str = ""
    """Why handlers must stop, or nothing."""
    dead_letter: DeadLetter | None = None
    """Set if the loop guard has tripped in this turn."""


def check_loop_guard(
    context: TurnContext, diff: ReadDiff, *, ahead: int, has_work: bool, reset: bool
) -> LoopGuardCheck:
    """Check the loop guard of a ticket with the changes of a turn.

    ``ahead``: how far HappyFox's clock is ahead (ms). ``has_work``: there is something to do that no person asked for.
    ``reset``: a person wants the handlers to run again.
    """
    snapshot, now, staff = diff.snapshot, context.now(), context.config.staff_id
    contact = any(change.actor.kind == "contact" and not change.automatic for change in diff.changes)
    others = (each for each in diff.changes if each.actor.kind == "staff" and each.actor.id != staff)
    by_colleagues = [change.at for change in others if not change.automatic]
    colleague = min(millis(max(by_colleagues)) - ahead, now) if by_colleagues else 0
    loop_guard = snapshot.loop_guard
    if contact or colleague:
        loop_guard = replace(loop_guard, last_update_by_others=now)
    if reset or (loop_guard.tripped and _resets(loop_guard, contact, colleague)):
        # Earlier writes no longer count; otherwise it would trip again at once.
        snapshot, loop_guard = replace(snapshot, writes=()), LoopGuard(last_update_by_others=now)
    elif not loop_guard.tripped and has_work and (limit := _reached_limit(context, snapshot, loop_guard)):
        tripped = replace(loop_guard, tripped=limit[0], at=now)
        snapshot = replace(snapshot, loop_guard=tripped)
        dead_letter = _loop_dead_letter(context.lane.ticket, snapshot, limit[1], diff.changes)
        return LoopGuardCheck(snapshot, f"the loop guard of this ticket tripped, until {RESETS[limit[0]]}", dead_letter)
    return LoopGuardCheck(replace(snapshot, loop_guard=loop_guard), describe_loop_guard(loop_guard))


def describe_loop_guard(loop_guard: LoopGuard) -> str:
    """Describe when a loop guard tripped and what resets it; return "" if it has not tripped."""
    if not loop_guard.tripped:
        return ""
    at = f"{utc(loop_guard.at):%Y-%m-%d %H:%M} UTC"
    return f"the loop guard of this ticket tripped at {at}, until {RESETS[loop_guard.tripped]}"


def _resets(loop_guard: LoopGuard, contact: bool, colleague: int) -> bool:
    """Return whether an update by a contact, or a colleague's latest one (ms, 0 if there is none), resets it."""
    if loop_guard.tripped == "turns":
        return contact or colleague > 0
    return colleague >= loop_guard.at + LAST_ANSWER


def _reached_limit(context: TurnContext, snapshot: Snapshot, loop_guard: LoopGuard) -> tuple[str, str] | None:
    """Return the name and a description of a limit that is reached."""
    now = context.now()
    writes = sum(at > now - HOUR for at in snapshot.writes)
    if writes >= context.config.loop_guard:
        return "writes", f"{writes} writes by us within an hour (FOXHOOKS_LOOP_GUARD)"
    turns = sum(act.at > max(loop_guard.last_update_by_others, now - TURNS_SPAN) for act in loop_guard.acting_turns)
    if turns >= MAX_TURNS:
        return "turns", f"{turns} acting turns within {TURNS_SPAN // 60_000} minutes, with updates by nobody else"
    return None


def excess_handlers(context: TurnContext, snapshot: Snapshot, planned: int, calls: Mapping[str, int]) -> dict[str, str]:
    """Return the handlers whose calls would exceed the loop guard's limit, each with the reason.

    ``planned`` counts the calls of this turn, ``calls`` those that each handler has a part in: several may share one.
    The handlers with most calls are left out first, as many as it takes if none were shared; nothing of them is sent,
    because half of what a handler decided may be worse than nothing.
    """
    written = sum(at > context.now() - HOUR for at in snapshot.writes)
    allowed, left = context.config.loop_guard - written, planned
    excess: dict[str, str] = {}
    for handler, count in sorted(calls.items(), key=lambda each: -each[1]):
        if left <= allowed:
            break
        excess[handler] = (
            f"{count} {'call' if count == 1 else 'calls'} planned, {planned} in this turn, after {written} "
            f"{'write' if written == 1 else 'writes'} within an hour: more than "
            f"FOXHOOKS_LOOP_GUARD={context.config.loop_guard} allows, so none of them was made"
        )
        left -= count
    return excess


def _loop_dead_letter(ticket: int, snapshot: Snapshot, why: str, changes: Sequence[Change]) -> DeadLetter:
    """Return the dead letter that describes the loop: the causes and actions of the last turns."""
    loop_guard = snapshot.loop_guard
    counts = Counter(f"{act.cause} -> {act.actions}" for act in loop_guard.acting_turns)
    loop = "; ".join(f"{step} ({count} times)" if count > 1 else step for step, count in counts.items())
    turns = [f"{utc(act.at):%H:%M:%S} {act.cause} -> {act.actions}" for act in loop_guard.acting_turns]
    return DeadLetter(
        id=f"loop-guard-{ticket}-{loop_guard.at}",
        handler=EVERYONE,
        reason=f"the loop guard tripped: {why}. Last turns: {loop or 'no longer known'}. "
        f"Handlers stop until {RESETS[loop_guard.tripped]}",
        changes=tuple(changes),
        evidence={"turns": turns, "writes": len(snapshot.writes)},
    )


def acting_turn(plan: Plan, journal: dict[str, Entry]) -> ActingTurn | None:
    """Describe what a turn did and why, without any text of a message.

    Return None if it did nothing, or only what a person asked for by a replay.
    """
    done = [
        f"{', '.join(effect.handlers)}: {effect.summary}"
        for _, effect, entry in journaled_effects(plan, journal)
        if entry.state == "done" and not effect.by_person
    ]
    done += [f"{handler}: {', '.join(effects)}" for handler, effects in plan.external.items()]
    if not done:
        return None
    ours = (change for changes in plan.handler_changes.values() for change in changes if change.actor.kind == "us")
    others = (verdict.reason.partition(":")[0] for verdict in plan.verdicts if verdict.reason.startswith(HANDED))
    causes = [*(describe_cause(change) for change in (*plan.changes, *ours)), *others] or ["pending work"]
    return ActingTurn(plan.read_at, _shorten(causes), _shorten(done))


def describe_cause(change: Change) -> str:
    """Describe a change in the words of a loop: its kind, and whose it is."""
    name = f" {change.new.name!r}" if change.kind == "smart-rule" and change.new else ""
    return f"{change.kind} by {change.actor.kind}{name}{' (automatic)' if change.automatic else ''}"


def _shorten(parts: Iterable[str]) -> str:
    text = ", ".join(dict.fromkeys(parts))
    return text if len(text) <= KEPT_CHARACTERS else text[: KEPT_CHARACTERS - 3] + "..."


@dataclass(frozen=True, slots=True)
class ActivePause:
    """A pause that applies to a ticket."""

    why: str
    skip: bool
    """Whether changes are skipped instead of queued."""


@dataclass(frozen=True, slots=True)
class ActivePauses:
    """What is paused for a ticket."""

    everything: ActivePause | None
    routers: dict[str, ActivePause]


def active_pauses(context: TurnContext, ticket: TicketRead) -> ActivePauses:
    """Return what is paused for a ticket; a pause that queues wins over one that skips, so that nothing is lost."""
    pauses, config = context.lane.pauses, context.config
    scopes = (("the account", pauses.account), ("the ticket", pauses.ticket))
    found = [ActivePause(describe_pause(what, pause), pause.skip) for what, pause in scopes if pause]
    if why := paused_by_tag(ticket.tags, config.off_tag):
        found.append(ActivePause(why, config.off_skips))
    routers = {
        name: ActivePause(describe_pause(f"the router {name}", pause), pause.skip)
        for name, pause in pauses.routers.items()
    }
    return ActivePauses(min(found, key=lambda pause: pause.skip, default=None), routers)


def has_pause_tag(tags: Iterable[str], pause_tag: str) -> bool:
    """Return whether a ticket has the tag that pauses it, in upper or lower case; an empty tag pauses nothing."""
    wanted = fold(pause_tag)
    return bool(wanted) and any(fold(tag) == wanted for tag in tags)


def paused_by_tag(tags: Iterable[str], pause_tag: str) -> str:
    """Describe the pause by a ticket's tag; return "" if it is not paused by it."""
    return f"the ticket is paused by its tag {pause_tag}" if has_pause_tag(tags, pause_tag) else ""


def _active_pause(what: str, pause: Pause) -> ActivePause:
    return ActivePause(describe_pause(what, pause), pause.skip)


def queue_changes(
    context: TurnContext, name: str, before: Pending | None, pause: ActivePause, changes: Sequence[Change]
) -> Pending | DeadLetter | None:
    """Queue changes, unless the pause skips them, after the work ``before`` that is queued already.

    ``name`` is that of the handlers that get them later. Too many changes become a dead letter.
    """
    queued = (*(before.changes if before else ()), *(() if pause.skip else changes))
    if not queued:
        return None
    if len(queued) > MAX_QUEUED:
        reason = f"{pause.why}, and {len(queued)} changes are queued: replay this when it is resumed"
        return DeadLetter(id=f"{context.lane.turn}.{name}", handler=name, reason=reason, changes=queued)
    work = pause_work(before or Pending(handler=name, first_at=context.now()), context.now())
    return replace(work, changes=queued)


def pause_work(work: Pending, now: int) -> Pending:
    """Defer work to the end of a pause; this uses no attempt."""
    return replace(work, check_at=now + PAUSE_RECHECK, paused=True, missing_since=0)
