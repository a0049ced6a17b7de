"""Deciding: what the handlers want becomes a plan."""

from collections.abc import Iterator, Sequence

import msgspec

from workers.events.change import matches, told
from workers.events.last_seen import LastSeen
from workers.events.mark import attribute
from workers.events.timers import Timer
from workers.happyfox.directory import Directory
from workers.turns.deciding import replaying
from workers.turns.deciding.ballot import Ballot
from workers.turns.listing import directory
from workers.turns.plan.effects import Effect
from workers.turns.plan.effects import mark as mark_of
from workers.turns.plan.folding import Folded, fold
from workers.turns.plan.owed import Owed
from workers.turns.plan.plan import Handover, Plan
from workers.turns.plan.wishes import Wish, needs_directory
from workers.turns.plugin.intents import Later, On, Own
from workers.turns.plugin.timers import run_on
from workers.turns.reading import Reading
from workers.turns.state import State
from workers.turns.steps import Steps


def decide(state: State, reading: Reading, owed: Sequence[Owed]) -> Steps[Plan]:
    """Runs the handlers and folds what they want into a plan; nothing is stored and nothing done yet."""
    ballot = Ballot(state, reading, owed)
    yield from ballot.hold()
    folded = yield from _fold(state, reading, ballot)
    for wanted in ballot.votes.wishes:
        if (problem := folded.failed.get(wanted.key)) is None:
            continue
        if wanted.debt:
            ballot.votes.bury(wanted.debt, problem)
        else:
            changes = ballot.votes.shown.get(wanted.handler, reading.news.changes)
            ballot.votes.give_up(wanted.handler, changes, problem)
    own = {wish.handler for wish in ballot.votes.wishes if not wish.debt}
    for wanted in ballot.votes.wishes:
        if wanted.debt and wanted.handler not in own:
            ballot.votes.shown.setdefault(wanted.handler, wanted.debt.changes)
    timers, timed = _timers(state, reading, ballot)
    return Plan(
        format=1,
        turn=state.held.turn,
        read_at=reading.at,  # handlers may take long: what they decide is as old as what they were shown
        seen=msgspec.structs.replace(_spent(state, ballot), timers=timers),
        changes=reading.news.changes,
        verdicts=tuple(ballot.votes.verdicts),
        effects=_missing(state, reading, folded),
        owed=tuple(ballot.votes.owed),
        letters=tuple(ballot.votes.letters),
        remarks=(*reading.remarks, *ballot.votes.remarks, *folded.remarks, *timed),
        handled=reading.handled,
        left=reading.left,
        look=reading.look,
        dry=state.terms.dry_run,
        ticket=reading.ticket.raw,
        events=state.held.hints,
        shown=ballot.votes.shown,
        staff=state.terms.staff,
        foreign=ballot.ledger.all(),
        handed=tuple(_handed(state, ballot)),
        saved=0 if state.terms.dry_run else folded.saved,
    )


def _spent(state: State, ballot: Ballot) -> LastSeen:
    """Remembers which handlers have had their one go at this ticket."""
    acted = {wish.handler for wish in ballot.votes.wishes if wish.intents and not state.terms.dry(wish.handler)}
    spent = [bound.name for bound in state.terms.handlers if bound.handler.once and bound.name in acted]
    return msgspec.structs.replace(ballot.seen, once=(*ballot.seen.once, *spent)) if spent else ballot.seen


def _handed(state: State, ballot: Ballot) -> Iterator[Handover]:
    """Gives what handlers want of other tickets, one for each handler and ticket."""
    for wish in ballot.votes.wishes:
        wanted: dict[int, list[Own]] = {}
        for each in wish.intents:
            if isinstance(each, On):
                wanted.setdefault(each.number, []).append(each.wanted)
        for number, intents in wanted.items():
            yield Handover(number, wish.handler, tuple(intents), state.terms.dry(wish.handler))


def _timers(state: State, reading: Reading, ballot: Ballot) -> tuple[tuple[Timer, ...], list[str]]:
    """Gives the timers that run after the turn, with those that its handlers set, and remarks."""
    timers, remarks = reading.news.seen.timers, list(_unheard(state, reading))
    handlers = {bound.name: bound.handler for bound in state.terms.handlers} if _sets_timers(ballot) else {}
    for wish in ballot.votes.wishes:
        if wish.handler in handlers:
            shown = ballot.votes.shown.get(wish.handler, reading.news.changes)
            handler, dry = handlers[wish.handler], state.terms.dry(wish.handler)
            timers, said = run_on(timers, handler, wish.intents, shown, reading.at, dry)
            remarks += said
    return timers, remarks


def _unheard(state: State, reading: Reading) -> Iterator[str]:
    """Tells of timers and schedules that nobody here receives: their handlers were renamed or taken out."""
    for change in reading.news.changes:
        if change.to and not any(matches(bound.handler.kinds, change) for bound in state.terms.handlers):
            yield f"{told(change)}, and no handler receives it any more"


def _sets_timers(ballot: Ballot) -> bool:
    return any(isinstance(intent, Later) for wish in ballot.votes.wishes for intent in wish.intents)


def _missing(state: State, reading: Reading, folded: Folded) -> tuple[Effect, ...]:
    """Gives the effects but those whose rows are there already: a store that lost its memory may ask for them again."""
    # A row that says nothing could stand for any tags or fields; those the ticket shows were left out by folding.
    telling = [row for row in reading.news.stray if row.message or row.changes]
    marks = [None if effect.dry else mark_of(effect, state.terms.staff) for effect in folded.effects]
    found = attribute(marks, telling)
    folded.remarks += [f"{folded.effects[index].words}: there already (row {row})" for index, row in found.items()]
    return tuple(effect for index, effect in enumerate(folded.effects) if index not in found)


def _fold(state: State, reading: Reading, ballot: Ballot) -> Steps[Folded]:
    names: Directory | None = None
    if needs_directory(ballot.votes.wishes):
        names = yield from directory(state, fresh=False)
    folded = _apart(state, reading, ballot.votes.wishes, names)
    if folded.failed:
        # An unknown name may be a new one: read the lists again before it is held against the handler.
        names = yield from directory(state, fresh=True)
        folded = _apart(state, reading, ballot.votes.wishes, names)
    return folded


def _apart(state: State, reading: Reading, wishes: Sequence[Wish], names: Directory | None) -> Folded:
    """Folds what is to be sent, and apart from it what is only shown: a router that runs dry takes nothing away."""
    terms, wishes = state.terms, [replaying.renew(wish, names) for wish in wishes]
    if terms.dry_run or not terms.dry_routers:
        return fold(wishes, reading.ticket, names)
    live = fold([wish for wish in wishes if not terms.dry(wish.handler)], reading.ticket, names)
    shown = fold([wish for wish in wishes if terms.dry(wish.handler)], reading.ticket, names)
    return Folded(
        live.effects + [msgspec.structs.replace(effect, dry=True) for effect in shown.effects],
        live.failed | shown.failed,
        live.remarks + [f"{remark} (dry run)" for remark in shown.remarks],
        live.saved,
    )
