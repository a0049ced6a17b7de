"""Deciding: what the handlers want becomes a plan."""

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zlib import crc32

import msgspec

from workers.engine import replay
from workers.engine.context import LaneLost, TurnContext
from workers.engine.external import ExternalEffects
from workers.engine.fold import Folded, HandlerActions, fold, needs_directory
from workers.engine.guards import Halt, LoopGuardLimits, check_loop_guard, halts, keep, wait
from workers.engine.missing import RENAMED, dead_letter, search
from workers.engine.plan import (
    ALL_OF,
    EVERYONE,
    FORMAT,
    DeadLetter,
    Effect,
    Handover,
    Pending,
    Plan,
    Verdict,
    VerdictState,
    describe_handler,
    fingerprint,
    merge_pending,
)
from workers.engine.read import Reading, directory
from workers.engine.steps import Steps, ask, drive
from workers.happyfox.directory import Directory
from workers.plugins.actions import Later, OnOtherTicket, TicketAction, denied, wants
from workers.plugins.context import EffectRequest, run_on
from workers.plugins.invoke import Bound, Decide, Decision, Failure, Inner
from workers.plugins.router import router_of
from workers.store.lanes import set_poison_mark
from workers.tickets.change import Change, Event, brief, describe, event_for, matches
from workers.tickets.snapshot import Snapshot, Timer, attribute

# Attempts: when a handler that failed runs again, and when no more.


#: When a failed handler runs again (ms), with up to a fifth more so that many do not run at once; then it gives up.
RETRIES = (5_000, 30_000, 120_000, 600_000, 1_800_000)


def after_failure(
    context: TurnContext, external: ExternalEffects, handler: str, event: Event, work: Pending | None, failure: Failure
) -> tuple[Pending, str]:
    """Gives what the handler is owed now, and why it is nevertheless given up; empty when it runs again."""
    attempt = work.attempt + 1 if work else 1
    first = (work.first_at, work.first_error) if work and work.first_error else (context.now(), failure.error)
    pending = Pending(
        handler=handler,
        changes=event.changes,
        attempt=attempt,
        first_at=first[0],
        first_error=first[1],
        last_error=failure.error,
        replay=event.replay,
        external=external.of(handler),
    )
    doubt = external.doubt(handler)
    if failure.final or doubt or attempt > len(RETRIES):
        return pending, "; ".join(dict.fromkeys(said for said in (failure.error, doubt) if said))
    wait = _wait(context.lane.turn + handler, attempt) if failure.after is None else int(failure.after * 1000)
    retry = max(context.now() + max(wait, 100), external.until(handler))
    return msgspec.structs.replace(pending, retry_at=retry), ""


def _wait(salt: str, attempt: int) -> int:
    """The time to the next attempt; the jitter comes from the turn's id, so that a turn run again is the same."""
    base = RETRIES[attempt - 1]
    return base + crc32(salt.encode()) % (base // 5)


# Debts: what handlers are owed when a turn begins, each its own, and what several are owed together.


#: So many changes that come with a turn are told one by one in the trail.
FEW = 10


class PendingWork:
    """What is owed at the beginning of a turn; what is taken out is settled there, the rest is told by ``left``.

    ``again`` is what no handler runs for: effects that a person wants again, and what handlers of other tickets want.
    """

    def __init__(self, pending: Sequence[Pending], handlers: Sequence[Bound]) -> None:
        self.again = [work for work in pending if work.effect is not None or work.actions]
        self._own = {work.handler: work for work in pending if work.effect is None and not work.actions}
        self._common = {name: self._own.pop(name) for name in list(self._own) if name.endswith(EVERYONE)}
        self._routers = {bound.handler.router for bound in handlers}

    def __bool__(self) -> bool:
        return bool(self._own or self._common)

    @property
    def everyone(self) -> Pending | None:
        """What all handlers are owed together."""
        return self._common.get(EVERYONE)

    def hearing(self, paused: Container[str]) -> Iterator[str]:
        """Tells, for the trail, what waited and who hears it now; ``paused`` routers hear nothing."""
        for work in self._common.values():
            if router_of(work.handler) in paused:
                continue
            if ours := [change.kind for change in work.changes if change.actor.kind == "us"]:
                yield f"{describe_handler(work.handler)} hears what we did: {', '.join(ours)}"
            if theirs := [brief(change) for change in work.changes if change.actor.kind != "us"]:
                what = "is replayed" if work.replay else "waited"
                told = [*theirs[:FEW], f"{len(theirs) - FEW} more"] if len(theirs) > FEW else theirs
                yield f"{describe_handler(work.handler)} hears what {what}: {', '.join(told)}"

    def stop_everyone(self) -> tuple[Change, ...]:
        """Takes what all handlers were to hear together, but what we did ourselves."""
        work = self._common.pop(EVERYONE, None)
        return _theirs(work) if work else ()

    def stop(self, paused: Container[str]) -> Iterator[Pending]:
        """Takes what several handlers were to hear together, but the ``paused`` routers and what we did ourselves."""
        for name, work in list(self._common.items()):
            if router_of(work.handler) not in paused and (theirs := _theirs(work)):
                yield msgspec.structs.replace(self._common.pop(name), changes=theirs, attempt=max(1, work.attempt))

    def take(self, bound: Bound) -> Pending | None:
        """Takes what a handler is owed, alone and with others: what is common waits behind what was its own before."""
        parts = [self._own.pop(bound.name, None), self._common.get(ALL_OF.format(bound.handler.router)), self.everyone]
        return _joined(bound.name, parts)

    def of_router(self, router: str) -> Pending | None:
        """Gives what all handlers of a router are owed together."""
        name = ALL_OF.format(router)
        return _joined(name, [self._common.get(name), self.everyone])

    def own(self, those: str) -> Iterator[Pending]:
        """Takes what handlers whose names begin so are owed each for itself."""
        for name in list(self._own):
            if name.startswith(those):
                yield self._own.pop(name)

    def routers(self) -> Iterator[Pending]:
        """Gives what the handlers of each router are owed together."""
        yield from (work for name, work in self._common.items() if name != EVERYONE)

    def left(self) -> Iterator[Pending]:
        """Gives what is owed to handlers that nobody took it for: they do not run here."""
        yield from self._own.values()
        yield from (work for work in self.routers() if router_of(work.handler) not in self._routers)


def _theirs(work: Pending) -> tuple[Change, ...]:
    return tuple(change for change in work.changes if change.actor.kind != "us")


def _joined(name: str, parts: Sequence[Pending | None]) -> Pending | None:
    return next(iter(merge_pending(msgspec.structs.replace(part, handler=name) for part in parts if part)), None)


# Votes: what the handlers of one turn have said, as the plan will tell it.


class Outcomes:
    """What handlers want, what they are owed from now on, and what was given up.

    ``shown`` holds the changes of handlers that were owed some beside those of the turn, ``remarks`` are for the trail.
    """

    def __init__(self, context: TurnContext, external: ExternalEffects) -> None:
        self._context, self._external = context, external
        self.requested: list[HandlerActions] = []
        self.verdicts: list[Verdict] = []
        self.pending: list[Pending] = []
        self.dead_letters: list[DeadLetter] = []
        self.shown: dict[str, tuple[Change, ...]] = {}
        self.remarks: list[str] = []

    def record(
        self, handler: str, state: VerdictState, reason: str, attempt: int = 1, denied: tuple[str, ...] = ()
    ) -> None:
        """Notes what became of a handler, and why."""
        self.verdicts.append(Verdict(handler=handler, state=state, reason=reason, attempt=attempt, denied=denied))

    def dead_letter(self, work: Pending, reason: str) -> None:
        """Makes a dead letter of what a handler is owed."""
        self.record(work.handler, "dead", reason, work.attempt)
        self.dead_letters.append(dead_letter(self._context.lane.turn, work, reason))

    def give_up(self, handler: str, changes: Sequence[Change], reason: str) -> None:
        """Drops what a handler wanted in this turn, and makes a dead letter of it."""
        self.requested = [asked for asked in self.requested if asked.handler != handler or asked.work]
        self.verdicts = [
            verdict
            for verdict in self.verdicts
            if verdict.handler != handler or verdict.reason.startswith((replay.AGAIN, replay.HANDED))
        ]
        now, done = self._context.now(), self._external.of(handler)
        self.dead_letter(
            Pending(
                handler=handler,
                changes=tuple(changes),
                attempt=1,
                first_at=now,
                first_error=reason,
                last_error=reason,
                external=done,
            ),
            reason,
        )

    def keep(self, name: str, before: Pending | None, halt: Halt, diff: Sequence[Change]) -> None:
        """Lets changes wait with what was owed ``before``; ``name`` stands for a router or for all handlers."""
        pending, dead = keep(name, before, halt, diff, self._context.now(), self._context.lane.turn)
        if pending:
            self.pending.append(pending)
        if dead:
            self.dead_letters.append(dead)
            self.record(name, "dead", dead.reason)
        elif diff:
            self.record(name, "skipped" if halt.skip else "waits", halt.why)


# The ballot: every handler is asked once, with all changes of the turn and what it was owed.


#: Claims of one turn that was never given back in order: after so many its handlers run one by one under a mark, so
#: that the third crash is the last.
CRASHES = 2

#: Why a handler does not run that is there for other things than what happened.
NOT_ASKED = "no change of its kinds"


class HandlerRunner:
    """Asks the handlers of one turn; ``votes`` is what they said, ``ledger`` what they did in other systems."""

    def __init__(self, context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> None:
        self._context, self._reading = context, reading
        self._pending = PendingWork(pending, context.config.handlers)
        self._paused = halts(context, reading.ticket)
        self._suspicious = context.lane.claims > CRASHES
        self._tripped = False
        self.external = ExternalEffects(context, reading, pending)
        self.outcomes = Outcomes(context, self.external)
        self.snapshot = reading.diff.snapshot

    def run_all(self) -> Steps[None]:
        """Asks every handler, unless it is paused, stopped by the fuse, or has nothing to hear."""
        state, diff = self._context, self._reading.diff.changes
        tripped = self._loop_guard()
        if self._paused.everything:
            self._halt(self._paused.everything)
            return
        if tripped:
            self._stop(tripped)
        else:
            self.outcomes.remarks += self._pending.hearing(self._paused.routers)
        for again in self._pending.again:
            self._again(again, tripped)
        moment, account = state.utc_now(), state.lane.account
        events: dict[frozenset[str], Event | None] = {}  # hundreds of rules ask for the same few kinds
        calm = not (self._pending or tripped or self._suspicious or state.lane.poison_mark or self._paused.routers)
        halted: dict[str, bool] = {}  # paused routers -> whether anything is news to them
        for bound in state.config.handlers:
            handler, name, kinds = bound.handler, bound.name, bound.handler.kinds
            if kinds not in events:
                events[kinds] = event_for(account, kinds, diff)
            event = events[kinds]
            if (
                calm
                and event
                and handler.ask
                and not handler.every
                and (reason := handler.ask(self._reading.ticket, event, moment))
            ):
                self.outcomes.record(name, "skipped", reason)
            elif handler.router in self._paused.routers:
                halted[handler.router] = halted.get(handler.router, False) or event is not None
            else:
                yield from self._turn_to(bound, event, tripped)
        for router, news_to_it in halted.items():
            self._halt_router(router, self._paused.routers[router], diff if news_to_it else ())
        for unknown in self._pending.left():
            self._look_for(unknown)

    def _loop_guard(self) -> str:
        """Tells why handlers must stop, if they must."""
        state, diff, pending = self._context, self._reading.diff, self._pending
        bounds = LoopGuardLimits(state.lane.ticket, state.config.loop_guard, state.config.staff_id)
        runs = self._paused.everything is None
        waits = runs and bool(pending or pending.again or diff.changes)
        reset = runs and pending.everyone is not None and pending.everyone.replay
        found = check_loop_guard(diff.snapshot, diff.changes, waits, state.now(), bounds, reset)
        self.snapshot = found.snapshot
        if diff.snapshot.loop_guard.tripped and not found.snapshot.loop_guard.tripped:
            how = ": a person replayed its letter" if reset else ""
            self.outcomes.remarks.append(f"the fuse of this ticket is whole again{how}")
        if found.dead_letter:
            changes = (*pending.stop_everyone(), *found.dead_letter.changes)
            self.outcomes.dead_letters.append(msgspec.structs.replace(found.dead_letter, changes=changes))
            self.outcomes.remarks.append(found.dead_letter.reason)
            self._tripped = True
        return found.stopped

    def _stop(self, tripped: str) -> None:
        """Makes letters of what several handlers were to hear together: what waited for a pause is not lost."""
        for work in self._pending.stop(self._paused.routers):
            self.outcomes.dead_letter(work, f"{tripped}; replay this then")

    def _turn_to(self, bound: Bound, event: Event | None, tripped: str) -> Steps[None]:
        """Asks a handler, or says why not; ``event`` is what is news to it."""
        state, diff, name = self._context, self._reading.diff, bound.name
        work = self._pending.take(bound) if self._pending else None
        if (event or work) and bound.handler.once and name in diff.snapshot.once:
            self.outcomes.record(name, "skipped", "it has acted on this ticket, and does so only once")
            return
        changes = (*work.changes, *diff.changes) if work else diff.changes
        # What is news when the fuse blows stands in the letter of that, for all handlers.
        kept = work.changes if work and self._tripped else changes
        if work:
            event = event_for(state.lane.account, bound.handler.kinds, changes, replay=work.replay)
        if work and state.now() < work.retry_at:
            self.outcomes.pending.append(
                msgspec.structs.replace(work, changes=kept, missing_since=0, check_at=0, paused=False)
            )
            self.outcomes.record(name, "waits", f"for its retry at {_at(work.retry_at)}", work.attempt)
        elif event is None:
            if changes:
                self.outcomes.record(name, "skipped", NOT_ASKED)
        elif tripped and work and (work.attempt or work.replay):
            self.outcomes.give_up(name, kept, f"{tripped}; replay this then")
        elif tripped:
            self.outcomes.record(name, "skipped", tripped)
        elif name in state.lane.poison_mark.split():
            self.outcomes.give_up(name, changes, "it ended the worker process again and again")
        else:
            yield from self._ask(bound, event, work)

    def _ask(self, bound: Bound, event: Event, work: Pending | None) -> Steps[None]:
        state, attempt = self._context, work.attempt + 1 if work else 1
        if work:
            self.outcomes.shown[bound.name] = event.changes
        if self._suspicious and not (
            yield from ask(set_poison_mark(state.lane, f"{state.lane.poison_mark} {bound.name}".strip()))
        ):
            raise LaneLost
        effect = partial(self._effect, bound.name)
        said: Decision | Failure = yield Decide(bound, self._reading.ticket, event, state.utc_now(), attempt, effect)
        if self._suspicious and not (yield from ask(set_poison_mark(state.lane, state.lane.poison_mark))):
            raise LaneLost
        if isinstance(said, Failure):
            pending, final = after_failure(state, self.external, bound.name, event, work, said)
            if final:
                self.outcomes.dead_letter(pending, final)
            else:
                self.outcomes.pending.append(pending)
                self.outcomes.record(bound.name, "retrying", said.error, attempt)
        elif said.skipped:
            self.outcomes.record(bound.name, "skipped", said.skipped, attempt)
        else:
            router, allow = bound.handler.router, state.config.allow
            refused = {line for each in said.actions if (line := denied(each, router, allow))}
            allowed = tuple(each for each in said.actions if not denied(each, router, allow))
            self.outcomes.requested.append(HandlerActions(bound.name, allowed))
            self.outcomes.record(bound.name, "decided", wants(allowed, router), attempt, tuple(sorted(refused)))

    def _effect(self, handler: str, wanted: EffectRequest, perform: Callable[[Inner], Any]) -> Any:
        """Run an effect of a handler in another system and return its value."""
        return drive(self.external.effect(handler, wanted), perform)

    def _again(self, work: Pending, tripped: str) -> None:
        """Takes an effect that a person wants again, or what another ticket's handler wants, among the wishes.

        What has happened after all, or is not allowed, is left out.
        """
        if router_of(work.handler) in self._paused.routers:
            self.outcomes.pending.append(wait(work, self._context.now()))
            return
        wanted, words = replay.requested_actions(work), replay.words(work)
        if update := replay.landed(self._reading, work):
            self.outcomes.record(work.handler, "decided", f"{words} happened after all (row {update})")
        elif refusal := replay.refusal(self._context, wanted, tripped):
            self.outcomes.dead_letter(work, refusal)
        else:
            self.outcomes.requested.append(wanted)
            self.outcomes.record(work.handler, "decided", words)

    def _look_for(self, unknown: Pending) -> None:
        """Lets what is owed to a handler that does not run here wait for a worker that knows it, for a time."""
        if (later := search(self._context, unknown)) is None:
            self.outcomes.dead_letter(unknown, RENAMED)
            return
        changes = (*unknown.changes, *self._reading.diff.changes)
        self.outcomes.pending.append(msgspec.structs.replace(later, changes=changes))
        self.outcomes.record(unknown.handler, "waits", "for a worker that knows it", unknown.attempt)

    def _halt(self, halt: Halt) -> None:
        """Lets everything wait: what is news for all handlers together, and whatever was owed."""
        pending = self._pending
        self._hold_back("", (*pending.routers(), *pending.again))
        self.outcomes.keep(EVERYONE, pending.everyone, halt, self._reading.diff.changes)

    def _halt_router(self, router: str, halt: Halt, diff: Sequence[Change]) -> None:
        """The same for the handlers of a router."""
        self._hold_back(f"{router}.", ())
        self.outcomes.keep(ALL_OF.format(router), self._pending.of_router(router), halt, diff)

    def _hold_back(self, those: str, others: Sequence[Pending]) -> None:
        """Lets wait what handlers whose names begin so are owed each for itself, with what they did elsewhere."""
        now = self._context.now()
        self.outcomes.pending += [wait(work, now) for work in (*self._pending.own(those), *others)]


def _at(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def decide(context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> Steps[Plan]:
    """Runs the handlers and folds what they want into a plan; nothing is stored and nothing done yet."""
    runner = HandlerRunner(context, reading, pending)
    yield from runner.run_all()
    folded = yield from _fold(context, reading, runner)
    for wanted in runner.outcomes.requested:
        if (problem := folded.failed.get(wanted.key)) is None:
            continue
        if wanted.work:
            runner.outcomes.dead_letter(wanted.work, problem)
        else:
            changes = runner.outcomes.shown.get(wanted.handler, reading.diff.changes)
            runner.outcomes.give_up(wanted.handler, changes, problem)
    own = {asked.handler for asked in runner.outcomes.requested if not asked.work}
    for wanted in runner.outcomes.requested:
        if wanted.work and wanted.handler not in own:
            runner.outcomes.shown.setdefault(wanted.handler, wanted.work.changes)
    timers, timed = _timers(context, reading, runner)
    return Plan(
        format=FORMAT,
        turn=context.lane.turn,
        read_at=reading.at,  # handlers may take long: what they decide is as old as what they were shown
        snapshot=msgspec.structs.replace(_spent(context, runner), timers=timers),
        changes=reading.diff.changes,
        verdicts=tuple(runner.outcomes.verdicts),
        effects=_missing(context, reading, folded),
        pending=tuple(runner.outcomes.pending),
        dead_letters=tuple(runner.outcomes.dead_letters),
        remarks=(*reading.remarks, *runner.outcomes.remarks, *folded.remarks, *timed),
        handled=reading.handled,
        unexplained=reading.left,
        recheck_in=reading.look,
        dry=context.config.dry_run,
        ticket=reading.ticket.raw,
        events=context.lane.events,
        handler_changes=runner.outcomes.shown,
        staff=context.config.staff_id,
        external=runner.external.all(),
        handovers=tuple(_handed(context, runner)),
        calls_saved=0 if context.config.dry_run else folded.calls_saved,
    )


def _spent(context: TurnContext, runner: HandlerRunner) -> Snapshot:
    """Remembers which handlers have had their one go at this ticket."""
    acted = {
        asked.handler for asked in runner.outcomes.requested if asked.actions and not context.config.dry(asked.handler)
    }
    spent = [bound.name for bound in context.config.handlers if bound.handler.once and bound.name in acted]
    return msgspec.structs.replace(runner.snapshot, once=(*runner.snapshot.once, *spent)) if spent else runner.snapshot


def _handed(context: TurnContext, runner: HandlerRunner) -> Iterator[Handover]:
    """Gives what handlers want of other tickets, one for each handler and ticket."""
    for asked in runner.outcomes.requested:
        wanted: dict[int, list[TicketAction]] = {}
        for each in asked.actions:
            if isinstance(each, OnOtherTicket):
                wanted.setdefault(each.number, []).append(each.wanted)
        for number, actions in wanted.items():
            yield Handover(number, asked.handler, tuple(actions), context.config.dry(asked.handler))


def _timers(context: TurnContext, reading: Reading, runner: HandlerRunner) -> tuple[tuple[Timer, ...], list[str]]:
    """Gives the timers that run after the turn, with those that its handlers set, and remarks."""
    timers, remarks = reading.diff.snapshot.timers, list(_unheard(context, reading))
    handlers = {bound.name: bound.handler for bound in context.config.handlers} if _sets_timers(runner) else {}
    for asked in runner.outcomes.requested:
        if asked.handler in handlers:
            shown = runner.outcomes.shown.get(asked.handler, reading.diff.changes)
            handler, dry = handlers[asked.handler], context.config.dry(asked.handler)
            timers, said = run_on(timers, handler, asked.actions, shown, reading.at, dry)
            remarks += said
    return timers, remarks


def _unheard(context: TurnContext, reading: Reading) -> Iterator[str]:
    """Tells of timers and schedules that nobody here receives: their handlers were renamed or taken out."""
    for change in reading.diff.changes:
        if change.to and not any(matches(bound.handler.kinds, change) for bound in context.config.handlers):
            yield f"{describe(change)}, and no handler receives it any more"


def _sets_timers(runner: HandlerRunner) -> bool:
    return any(isinstance(action, Later) for asked in runner.outcomes.requested for action in asked.actions)


def _missing(context: TurnContext, reading: Reading, folded: Folded) -> tuple[Effect, ...]:
    """Gives the effects but those whose rows are there already: a store that lost its memory may ask for them again."""
    # A row that says nothing could stand for any tags or fields; those the ticket shows were left out by folding.
    telling = [update for update in reading.diff.unattributed if update.message or update.changes]
    fingerprints = [None if effect.dry else fingerprint(effect, context.config.staff_id) for effect in folded.effects]
    found = attribute(fingerprints, telling)
    folded.remarks += [
        f"{folded.effects[index].summary}: there already (row {update})" for index, update in found.items()
    ]
    return tuple(effect for index, effect in enumerate(folded.effects) if index not in found)


def _fold(context: TurnContext, reading: Reading, runner: HandlerRunner) -> Steps[Folded]:
    names: Directory | None = None
    if needs_directory(runner.outcomes.requested):
        names = yield from directory(context, fresh=False)
    folded = _apart(context, reading, runner.outcomes.requested, names)
    if folded.failed:
        # An unknown name may be a new one: read the lists again before it is held against the handler.
        names = yield from directory(context, fresh=True)
        folded = _apart(context, reading, runner.outcomes.requested, names)
    return folded


def _apart(
    context: TurnContext, reading: Reading, requested: Sequence[HandlerActions], names: Directory | None
) -> Folded:
    """Folds what is to be sent, and apart from it what is only shown: a router that runs dry takes nothing away."""
    config, requested = context.config, [replay.renew(asked, names) for asked in requested]
    if config.dry_run or not config.dry_routers:
        return fold(requested, reading.ticket, names)
    live = fold([asked for asked in requested if not config.dry(asked.handler)], reading.ticket, names)
    shown = fold([asked for asked in requested if config.dry(asked.handler)], reading.ticket, names)
    return Folded(
        live.effects + [msgspec.structs.replace(effect, dry=True) for effect in shown.effects],
        live.failed | shown.failed,
        live.remarks + [f"{remark} (dry run)" for remark in shown.remarks],
        live.calls_saved,
    )
