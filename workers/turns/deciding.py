"""Deciding: every handler once, with all changes of the turn; what they want becomes a plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from zlib import crc32

import msgspec

from workers.events.change import Change, Event, event_for, matches, told
from workers.events.last_seen import LastSeen
from workers.events.mark import attribute
from workers.events.timers import Timer
from workers.happyfox.directory import Directory
from workers.lanes.holding import mark
from workers.turns import replaying
from workers.turns.debts import Debts
from workers.turns.effects import Effect
from workers.turns.effects import mark as mark_of
from workers.turns.folding import Folded, Wish, fold, needs_directory
from workers.turns.foreign import Ledger
from workers.turns.fuse import Bounds, look
from workers.turns.intents import AnyIntent, Later, On, Own
from workers.turns.listing import directory
from workers.turns.missing import RENAMED, letter, search
from workers.turns.pausing import Halt, Halts, halts, keep, wait
from workers.turns.permissions import denied
from workers.turns.plan import ALL_OF, EVERYONE, Handover, Letter, Owed, Plan, Verdict
from workers.turns.reading import Reading
from workers.turns.state import Lost, State
from workers.turns.steps import Bound, Decide, Decision, Failure, Steps, ask
from workers.turns.timers import run_on

#: When a failed handler runs again (ms), with up to a fifth more so that many do not run at once; then it gives up.
RETRIES = (5_000, 30_000, 120_000, 600_000, 1_800_000)

#: Claims of one turn that was never given back in order: after so many its handlers run one by one under a mark, so
#: that the third crash is the last.
CRASHES = 2


@dataclass(slots=True)
class Ballot:
    """What the handlers said in one turn, and did in other systems."""

    ledger: Ledger
    seen: LastSeen
    wishes: list[Wish] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    shown: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def decide(state: State, reading: Reading, owed: Sequence[Owed]) -> Steps[Plan]:
    """Runs the handlers and folds what they want into a plan; nothing is stored and nothing done yet."""
    ballot = yield from _ballot(state, reading, owed)
    folded = yield from _fold(state, reading, ballot)
    for wanted in ballot.wishes:
        if (problem := folded.failed.get(wanted.key)) is None:
            continue
        if wanted.debt:
            _bury(state, ballot, wanted.debt, problem)
        else:
            changes = ballot.shown.get(wanted.handler, reading.news.changes)
            _give_up(state, ballot, wanted.handler, changes, problem)
    own = {wish.handler for wish in ballot.wishes if not wish.debt}
    for wanted in ballot.wishes:
        if wanted.debt and wanted.handler not in own:
            ballot.shown.setdefault(wanted.handler, wanted.debt.changes)
    timers, timed = _timers(state, reading, ballot)
    return Plan(
        format=1,
        turn=state.held.turn,
        read_at=reading.at,  # handlers may take long: what they decide is as old as what they were shown
        seen=msgspec.structs.replace(_spent(state, ballot), timers=timers),
        changes=reading.news.changes,
        verdicts=tuple(ballot.verdicts),
        effects=_missing(state, reading, folded),
        owed=tuple(ballot.owed),
        letters=tuple(ballot.letters),
        remarks=(*reading.remarks, *ballot.remarks, *folded.remarks, *timed),
        handled=reading.handled,
        left=reading.left,
        look=reading.look,
        dry=state.terms.dry_run,
        ticket=reading.ticket.raw,
        events=state.held.hints,
        shown=ballot.shown,
        staff=state.terms.staff,
        foreign=ballot.ledger.all(),
        handed=tuple(_handed(state, ballot)),
        saved=0 if state.terms.dry_run else folded.saved,
    )


def _spent(state: State, ballot: Ballot) -> LastSeen:
    """Remembers which handlers have had their one go at this ticket."""
    acted = {wish.handler for wish in ballot.wishes if wish.intents and not state.terms.dry(wish.handler)}
    spent = [bound.name for bound in state.terms.handlers if bound.handler.once and bound.name in acted]
    return msgspec.structs.replace(ballot.seen, once=(*ballot.seen.once, *spent)) if spent else ballot.seen


def _handed(state: State, ballot: Ballot) -> Iterator[Handover]:
    """Gives what handlers want of other tickets, one for each handler and ticket."""
    for wish in ballot.wishes:
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
    for wish in ballot.wishes:
        if wish.handler in handlers:
            shown = ballot.shown.get(wish.handler, reading.news.changes)
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
    return any(isinstance(intent, Later) for wish in ballot.wishes for intent in wish.intents)


def _missing(state: State, reading: Reading, folded: Folded) -> tuple[Effect, ...]:
    """Gives the effects but those whose rows are there already: a store that lost its memory may ask for them again."""
    # A row that says nothing could stand for any tags or fields; those the ticket shows were left out by folding.
    telling = [row for row in reading.news.stray if row.message or row.changes]
    marks = [None if effect.dry else mark_of(effect, state.terms.staff) for effect in folded.effects]
    found = attribute(marks, telling)
    folded.remarks += [f"{folded.effects[index].words}: there already (row {row})" for index, row in found.items()]
    return tuple(effect for index, effect in enumerate(folded.effects) if index not in found)


def _ballot(state: State, reading: Reading, owed: Sequence[Owed]) -> Steps[Ballot]:
    ballot, debts = Ballot(Ledger(state, reading, owed), reading.news.seen), Debts(owed, state.terms.handlers)
    paused = halts(state, reading.ticket)
    blown = _fuse(state, reading, ballot, debts, paused)
    ballot.remarks += debts.echoes()
    if paused.everything:
        _halt(state, reading, ballot, debts, paused.everything)
        return ballot
    for again in debts.again:
        _again(state, reading, ballot, again, blown, paused)
    news, moment, suspicious = reading.news.changes, state.moment(), state.held.claims > CRASHES
    account, handlers = state.held.account, state.terms.handlers
    events: dict[frozenset[str], Event | None] = {}  # hundreds of rules ask for the same few kinds
    calm = not (debts or blown or suspicious or state.held.mark or paused.routers)
    halted: dict[str, bool] = {}  # paused routers -> whether anything is news to them
    for bound in handlers:
        handler = bound.handler
        name, kinds = handler.name, handler.kinds
        if kinds not in events:
            events[kinds] = event_for(account, kinds, news)
        event = events[kinds]
        if (
            calm
            and event
            and handler.ask
            and not handler.every
            and (reason := handler.ask(reading.ticket, event, moment))
        ):
            ballot.verdicts.append(Verdict(name, "skipped", reason))
            continue
        if handler.router in paused.routers:
            halted[handler.router] = halted.get(handler.router, False) or event is not None
            continue
        debt = debts.take(bound) if debts else None
        if (event or debt) and handler.once and name in reading.news.seen.once:
            ballot.verdicts.append(Verdict(name, "skipped", "it has acted on this ticket, and does so only once"))
            continue
        changes = (*debt.changes, *news) if debt else news
        event = event_for(account, kinds, changes, replay=debt.replay) if debt else event
        if debt and state.now() < debt.retry:
            ballot.owed.append(msgspec.structs.replace(debt, changes=changes, missing=0, look=0, paused=False))
            ballot.verdicts.append(Verdict(name, "owed", "waits for its retry", debt.attempt))
        elif event is None:
            if changes:
                ballot.verdicts.append(Verdict(name, "skipped", "no change of its kinds"))
        elif blown and debt and (debt.attempt or debt.replay):
            _give_up(state, ballot, name, changes, f"{blown}; replay this then")
        elif blown:
            ballot.verdicts.append(Verdict(name, "skipped", blown))
        elif name in state.held.mark.split():
            _give_up(state, ballot, name, changes, "it ended the worker process again and again")
        else:
            yield from _ask(state, reading, ballot, bound, event, debt)
    for router, news_to_it in halted.items():
        _halt_router(state, ballot, debts, router, paused.routers[router], news if news_to_it else ())
    for unknown in debts.left():
        if (later := search(state, unknown)) is None:
            _bury(state, ballot, unknown, RENAMED)
        else:
            ballot.owed.append(msgspec.structs.replace(later, changes=(*unknown.changes, *news)))
            said = "waits for a worker that knows it"
            ballot.verdicts.append(Verdict(unknown.handler, "owed", said, unknown.attempt))
    return ballot


def _halt(state: State, reading: Reading, ballot: Ballot, debts: Debts, halt: Halt) -> None:
    """Lets everything wait: what is news for all handlers together, and whatever was owed."""
    own = {debt.handler: debt for debt in debts.own()}
    for name, done in ballot.ledger.all().items():  # what a handler did in other systems waits with it
        debt = own.get(name, Owed(name, (), 0, state.now(), "", "", 0))
        own[name] = msgspec.structs.replace(debt, foreign=done)
    ballot.owed += [wait(debt, state.now()) for debt in (*own.values(), *debts.routers(), *debts.again)]
    _keep(state, ballot, EVERYONE, debts.everyone, halt, reading.news.changes)


def _halt_router(state: State, ballot: Ballot, debts: Debts, router: str, halt: Halt, news: Sequence[Change]) -> None:
    """The same for the handlers of a router."""
    ballot.owed += [wait(debt, state.now()) for debt in debts.own(router)]
    _keep(state, ballot, ALL_OF.format(router), debts.of_router(router), halt, news)


def _keep(state: State, ballot: Ballot, name: str, before: Owed | None, halt: Halt, news: Sequence[Change]) -> None:
    owed, dead = keep(name, before, halt, news, state.now(), state.held.turn)
    if owed:
        ballot.owed.append(owed)
    if dead:
        ballot.letters.append(dead)
        ballot.verdicts.append(Verdict(name, "dead", dead.reason))
    elif news:
        ballot.verdicts.append(Verdict(name, "skipped" if halt.skip else "waits", halt.why))


def _again(state: State, reading: Reading, ballot: Ballot, debt: Owed, blown: str, paused: Halts) -> None:
    """Takes an effect that a person wants again, or what a handler of another ticket wants, among the wishes.

    Unless it happened or must not.
    """
    if debt.handler.partition(".")[0] in paused.routers:
        ballot.owed.append(wait(debt, state.now()))
        return
    wanted, words = replaying.wish(debt), replaying.words(debt)
    if row := replaying.landed(reading, debt):
        ballot.verdicts.append(Verdict(debt.handler, "decided", f"{words} happened after all (row {row})"))
    elif refusal := replaying.refusal(state, wanted, blown):
        _bury(state, ballot, debt, refusal)
    else:
        ballot.wishes.append(wanted)
        ballot.verdicts.append(Verdict(debt.handler, "decided", words))


def _ask(state: State, reading: Reading, ballot: Ballot, bound: Bound, event: Event, debt: Owed | None) -> Steps[None]:
    attempt = debt.attempt + 1 if debt else 1
    if debt:
        ballot.shown[bound.name] = event.changes
    suspicious = state.held.claims > CRASHES
    if suspicious and not (yield from ask(mark(state.held, f"{state.held.mark} {bound.name}".strip()))):
        raise Lost
    effect = partial(ballot.ledger.effect, bound.name)
    said: Decision | Failure = yield Decide(bound, reading.ticket, event, state.moment(), attempt, effect)
    if suspicious and not (yield from ask(mark(state.held, state.held.mark))):
        raise Lost
    if isinstance(said, Failure):
        _failed(state, ballot, bound.name, event, debt, said)
    elif said.skipped:
        ballot.verdicts.append(Verdict(bound.name, "skipped", said.skipped, attempt))
    else:
        refused = {line for each in said.intents if (line := denied(each, bound.handler.router, state.terms.allow))}
        allowed = tuple(each for each in said.intents if not denied(each, bound.handler.router, state.terms.allow))
        ballot.wishes.append(Wish(bound.name, allowed))
        ballot.verdicts.append(Verdict(bound.name, "decided", _wants(allowed), attempt, tuple(sorted(refused))))


def _wants(intents: Sequence[AnyIntent]) -> str:
    return ", ".join(dict.fromkeys(each.word for each in intents)) or "nothing"


def _failed(state: State, ballot: Ballot, handler: str, event: Event, debt: Owed | None, failure: Failure) -> None:
    attempt = debt.attempt + 1 if debt else 1
    first = (debt.first_at, debt.first_error) if debt and debt.first_error else (state.now(), failure.error)
    owed = Owed(handler, event.changes, attempt, *first, failure.error, 0, event.replay, ballot.ledger.of(handler))
    doubt = ballot.ledger.doubt(handler)
    if failure.final or doubt or attempt > len(RETRIES):
        _bury(state, ballot, owed, "; ".join(dict.fromkeys(said for said in (failure.error, doubt) if said)))
        return
    wait = _wait(state.held.turn + handler, attempt) if failure.after is None else int(failure.after * 1000)
    retry = max(state.now() + max(wait, 100), ballot.ledger.until(handler))
    ballot.owed.append(msgspec.structs.replace(owed, retry=retry))
    ballot.verdicts.append(Verdict(handler, "owed", failure.error, attempt))


def _wait(salt: str, attempt: int) -> int:
    """The time to the next attempt; the jitter comes from the turn's id, so that a turn run again is the same."""
    base = RETRIES[attempt - 1]
    return base + crc32(salt.encode()) % (base // 5)


def _give_up(state: State, ballot: Ballot, handler: str, changes: Sequence[Change], reason: str) -> None:
    ballot.wishes = [wish for wish in ballot.wishes if wish.handler != handler or wish.debt]
    ballot.verdicts = [
        verdict
        for verdict in ballot.verdicts
        if verdict.handler != handler or verdict.reason.startswith((replaying.AGAIN, replaying.HANDED))
    ]
    now, done = state.now(), ballot.ledger.of(handler)
    _bury(state, ballot, Owed(handler, tuple(changes), 1, now, reason, reason, 0, foreign=done), reason)


def _bury(state: State, ballot: Ballot, debt: Owed, reason: str) -> None:
    ballot.verdicts.append(Verdict(debt.handler, "dead", reason, debt.attempt))
    ballot.letters.append(letter(state.held.turn, debt, reason))


def _fuse(state: State, reading: Reading, ballot: Ballot, debts: Debts, paused: Halts) -> str:
    """Tells why handlers must stop, if they must."""
    terms, news = state.terms, reading.news
    bounds = Bounds(state.held.ticket, terms.fuse, terms.staff)
    runs = paused.everything is None
    waits = runs and bool(debts or debts.again or news.changes)
    mended = runs and debts.everyone is not None and debts.everyone.replay
    found = look(news.seen, news.changes, waits, state.now(), bounds, mended)
    ballot.seen = found.seen
    if found.letter:
        ballot.letters.append(found.letter)
        ballot.remarks.append(found.letter.reason)
    return found.stopped


def _fold(state: State, reading: Reading, ballot: Ballot) -> Steps[Folded]:
    names: Directory | None = None
    if needs_directory(ballot.wishes):
        names = yield from directory(state, fresh=False)
    folded = _apart(state, reading, ballot.wishes, names)
    if folded.failed:
        # An unknown name may be a new one: read the lists again before it is held against the handler.
        names = yield from directory(state, fresh=True)
        folded = _apart(state, reading, ballot.wishes, names)
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
