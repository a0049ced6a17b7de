"""The ballot: every handler is asked once, with all changes of the turn and what it was owed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from workers.events.change import Change, Event, event_for
from workers.lanes.holding import mark
from workers.turns.deciding import replaying
from workers.turns.deciding.attempts import failed
from workers.turns.deciding.debts import Debts
from workers.turns.deciding.foreign import Ledger
from workers.turns.deciding.fuse import Bounds, look
from workers.turns.deciding.missing import RENAMED, search
from workers.turns.deciding.pausing import Halt, halts, wait
from workers.turns.deciding.votes import Votes
from workers.turns.plan.owed import ALL_OF, EVERYONE, Owed
from workers.turns.plan.wishes import Wish
from workers.turns.plugin.permissions import denied, wants
from workers.turns.plugin.router import router_of
from workers.turns.reading import Reading
from workers.turns.state import Lost, State
from workers.turns.steps import Bound, Decide, Decision, Failure, Steps, ask

#: Claims of one turn that was never given back in order: after so many its handlers run one by one under a mark, so
#: that the third crash is the last.
CRASHES = 2

#: Why a handler does not run that is there for other things than what happened.
NOT_ASKED = "no change of its kinds"


class Ballot:
    """Asks the handlers of one turn; ``votes`` is what they said, ``ledger`` what they did in other systems."""

    def __init__(self, state: State, reading: Reading, owed: Sequence[Owed]) -> None:
        self._state, self._reading = state, reading
        self._debts = Debts(owed, state.terms.handlers)
        self._paused = halts(state, reading.ticket)
        self._suspicious = state.held.claims > CRASHES
        self._blew = False
        self.ledger = Ledger(state, reading, owed)
        self.votes = Votes(state, self.ledger)
        self.seen = reading.news.seen

    def hold(self) -> Steps[None]:
        """Asks every handler, unless it is paused, stopped by the fuse, or has nothing to hear."""
        state, news = self._state, self._reading.news.changes
        blown = self._fuse()
        if self._paused.everything:
            self._halt(self._paused.everything)
            return
        if blown:
            self._stop(blown)
        else:
            self.votes.remarks += self._debts.hearing(self._paused.routers)
        for again in self._debts.again:
            self._again(again, blown)
        moment, account = state.moment(), state.held.account
        events: dict[frozenset[str], Event | None] = {}  # hundreds of rules ask for the same few kinds
        calm = not (self._debts or blown or self._suspicious or state.held.mark or self._paused.routers)
        halted: dict[str, bool] = {}  # paused routers -> whether anything is news to them
        for bound in state.terms.handlers:
            handler, name, kinds = bound.handler, bound.name, bound.handler.kinds
            if kinds not in events:
                events[kinds] = event_for(account, kinds, news)
            event = events[kinds]
            if (
                calm
                and event
                and handler.ask
                and not handler.every
                and (reason := handler.ask(self._reading.ticket, event, moment))
            ):
                self.votes.say(name, "skipped", reason)
            elif handler.router in self._paused.routers:
                halted[handler.router] = halted.get(handler.router, False) or event is not None
            else:
                yield from self._turn_to(bound, event, blown)
        for router, news_to_it in halted.items():
            self._halt_router(router, self._paused.routers[router], news if news_to_it else ())
        for unknown in self._debts.left():
            self._look_for(unknown)

    def _fuse(self) -> str:
        """Tells why handlers must stop, if they must."""
        state, news, debts = self._state, self._reading.news, self._debts
        bounds = Bounds(state.held.ticket, state.terms.fuse, state.terms.staff)
        runs = self._paused.everything is None
        waits = runs and bool(debts or debts.again or news.changes)
        mended = runs and debts.everyone is not None and debts.everyone.replay
        found = look(news.seen, news.changes, waits, state.now(), bounds, mended)
        self.seen = found.seen
        if news.seen.fuse.blown and not found.seen.fuse.blown:
            how = ": a person replayed its letter" if mended else ""
            self.votes.remarks.append(f"the fuse of this ticket is whole again{how}")
        if found.letter:
            changes = (*debts.stop_everyone(), *found.letter.changes)
            self.votes.letters.append(msgspec.structs.replace(found.letter, changes=changes))
            self.votes.remarks.append(found.letter.reason)
            self._blew = True
        return found.stopped

    def _stop(self, blown: str) -> None:
        """Makes letters of what several handlers were to hear together: what waited for a pause is not lost."""
        for debt in self._debts.stop(self._paused.routers):
            self.votes.bury(debt, f"{blown}; replay this then")

    def _turn_to(self, bound: Bound, event: Event | None, blown: str) -> Steps[None]:
        """Asks a handler, or says why not; ``event`` is what is news to it."""
        state, news, name = self._state, self._reading.news, bound.name
        debt = self._debts.take(bound) if self._debts else None
        if (event or debt) and bound.handler.once and name in news.seen.once:
            self.votes.say(name, "skipped", "it has acted on this ticket, and does so only once")
            return
        changes = (*debt.changes, *news.changes) if debt else news.changes
        # What is news when the fuse blows stands in the letter of that, for all handlers.
        kept = debt.changes if debt and self._blew else changes
        if debt:
            event = event_for(state.held.account, bound.handler.kinds, changes, replay=debt.replay)
        if debt and state.now() < debt.retry:
            self.votes.owed.append(msgspec.structs.replace(debt, changes=kept, missing=0, look=0, paused=False))
            self.votes.say(name, "waits", f"for its retry at {_at(debt.retry)}", debt.attempt)
        elif event is None:
            if changes:
                self.votes.say(name, "skipped", NOT_ASKED)
        elif blown and debt and (debt.attempt or debt.replay):
            self.votes.give_up(name, kept, f"{blown}; replay this then")
        elif blown:
            self.votes.say(name, "skipped", blown)
        elif name in state.held.mark.split():
            self.votes.give_up(name, changes, "it ended the worker process again and again")
        else:
            yield from self._ask(bound, event, debt)

    def _ask(self, bound: Bound, event: Event, debt: Owed | None) -> Steps[None]:
        state, attempt = self._state, debt.attempt + 1 if debt else 1
        if debt:
            self.votes.shown[bound.name] = event.changes
        if self._suspicious and not (yield from ask(mark(state.held, f"{state.held.mark} {bound.name}".strip()))):
            raise Lost
        effect = partial(self.ledger.effect, bound.name)
        said: Decision | Failure = yield Decide(bound, self._reading.ticket, event, state.moment(), attempt, effect)
        if self._suspicious and not (yield from ask(mark(state.held, state.held.mark))):
            raise Lost
        if isinstance(said, Failure):
            owed, final = failed(state, self.ledger, bound.name, event, debt, said)
            if final:
                self.votes.bury(owed, final)
            else:
                self.votes.owed.append(owed)
                self.votes.say(bound.name, "owed", said.error, attempt)
        elif said.skipped:
            self.votes.say(bound.name, "skipped", said.skipped, attempt)
        else:
            router, allow = bound.handler.router, state.terms.allow
            refused = {line for each in said.intents if (line := denied(each, router, allow))}
            allowed = tuple(each for each in said.intents if not denied(each, router, allow))
            self.votes.wishes.append(Wish(bound.name, allowed))
            self.votes.say(bound.name, "decided", wants(allowed, router), attempt, tuple(sorted(refused)))

    def _again(self, debt: Owed, blown: str) -> None:
        """Takes an effect that a person wants again, or what another ticket's handler wants, among the wishes.

        What has happened after all, or is not allowed, is left out.
        """
        if router_of(debt.handler) in self._paused.routers:
            self.votes.owed.append(wait(debt, self._state.now()))
            return
        wanted, words = replaying.wish(debt), replaying.words(debt)
        if row := replaying.landed(self._reading, debt):
            self.votes.say(debt.handler, "decided", f"{words} happened after all (row {row})")
        elif refusal := replaying.refusal(self._state, wanted, blown):
            self.votes.bury(debt, refusal)
        else:
            self.votes.wishes.append(wanted)
            self.votes.say(debt.handler, "decided", words)

    def _look_for(self, unknown: Owed) -> None:
        """Lets what is owed to a handler that does not run here wait for a worker that knows it, for a time."""
        if (later := search(self._state, unknown)) is None:
            self.votes.bury(unknown, RENAMED)
            return
        changes = (*unknown.changes, *self._reading.news.changes)
        self.votes.owed.append(msgspec.structs.replace(later, changes=changes))
        self.votes.say(unknown.handler, "waits", "for a worker that knows it", unknown.attempt)

    def _halt(self, halt: Halt) -> None:
        """Lets everything wait: what is news for all handlers together, and whatever was owed."""
        debts = self._debts
        self._hold_back("", (*debts.routers(), *debts.again))
        self.votes.keep(EVERYONE, debts.everyone, halt, self._reading.news.changes)

    def _halt_router(self, router: str, halt: Halt, news: Sequence[Change]) -> None:
        """The same for the handlers of a router."""
        self._hold_back(f"{router}.", ())
        self.votes.keep(ALL_OF.format(router), self._debts.of_router(router), halt, news)

    def _hold_back(self, those: str, others: Sequence[Owed]) -> None:
        """Lets wait what handlers whose names begin so are owed each for itself, with what they did elsewhere."""
        now = self._state.now()
        self.votes.owed += [wait(debt, now) for debt in (*self._debts.own(those), *others)]


def _at(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
