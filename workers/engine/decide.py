"""Turn the actions of the handlers into a plan. Nothing is stored or sent yet."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from workers.engine.brakes import hold_emails
from workers.engine.context import TurnContext
from workers.engine.effect import EMAIL_KINDS
from workers.engine.excerpt import excerpt
from workers.engine.existing import ExistingEffects, happened_at
from workers.engine.fold import Folded, HandlerActions, fold, needed_lists
from workers.engine.guards import excess_handlers
from workers.engine.handlers import HandlerRunner, Outcomes
from workers.engine.missing import NO_HOOK, hook_work
from workers.engine.plan import FORMAT, Handover, Pending, Plan
from workers.engine.read import Reading, read_directory
from workers.engine.replay import rename_unknown
from workers.engine.state import state_decisions
from workers.engine.steps import Steps
from workers.happyfox.directory import Directory
from workers.plugins.actions import Later, OnOtherTicket, TicketAction
from workers.plugins.context import update_timers
from workers.store.lanes import HOOK
from workers.store.records import MAX_LIST_AGE, REREAD_AGE
from workers.tickets.change import Change, describe, matches
from workers.tickets.snapshot import Snapshot, Timer

#: The most bytes that the actions of one handler may have in a plan.
MOST_ACTION_BYTES = 4_000_000


def decide(context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> Steps[Plan]:
    """Run the handlers and merge their actions into a plan."""
    runner = HandlerRunner(context, reading, pending)
    yield from runner.run_all()
    outcomes = runner.outcomes
    for work in hook_work(_unreceived(context, reading)):
        outcomes.dead_letter(work, NO_HOOK)
    folded = yield from _fold(context, reading, outcomes.requested)
    _dead_letter(reading, runner, lambda requested: folded.failed.get(requested.key))
    if _dead_letter(reading, runner, _too_large):
        folded = yield from _fold(context, reading, outcomes.requested)
    # Calls are counted again without those handlers: one that was shared remains, and of equal notes the next one.
    while excess := excess_handlers(
        context, runner.snapshot, *(yield from _count_calls(context, reading, outcomes, folded))
    ):
        _dead_letter(reading, runner, lambda each: None if each.by_person else excess.get(each.handler))
        folded = yield from _fold(context, reading, outcomes.requested)
    _show_replayed_changes(outcomes)
    timers, timer_remarks = _timers(context, reading, outcomes)
    existing = ExistingEffects(context, reading, outcomes)
    effects = existing.leave_out(folded)
    if any(effect.kind in EMAIL_KINDS for effect in effects):
        effects = yield from hold_emails(context, reading, effects)
    return Plan(
        format=FORMAT,
        turn=context.lane.turn,
        read_at=reading.at,  # handlers may be slow: their decisions are as old as the ticket they were shown
        snapshot=replace(_remember_once(context, runner), timers=timers, lost=existing.lost),
        changes=reading.diff.changes,
        verdicts=tuple(outcomes.verdicts),
        effects=effects,
        pending=tuple(outcomes.pending),
        dead_letters=tuple(outcomes.dead_letters),
        remarks=(*reading.remarks, *outcomes.remarks, *folded.remarks, *timer_remarks),
        handled=reading.handled,
        unexplained=reading.unexplained,
        recheck_in=reading.recheck_in,
        dry=context.config.dry_run,
        ticket=excerpt(reading.ticket, reading.diff.changes),
        updates=len(reading.ticket.history),
        events=context.lane.events,
        handler_changes=outcomes.handler_changes,
        staff=context.config.staff_id,
        site=context.config.site,
        external=runner.external.all(),
        handovers=tuple(_handovers(context, reading, outcomes, outcomes.requested)),
        state=tuple(state_decisions(context, outcomes.requested)),
        calls_saved=0 if context.config.dry_run else folded.calls_saved,
    )


def _fold(context: TurnContext, reading: Reading, requested: Sequence[HandlerActions]) -> Steps[Folded]:
    """Merge all actions; if a name is unknown, read the account's lists again first, because it may be new."""
    account, get = context.lane.account, context.get_content
    lists = needed_lists(requested, context.config.default_time)
    names = (yield from read_directory(account, MAX_LIST_AGE, get, lists)) if lists else None
    folded = _fold_live_and_dry(context, reading, requested, names)
    if folded.failed:
        names = yield from read_directory(account, REREAD_AGE, get, lists)
        folded = _fold_live_and_dry(context, reading, requested, names)
    return folded


def _fold_live_and_dry(
    context: TurnContext, reading: Reading, requested: Sequence[HandlerActions], names: Directory | None
) -> Folded:
    """Merge the actions of routers in dry run separately, so that they override nothing."""
    config = context.config
    requested = [rename_unknown(each, names) if each.work else each for each in requested]
    if config.dry_run or not config.dry_routers:
        return fold(requested, reading.ticket, names, config.default_time)
    minutes = config.default_time
    live = fold([each for each in requested if not config.dry(each.handler)], reading.ticket, names, minutes)
    dry = fold([each for each in requested if config.dry(each.handler)], reading.ticket, names, minutes)
    return Folded(
        live.effects + [replace(effect, dry=True) for effect in dry.effects],
        live.failed | dry.failed,
        live.remarks + [f"{remark} (dry run)" for remark in dry.remarks],
        live.calls_saved,
    )


def _count_calls(
    context: TurnContext, reading: Reading, outcomes: Outcomes, folded: Folded
) -> Steps[tuple[int, Counter[str]]]:
    """Count the planned calls on this ticket and others, and those that each handler has a part in.

    What a person replays does not count.
    """
    own = [requested for requested in outcomes.requested if not requested.by_person]
    if len(own) < len(outcomes.requested):
        folded = yield from _fold(context, reading, own)
    effects = [effect for effect in folded.effects if not effect.dry]
    planned, calls = len(effects), Counter(handler for effect in effects for handler in effect.handlers)
    for handover in _handovers(context, reading, outcomes, own):
        if not handover.dry:
            planned += len(handover.actions)
            calls[handover.handler] += len(handover.actions)
    return planned, calls


def _too_large(requested: HandlerActions) -> str | None:
    """Return why a handler's actions cannot be stored with the plan, or None."""
    size = len(msgspec.json.encode(requested.actions)) if requested.actions else 0
    if size <= MOST_ACTION_BYTES:
        return None
    return f"its actions have {size:,} bytes, and at most {MOST_ACTION_BYTES:,} are stored; make its texts shorter"


def _dead_letter(reading: Reading, runner: HandlerRunner, find: Callable[[HandlerActions], str | None]) -> bool:
    """Dead-letter the handlers and replays with a problem; nothing of what they planned is sent.

    Return whether there were any.
    """
    outcomes, found = runner.outcomes, False
    for requested in list(outcomes.requested):
        if (problem := find(requested)) is None:
            continue
        found = True
        outcomes.requested.remove(requested)
        if requested.work:
            outcomes.dead_letter(requested.work, problem)
        else:
            changes = outcomes.handler_changes.get(requested.handler, reading.diff.changes)
            runner.give_up(requested.handler, changes, problem)
    return found


def _show_replayed_changes(outcomes: Outcomes) -> None:
    """Record the changes of each replay as its handler's, unless the handler itself ran in this turn."""
    ran = {requested.handler for requested in outcomes.requested if not requested.work}
    for requested in outcomes.requested:
        if requested.work and requested.handler not in ran:
            outcomes.handler_changes.setdefault(requested.handler, requested.work.changes)


def _remember_once(context: TurnContext, runner: HandlerRunner) -> Snapshot:
    """Add the handlers that run once per ticket and have acted now to the snapshot."""
    acted = {
        requested.handler
        for requested in runner.outcomes.requested
        if requested.actions and not context.config.dry(requested.handler)
    }
    once = [bound.name for bound in context.config.handlers if bound.handler.once and bound.name in acted]
    return replace(runner.snapshot, once=(*runner.snapshot.once, *once)) if once else runner.snapshot


def _handovers(
    context: TurnContext, reading: Reading, outcomes: Outcomes, all_requested: Iterable[HandlerActions]
) -> Iterator[Handover]:
    """Yield the actions for other tickets, grouped by handler and ticket."""
    all_requested = [each for each in all_requested if each.actions]
    handlers = {bound.name: bound.handler for bound in context.config.handlers} if all_requested else {}
    for requested in all_requested:
        changes = outcomes.handler_changes.get(requested.handler, reading.diff.changes)
        handler = handlers.get(requested.handler)
        seen = [change for change in changes if handler is None or matches(handler.kinds, change)]
        times = [happened_at(change, reading.ahead) for change in seen]
        since, until = min(times, default=0), max(times, default=0)
        by_ticket: dict[int, list[TicketAction]] = {}
        for action in requested.actions:
            if isinstance(action, OnOtherTicket):
                by_ticket.setdefault(action.number, []).append(action.ticket_action)
        for number, actions in by_ticket.items():
            dry, by_person = context.config.dry(requested.handler), requested.by_person
            yield Handover(number, requested.handler, tuple(actions), since, until, dry, by_person)


def _timers(context: TurnContext, reading: Reading, outcomes: Outcomes) -> tuple[tuple[Timer, ...], list[str]]:
    """Return the timers that run after the turn, and remarks about timers and schedules."""
    timers, remarks = reading.diff.snapshot.timers, list(_undeliverable(context, reading))
    setting = [each for each in outcomes.requested if any(isinstance(action, Later) for action in each.actions)]
    handlers = {bound.name: bound.handler for bound in context.config.handlers} if setting else {}
    for requested in setting:
        if handler := handlers.get(requested.handler):
            changes = outcomes.handler_changes.get(requested.handler, reading.diff.changes)
            dry = context.config.dry(requested.handler)
            timers, added = update_timers(timers, handler, requested.actions, changes, reading.at, dry)
            remarks += added
    return timers, remarks


def _undeliverable(context: TurnContext, reading: Reading) -> Iterator[str]:
    """Describe timers, schedules and hooks whose handlers were renamed or removed."""
    for change in reading.diff.changes:
        if change.to and not _is_received(context, change):
            yield f"{describe(change)}, and no handler receives it any more"


def _unreceived(context: TurnContext, reading: Reading) -> Iterator[Change]:
    """Yield the calls of other systems that no handler receives."""
    yield from (each for each in reading.diff.changes if each.kind == HOOK and not _is_received(context, each))


def _is_received(context: TurnContext, change: Change) -> bool:
    return any(matches(bound.handler.kinds, change) for bound in context.config.handlers)
