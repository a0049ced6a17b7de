"""Backtest: the turns of stored records decided again by other handlers, and held against what was decided then.

The same code decides as in a turn, in a dry run; nothing is called and nothing is stored. Each turn is taken as it was:
its ticket shows what the handlers of then did, and not what those of now would have done. What is compared is what was
decided, whatever became of it.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from workers.errors import GiveUp, Retry
from workers.events.changes import News
from workers.events.last_seen import LastSeen
from workers.governor.governor import Governor
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, Request
from workers.lanes.claims import ClaimTerms, Held
from workers.models.ticket import read_ticket
from workers.settings import Account
from workers.turns.account import Terms
from workers.turns.deciding.deciding import decide
from workers.turns.deciding.foreign import Stopped
from workers.turns.deciding.visit import Visit, place
from workers.turns.plan.deeds import Deed, deeds
from workers.turns.plan.makeshift import Makeshift
from workers.turns.plan.plan import Plan, Record
from workers.turns.plan.tally import Tally, compare
from workers.turns.plan.wishes import Wish
from workers.turns.plugin.router import router_of
from workers.turns.reading import Reading
from workers.turns.state import State
from workers.turns.steps import Bound, Decide, Decision, Failure, Inner, Step, Steps

#: Runs a visit, under a limit of time if it likes.
Take = Callable[[Callable[[], Decision]], Decision]

#: The lists of the account as they are stored, by their names.
Lists = Mapping[str, bytes]


class Backtest:
    """One pass over the records of an account, oldest first.

    Without ``lists`` names are taken from what tickets show, and all others are believed.
    """

    def __init__(self, account: Account, handlers: Sequence[Bound], lists: Lists | None, take: Take) -> None:
        self._terms = _terms(account, tuple(handlers))
        self._lists, self._take = lists, take
        self._routers = {bound.handler.router for bound in handlers}
        self._once = {bound.name for bound in handlers if bound.handler.once}
        self._spent: defaultdict[int, set[str]] = defaultdict(set)
        self._makeshift = Makeshift()
        self._tallies = {bound.name: Tally() for bound in handlers}
        self._now: list[Deed] = []
        self._then: list[Deed] = []
        #: When (ms) a call would have been made, and when one was made for these routers.
        self.posts: list[int] = []
        self.made: list[int] = []
        self.turns = 0

    def play(self, record: Record) -> None:
        """Decides the turn of a record again; one in which nothing happened has nothing to decide."""
        then = [effect for effect in record.effects if self._routers & {router_of(name) for name in effect.handlers}]
        self._then += self._deeds(record, record)
        self.made += [record.at for effect in then if not (record.dry or effect.dry)]
        self._makeshift.see_ticket(record.ticket)
        for effect in record.effects:
            self._makeshift.see_effect(effect)
        if not record.ticket or not record.changes:
            return
        self.turns += 1
        plan = self._decide(record)
        self._count(plan, record)
        self._now += self._deeds(record, plan)
        self.posts += [record.at] * len(plan.effects)

    def compare(self) -> Mapping[str, Tally]:
        """Gives at the end what became of each handler, also of those that there only were then."""
        compare(self._now, self._then, self._tallies)
        return self._tallies

    def _deeds(self, record: Record, plan: Plan | Record) -> Iterator[Deed]:
        found = deeds(record, plan, values=self._lists is not None)
        return (each for each in found if router_of(each.handler) in self._routers)

    def _count(self, plan: Plan, record: Record) -> None:
        for verdict in plan.verdicts:
            tally = self._tallies.setdefault(verdict.handler, Tally())
            tally.denied.update(verdict.denied)
            if verdict.state == "skipped":
                tally.skipped[verdict.reason] += 1
            elif verdict.state in ("owed", "dead"):
                tally.failed[verdict.reason] += 1
            elif verdict.state == "decided" and verdict.reason != "nothing":
                tally.acted += 1
                if verdict.handler in self._once:
                    self._spent[record.number].add(verdict.handler)

    def _decide(self, record: Record) -> Plan:
        held = Held(
            account=record.account,
            ticket=record.number,
            token="",
            now=record.at,
            permit=None,
            turn=record.turn,
            claims=1,
            hints=record.events,
        )
        seen = LastSeen(once=tuple(self._spent[record.number]))
        ticket = read_ticket(record.ticket, self._terms.site)
        state = State(held, self._terms)
        reading = Reading(ticket, News(record.changes, seen), (), (), 0, record.at)
        return self._drive(decide(state, reading, ()))

    def _drive(self, deciding: Steps[Plan]) -> Plan:
        wishes: list[Wish] = []
        try:
            step = next(deciding)
            while True:
                step = deciding.send(self._perform(step, wishes))
        except StopIteration as stop:
            plan: Plan = stop.value
            return plan

    def _perform(self, step: Step, wishes: list[Wish]) -> Any:
        if isinstance(step, Decide):
            said = self._ask(step)
            if isinstance(said, Decision):
                wishes.append(Wish(step.bound.name, said.intents))
            return said
        name = getattr(step, "name", "")
        if name == "read_lists":  # the names that folding needs, and the handlers have said by now which those are
            lists = self._lists or self._makeshift.lists(wishes)
            return [lists[each] for each in Directory.LISTS]
        raise RuntimeError(f"a backtest makes no call and stores nothing, and was asked for {name or step}")

    def _ask(self, step: Decide) -> Decision | Failure:
        log = logging.getLogger(f"handlers.{step.bound.handler.router}")
        visit = Visit(step, _nothing, _no_read, lambda: False, self._terms.site, log)
        said: Decision | Failure
        try:
            said = self._take(visit.take)
        except Stopped as error:
            said = error.failure
        except Retry as error:
            said = Failure(f"asks to run again: {error.reason}", error.after)
        except GiveUp as error:
            said = Failure(f"gives up: {error.reason}", final=True)
        except (Exception, SystemExit) as error:
            said = Failure(f"{type(error).__name__}{place(error, step.bound.handler)}", final=True)
        return visit.end.failure if isinstance(visit.end, Stopped) else said


def _terms(account: Account, handlers: tuple[Bound, ...]) -> Terms:
    """Gives the account's terms in a dry run, at a standstill, since there is nothing to hold or to call."""
    governor = Governor(account.name, account.budget)
    return Terms(
        claim=ClaimTerms(account=account.name, lease=0, read=True, budget=governor.budget, life=0),
        governor=governor,
        staff=account.staff_id,
        site=account.url,
        handlers=handlers,
        allow=account.allow,
        dry_run=True,
        fuse=account.loop_guard,
        life=0,
        doubt=0,
        record_life=0,
        clock=lambda: 0,
    )


def _no_read(request: Request) -> Answer:
    why = f"needs a read (ctx.happyfox, {request.path}), and a backtest makes no call"
    raise Stopped(Failure(why, final=True))


def _nothing(step: Inner) -> NoReturn:
    raise RuntimeError(f"a backtest makes no call and stores nothing, and was asked for {step.name}")
