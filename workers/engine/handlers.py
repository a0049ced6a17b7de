"""Run the handlers of one turn and collect their outcomes.

A handler runs at most once per turn, with all changes of the turn and its pending work.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from zlib import crc32

from msgspec.structs import replace

from workers.engine import replay
from workers.engine.context import TurnContext, utc
from workers.engine.external import ExternalEffects
from workers.engine.fold import HandlerActions
from workers.engine.guards import ActivePause, active_pauses, check_loop_guard, pause_work, queue_changes
from workers.engine.missing import NO_HANDLER, make_dead_letter, wait_for_known_worker
from workers.engine.plan import (
    ALL_OF,
    EVERYONE,
    DeadLetter,
    Pending,
    Verdict,
    VerdictState,
    describe_handler,
    merge_pending,
)
from workers.engine.read import Reading
from workers.engine.state import TurnState
from workers.engine.steps import Steps, drive
from workers.errors import LeaseLost
from workers.plugins.actions import Veto, denied, describe_actions
from workers.plugins.invoke import Bound, Decide, Decision, Failure
from workers.plugins.router import router_of
from workers.store.lanes import set_poison_mark
from workers.tickets.change import Change, Event, brief, event_for

#: When a failed handler runs again (ms), plus up to a fifth to spread them. After the last retry it is dead-lettered.
RETRY_DELAYS = (5_000, 30_000, 120_000, 600_000, 1_800_000)

#: After this many crashes of one turn, its handlers run under a poison mark, so that the third crash is the last.
MAX_UNMARKED_CRASHES = 2

#: How many queued changes the history lists when handlers get them.
LISTED_CHANGES = 10

#: Why a handler for other kinds of changes does not run.
NOT_TRIGGERED = "not triggered by this event"


class HandlerRunner:
    """Run the handlers of one turn."""

    def __init__(self, context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> None:
        self.outcomes = Outcomes(context.lane.turn)
        self.external = ExternalEffects(context, reading, pending)
        #: The snapshot of the read, with the state of the loop guard after this turn's check.
        self.snapshot = reading.diff.snapshot
        self._context, self._reading = context, reading
        self._pending = PendingWork(pending, context.config.handlers)
        self._state = TurnState(context)
        self._pauses = active_pauses(context, reading.ticket)
        #: Run handlers under a poison mark, because earlier attempts at this turn crashed.
        self._marked = context.lane.claims > MAX_UNMARKED_CRASHES
        self._just_tripped = False
        #: Why later handlers do not run on this event, if an earlier one has said so.
        self._veto = ""

    def run_all(self) -> Steps[None]:
        """Run each handler, or record why it does not run."""
        stopped, pending = self._check_loop_guard(), self._pending
        if pause := self._pauses.everything:
            self._pause([*pending.take_own(""), *pending.shared_by_router(), *pending.replays])
            self._queue(EVERYONE, pending.everyone, pause, self._reading.diff.changes)
            return
        if stopped:
            for work in pending.take_shared(self._pauses.routers):
                self.outcomes.dead_letter(work, f"{stopped}; replay this then")
        else:
            self.outcomes.remarks += pending.announce(self._pauses.routers)
        for work in pending.replays:
            self._replay(work, stopped)
        yield from self._run_handlers(stopped)
        for work in pending.unclaimed():
            self._wait_for_known_worker(work)

    def _run_handlers(self, stopped: str) -> Steps[None]:
        lane, changes, paused = self._context.lane, self._reading.diff.changes, self._pauses.routers
        ticket, now, ahead = self._reading.ticket, self._context.utc_now(), timedelta(milliseconds=self._reading.ahead)
        events: dict[frozenset[str], Event | None] = {}  # hundreds of rules ask for the same few kinds
        ordinary = not (self._pending or stopped or self._marked or lane.poison_mark or paused)
        deferred: dict[str, bool] = {}  # paused routers, and whether any change triggers one of their handlers
        for bound in self._context.config.handlers:
            handler = bound.handler
            if handler.kinds not in events:
                events[handler.kinds] = event_for(lane.account, handler.kinds, changes, now=now, ahead=ahead)
            event = events[handler.kinds]
            # Most rules end here: with hundreds of them, a generator for each would be slow.
            if ordinary and event and handler.ask and not handler.every and (why := handler.ask(ticket, event, now)):
                self.outcomes.record(handler.name, "skipped", why)
            elif self._veto and event and not self._pending:
                self.outcomes.record(handler.name, "skipped", self._veto)
            elif handler.router in paused:
                deferred[handler.router] = deferred.get(handler.router, False) or event is not None
            else:
                yield from self._consider(bound, event, stopped)
        for router, triggered in deferred.items():
            self._pause(self._pending.take_own(f"{router}."))
            shared = self._pending.of_router(router)
            self._queue(ALL_OF.format(router), shared, paused[router], changes if triggered else ())

    def _consider(self, bound: Bound, event: Event | None, stopped: str) -> Steps[None]:
        """Run a handler unless it has nothing to do, waits for its retry, or must not run.

        ``event`` is its event of this turn's changes, ``stopped`` the reason if the loop guard stops all handlers.
        """
        diff, name = self._reading.diff, bound.handler.name
        work = self._pending.take(bound) if self._pending else None
        if (event or work) and bound.handler.once and name in diff.snapshot.once:
            self.outcomes.record(name, "skipped", "already acted on this ticket, and runs only once per ticket")
            return
        changes = (*work.changes, *diff.changes) if work else diff.changes
        # Changes of the turn in which the loop guard trips are in its dead letter, for all handlers.
        kept = work.changes if work and self._just_tripped else changes
        if work:
            event = event_for(
                self._context.lane.account,
                bound.handler.kinds,
                changes,
                replay=work.replay,
                now=self._context.utc_now(),
                ahead=timedelta(milliseconds=self._reading.ahead),
            )
        if work and self._context.now() < work.retry_at:
            waiting = replace(work, changes=kept, missing_since=0, check_at=0, paused=False)
            self.outcomes.pending.append(waiting)
            reason = f"for its retry at {utc(work.retry_at):%Y-%m-%d %H:%M:%S} UTC"
            self.outcomes.record(name, "waits", reason, work.attempt)
        elif event is None:
            if changes:
                self.outcomes.record(name, "skipped", NOT_TRIGGERED)
        elif stopped and work and (work.attempt or work.replay):
            self.give_up(name, kept, f"{stopped}; replay this then")
        elif stopped:
            self.outcomes.record(name, "skipped", stopped)
        elif self._veto and not work:
            self.outcomes.record(name, "skipped", self._veto)
        elif name in self._context.lane.poison_mark.split():
            self.give_up(name, changes, "the handler crashed the worker process repeatedly")
        else:
            yield from self._invoke(bound, event, work)

    def _invoke(self, bound: Bound, event: Event, work: Pending | None) -> Steps[None]:
        """Call a handler and record its actions, its failure, or why it skipped the event."""
        name, attempt = bound.name, work.attempt + 1 if work else 1
        if work:
            self.outcomes.handler_changes[name] = event.changes
        if self._marked:
            yield from self._set_poison_mark(name)
        began = self._context.now()
        answer: Decision | Failure = yield Decide(
            bound,
            self._reading.ticket,
            event,
            self._context.utc_now(),
            attempt,
            lambda request, perform: drive(self.external.run(name, request), perform),
            lambda entry, perform: drive(self._state.read(bound.handler.router, entry), perform),
        )
        took = self._context.now() - began
        if self._marked:
            yield from self._set_poison_mark("")
        if isinstance(answer, Failure):
            self._retry_or_dead_letter(name, event, work, answer, took)
        elif answer.skipped:
            self.outcomes.record(name, "skipped", answer.skipped, attempt)
        else:
            router, grants = bound.handler.router, self._context.config.grants
            checked = [(action, denied(action, router, grants.allow)) for action in answer.actions]
            allowed = tuple(action for action, missing in checked if not missing)
            missing = tuple(sorted({missing for _, missing in checked if missing}))
            self.outcomes.requested.append(HandlerActions(name, allowed, by_person=event.replay, seen=answer.seen))
            self._state.add(router, allowed)
            vetoes = [action.reason for action in allowed if isinstance(action, Veto)]
            if vetoes and not self._veto and (self._context.config.dry_run or not self._context.config.dry(name)):
                self._veto = f"vetoed by {name}: {vetoes[0]}"
            denials = {"denied": missing, "grant": grants.adding(router, missing)} if missing else {}
            actions = describe_actions(allowed, router, grants)
            self.outcomes.record(name, "decided", actions, attempt, took=took, **denials)

    def _set_poison_mark(self, name: str) -> Steps[None]:
        """Mark a handler as running, beside those that have crashed already; an empty name clears the mark."""
        lane = self._context.lane
        if not (yield set_poison_mark(lane, f"{lane.poison_mark} {name}".strip())):
            raise LeaseLost

    def _retry_or_dead_letter(self, name: str, event: Event, work: Pending | None, failure: Failure, took: int) -> None:
        """Schedule a failed handler's next run, or dead-letter it if no retry can help."""
        now = self._context.now()
        failed_before = work and work.first_error
        pending = Pending(
            handler=name,
            changes=event.changes,
            attempt=work.attempt + 1 if work else 1,
            first_at=work.first_at if work and failed_before else now,
            first_error=failed_before or failure.error,
            last_error=failure.error,
            traceback=failure.traceback,
            replay=event.replay,
            external=self.external.of(name),
        )
        doubt = self.external.doubt(name)
        if failure.final or doubt or pending.attempt > len(RETRY_DELAYS):
            reasons = dict.fromkeys(each for each in (failure.error, doubt) if each)
            self.outcomes.dead_letter(pending, "; ".join(reasons), took)
            return
        delay = RETRY_DELAYS[pending.attempt - 1]
        # The jitter comes from the turn's id, so that a repeated turn decides the same.
        delay += crc32((self._context.lane.turn + name).encode()) % (delay // 5)
        if failure.after is not None:
            delay = int(failure.after * 1000)
        retry_at = max(now + max(delay, 100), self.external.not_before(name))
        self.outcomes.pending.append(replace(pending, retry_at=retry_at))
        self.outcomes.record(name, "retrying", failure.error, pending.attempt, took=took)

    def give_up(self, name: str, changes: Sequence[Change], reason: str) -> None:
        """Dead-letter a handler, and drop its actions and verdict of this turn."""
        self.outcomes.drop(name)
        work = Pending(handler=name, changes=tuple(changes), attempt=1, external=self.external.of(name))
        self.outcomes.dead_letter(replace(work, first_error=reason, last_error=reason), reason)

    def _check_loop_guard(self) -> str:
        """Update the loop guard; return why handlers must stop, or ""."""
        diff, pending, ahead = self._reading.diff, self._pending, self._reading.ahead
        running = self._pauses.everything is None
        has_work = running and bool(pending.automatic or diff.changes)
        reset = running and pending.everyone is not None and pending.everyone.replay
        check = check_loop_guard(self._context, diff, ahead=ahead, has_work=has_work, reset=reset)
        self.snapshot = check.snapshot
        if diff.snapshot.loop_guard.tripped and not check.snapshot.loop_guard.tripped:
            how = ": a person replayed its dead letter" if reset else ""
            self.outcomes.remarks.append(f"the loop guard of this ticket was reset{how}")
        if check.dead_letter:
            changes = (*pending.take_everyone(), *check.dead_letter.changes)
            self.outcomes.dead_letters.append(replace(check.dead_letter, changes=changes))
            self.outcomes.remarks.append(check.dead_letter.reason)
            self._just_tripped = True
        return check.stopped

    def _replay(self, work: Pending, stopped: str) -> None:
        """Add a replayed effect, or the actions of another ticket's handler, to this turn's actions.

        Leave out an effect that has happened after all, or is no longer allowed.
        """
        if router_of(work.handler) in self._pauses.routers:
            self._pause([work])
            return
        requested, summary = replay.requested_actions(work), replay.summary(work)
        if update := replay.find_update(self._reading, work):
            self.outcomes.record(work.handler, "decided", f"{summary} had already taken effect (update {update})")
        elif refusal := replay.refusal(self._context, requested, stopped):
            self.outcomes.dead_letter(work, refusal)
        else:
            self.outcomes.requested.append(requested)
            self.outcomes.record(work.handler, "decided", summary)

    def _wait_for_known_worker(self, work: Pending) -> None:
        """Keep work for a handler that this worker does not have; dead-letter it if it waits too long."""
        waiting = wait_for_known_worker(self._context, work)
        if waiting is None:
            self.outcomes.dead_letter(work, NO_HANDLER)
            return
        changes = (*work.changes, *self._reading.diff.changes)
        self.outcomes.pending.append(replace(waiting, changes=changes))
        self.outcomes.record(work.handler, "waits", "for a worker that has this handler", work.attempt)

    def _pause(self, pending: Iterable[Pending]) -> None:
        """Defer pending work to the end of a pause."""
        now = self._context.now()
        self.outcomes.pending += [pause_work(work, now) for work in pending]

    def _queue(self, name: str, before: Pending | None, pause: ActivePause, changes: Sequence[Change]) -> None:
        """Queue changes for handlers together, behind the work ``before`` that they share already."""
        queued = queue_changes(self._context, name, before, pause, changes)
        if isinstance(queued, DeadLetter):
            self.outcomes.dead_letters.append(queued)
            self.outcomes.record(name, "dead", queued.reason)
            return
        if queued:
            self.outcomes.pending.append(queued)
        if changes:
            self.outcomes.record(name, "skipped" if pause.skip else "waits", pause.why)


class Outcomes:
    """What the handlers of one turn asked for, what is pending from now on, and what was given up."""

    def __init__(self, turn: str) -> None:
        self._turn = turn
        self.requested: list[HandlerActions] = []
        self.verdicts: list[Verdict] = []
        self.pending: list[Pending] = []
        self.dead_letters: list[DeadLetter] = []
        #: The changes that handlers with pending work were shown.
        self.handler_changes: dict[str, tuple[Change, ...]] = {}
        #: Lines for the ticket's history.
        self.remarks: list[str] = []

    def record(self, handler: str, state: VerdictState, reason: str, attempt: int = 1, **more: Any) -> None:
        """Record what became of a handler, and why; ``more`` are further members of a verdict."""
        self.verdicts.append(Verdict(handler=handler, state=state, reason=reason, attempt=attempt, **more))

    def dead_letter(self, work: Pending, reason: str, took: int = 0) -> None:
        """Dead-letter work of a handler, which has just run for ``took`` ms if it ran."""
        self.record(work.handler, "dead", reason, work.attempt, took=took)
        self.dead_letters.append(make_dead_letter(self._turn, work, reason))

    def drop(self, handler: str) -> None:
        """Drop the actions and the verdict of a handler's own run; replayed effects stay."""
        self.requested = [each for each in self.requested if each.handler != handler or each.work]
        self.verdicts = [
            each for each in self.verdicts if each.handler != handler or each.reason.startswith(replay.PREFIXES)
        ]


class PendingWork:
    """The work that is pending when a turn begins."""

    def __init__(self, pending: Sequence[Pending], handlers: Sequence[Bound]) -> None:
        #: Work for which no handler runs: effects that a person replays, and actions of other tickets' handlers.
        self.replays = [work for work in pending if work.effect is not None or work.actions]
        self._own = {work.handler: work for work in pending if work.effect is None and not work.actions}
        self._shared = {name: self._own.pop(name) for name in list(self._own) if name.endswith(EVERYONE)}
        self._handlers = handlers

    def __bool__(self) -> bool:
        return bool(self._own or self._shared)

    @property
    def automatic(self) -> bool:
        """Whether there is work that no person has asked for by a replay."""
        return any(not work.replay for work in (*self.replays, *self._own.values(), *self._shared.values()))

    @property
    def everyone(self) -> Pending | None:
        """The work that is pending for all handlers together."""
        return self._shared.get(EVERYONE)

    def announce(self, paused: Container[str]) -> Iterator[str]:
        """Describe for the history which queued changes handlers get now; ``paused`` routers get none."""
        for work in self._shared.values():
            if router_of(work.handler) in paused:
                continue
            whom = describe_handler(work.handler)
            if ours := [change.kind for change in work.changes if change.actor.kind == "us"]:
                yield f"{whom} gets our own changes: {', '.join(ours)}"
            if others := [brief(change) for change in _changes_by_others(work)]:
                listed = others[:LISTED_CHANGES]
                if more := len(others) - len(listed):
                    listed.append(f"{more} more")
                yield f"{whom} gets the {'replayed' if work.replay else 'queued'} changes: {', '.join(listed)}"

    def take_everyone(self) -> tuple[Change, ...]:
        """Take the changes that are pending for all handlers together, except our own."""
        work = self._shared.pop(EVERYONE, None)
        return _changes_by_others(work) if work else ()

    def take_shared(self, paused: Container[str]) -> Iterator[Pending]:
        """Take the work that handlers share, except that of ``paused`` routers and our own changes."""
        for name, work in list(self._shared.items()):
            if router_of(work.handler) not in paused and (changes := _changes_by_others(work)):
                yield replace(self._shared.pop(name), changes=changes, attempt=max(1, work.attempt))

    def take(self, bound: Bound) -> Pending | None:
        """Take a handler's work: its own first, then what it shares with others."""
        name, shared = bound.handler.name, ALL_OF.format(bound.handler.router)
        return _merged(name, [self._own.pop(name, None), self._shared.get(shared), self.everyone])

    def take_own(self, prefix: str) -> Iterator[Pending]:
        """Take the work of each handler whose name begins with ``prefix``, without shared work."""
        for name in list(self._own):
            if name.startswith(prefix):
                yield self._own.pop(name)

    def of_router(self, router: str) -> Pending | None:
        """Return the work that all handlers of a router share."""
        name = ALL_OF.format(router)
        return _merged(name, [self._shared.get(name), self.everyone])

    def shared_by_router(self) -> Iterator[Pending]:
        """Yield the work that the handlers of each router share."""
        yield from (work for name, work in self._shared.items() if name != EVERYONE)

    def unclaimed(self) -> Iterator[Pending]:
        """Yield the work that was not taken, because this worker does not have its handler."""
        routers = {bound.handler.router for bound in self._handlers}
        yield from self._own.values()
        yield from (work for work in self.shared_by_router() if router_of(work.handler) not in routers)


def _changes_by_others(work: Pending) -> tuple[Change, ...]:
    return tuple(change for change in work.changes if change.actor.kind != "us")


def _merged(name: str, parts: Sequence[Pending | None]) -> Pending | None:
    return next(iter(merge_pending(replace(part, handler=name) for part in parts if part)), None)
