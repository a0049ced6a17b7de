"""Backtest: the turns of stored records decided again by other handlers, and held against what was decided then.

The same code decides as in a turn, in a dry run; nothing is called and nothing is stored. Each turn is taken as it was:
its ticket shows what the handlers of then did, and not what those of now would have done. What is compared is what was
decided, whatever became of it.
"""

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

from workers.engine.context import AccountConfig, TurnContext
from workers.engine.decide import decide
from workers.engine.fold import HandlerActions
from workers.engine.plan import Effect, Plan, Record, split
from workers.engine.read import Reading
from workers.engine.replay import AGAIN, HANDED
from workers.engine.steps import Step, drive
from workers.errors import GiveUp, Retry
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, Request
from workers.plugins.actions import AnyAction, Create, Move, Note, Set, Subscribe
from workers.plugins.invoke import Bound, Decide, Decision, Failure, Inner, Invocation, Stopped, place
from workers.plugins.router import router_of
from workers.settings import Account
from workers.store.lanes import ClaimConfig, ClaimedLane
from workers.store.permits import Governor
from workers.tickets.diff import ReadDiff
from workers.tickets.model import items, mapping, number, read_ticket, text
from workers.tickets.snapshot import Snapshot

# Deeds: effects taken apart into what each handler wanted done, for holding one plan against another. Pure.


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One thing that a handler wanted done: on which ticket, when (ms), in plain words, with the text of a message."""

    handler: str
    ticket: int
    at: int
    words: str
    text: str = ""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes two deeds the same, whatever their turns."""
        return self.handler, self.ticket, self.words.casefold(), self.text


def planned_actions(record: Record, plan: Plan | Record, *, values: bool) -> Iterator[PlannedAction]:
    """Takes apart what a plan for a record's turn, or the record itself, did, into what each handler wanted.

    What was only brought about there, replayed or wanted by another ticket's turn, is left out. With ``values`` a
    custom field's value is a part of it; without the account's lists it cannot be compared.
    """
    ran = [verdict for verdict in plan.verdicts if verdict.state == "decided"]
    brought = {verdict.handler for verdict in ran if verdict.reason.startswith((AGAIN, HANDED))}
    brought -= {verdict.handler for verdict in ran if not verdict.reason.startswith((AGAIN, HANDED))}
    for effect in plan.effects:
        for part in split(effect):
            for described, message in _things(part, values):
                if part.handlers[0] not in brought:
                    yield PlannedAction(part.handlers[0], record.number, record.at, described, message)
    for each in plan.handed:
        wanted = msgspec.json.encode(each.actions).decode()
        yield PlannedAction(each.handler, record.number, record.at, each.words, wanted)
    for handler, entries in plan.external.items():
        for name, entry in entries.items():
            if entry.turn == record.turn:
                yield PlannedAction(handler, record.number, record.at, f"effect {name}")


def _things(part: Effect, values: bool) -> Iterator[tuple[str, str]]:
    silent = msgspec.structs.replace(part, add=(), remove=(), set={}, fields={})
    if silent.words:
        yield silent.words, part.text
    yield from ((f"tag +{tag}", "") for tag in part.add)
    yield from ((f"tag -{tag}", "") for tag in part.remove)
    sole = Effect(sort="properties", names=part.names)
    yield from ((msgspec.structs.replace(sole, set={name: value}).words, "") for name, value in part.set.items())
    for name, value in part.fields.items():
        yield msgspec.structs.replace(sole, fields={name: value}).words + (f" = {value}" if values else ""), ""


# Makeshift: names and ids as tickets and effects show them, for when an account's lists are not stored. Pure.


#: The lists of a directory, by the member of a ticket that shows one of its entries.
SHOWN = {"status": "statuses", "priority": "priorities", "category": "categories", "assigned_to": "staff"}
PROPERTIES = {"status": "statuses", "priority": "priorities", "assignee": "staff"}


class InferredDirectory:
    """Learns names from what it is shown; a name that nothing showed gets an id below zero."""

    def __init__(self) -> None:
        self._lists: dict[str, dict[int, str]] = {name: {} for name in Directory.LISTS}

    def see_ticket(self, raw: Mapping[str, Any]) -> None:
        """Learns from a ticket as HappyFox answered it."""
        for member, where in SHOWN.items():
            self._see(where, mapping(raw.get(member)))
        for custom in map(mapping, items(raw.get("custom_fields"))):
            self._see("fields", custom)

    def see_effect(self, effect: Effect) -> None:
        """Learns from the names that stand in an effect beside its ids."""
        for key, name in effect.names.items():
            if key.startswith(("#", "@")):
                self._see("fields" if key[0] == "#" else "staff", {"id": int(key[1:]), "name": name})
            elif key == "category":
                self._see("categories", {"id": effect.category, "name": name})
            elif isinstance(identity := effect.set.get(key), int):
                self._see(PROPERTIES[key], {"id": identity, "name": name})

    def lists(self, requested: Sequence[HandlerActions]) -> dict[str, bytes]:
        """Gives lists as the store keeps them (JSON), with every name in these wishes."""
        for asked in requested:
            for action in asked.actions:
                for where, name in _names(action):
                    self._know(where, name)
        return {
            where: msgspec.json.encode([{"id": one, "name": name, "email": name} for one, name in names.items()])
            for where, names in self._lists.items()
        }

    def _see(self, where: str, entry: Mapping[str, Any]) -> None:
        identity, name = number(entry.get("id")), text(entry.get("name"))
        if identity is None or not name:
            return
        names = self._lists[where]
        for other in [one for one, known in names.items() if one < 0 and known.casefold() == name.casefold()]:
            del names[other]
        names[identity] = name

    def _know(self, where: str, name: int | str) -> None:
        names = self._lists[where]
        known = {each.strip().casefold() for each in names.values()}
        if isinstance(name, int):
            names.setdefault(name, str(name))
        elif name.strip().casefold() not in known:
            names[min([0, *names]) - 1] = name.strip()


def _names(action: AnyAction) -> list[tuple[str, int | str]]:
    """Gives the names that an intent holds, each with the list it belongs to."""
    if isinstance(action, Set):
        own = [(PROPERTIES[key], value) for key, value in action.properties.items() if key in PROPERTIES]
        return [(where, value) for where, value in own if value is not None] + [
            ("fields", key) for key in action.fields
        ]
    if isinstance(action, Create):
        draft = action.members
        own = [(PROPERTIES[key], draft[key]) for key in PROPERTIES if key in draft]
        return [("categories", draft["category"]), *own, *(("fields", name) for name in draft.get("fields", ()))]
    if isinstance(action, Move):
        return [("categories", action.category)]
    if isinstance(action, Subscribe):
        return [("staff", each) for each in action.staff]
    if isinstance(action, Note) and action.alert is not None:
        return [("staff", action.alert)]
    return []


# Tallies: what handlers wanted now and then, held against each other, and what it costs. Pure.


@dataclass(slots=True)
class HandlerComparison:
    """What became of one handler: deeds that are the same now and then, that are new, that are gone; and why not.

    ``acted`` counts turns; ``skipped``, ``denied`` and ``failed`` count reasons, the last two as in verdicts.
    """

    acted: int = 0
    same: int = 0
    added: list[PlannedAction] = field(default_factory=list)
    missing: list[PlannedAction] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def compare(
    now: Sequence[PlannedAction], then: Sequence[PlannedAction], comparisons: MutableMapping[str, HandlerComparison]
) -> None:
    """Adds to the tally of each handler which of its deeds are the same, added or missing."""
    left = Counter(action.key for action in then)
    for action in now:
        comparison = comparisons.setdefault(action.handler, HandlerComparison())
        if left[action.key]:
            left[action.key] -= 1
            comparison.same += 1
        else:
            comparison.added.append(action)
    for action in then:
        if left[action.key]:
            left[action.key] -= 1
            comparisons.setdefault(action.handler, HandlerComparison()).missing.append(action)


def peak(times: Iterable[int], window: float) -> int:
    """Gives the most of these times (ms, ascending) that fall into any window of so many seconds."""
    most, waiting = 0, deque[int]()
    for at in times:
        waiting.append(at)
        while waiting[0] <= at - window * 1000:
            waiting.popleft()
        most = max(most, len(waiting))
    return most


#: Runs a visit, under a limit of time if it likes.
Take = Callable[[Callable[[], Decision]], Decision]

#: The lists of the account as they are stored, by their names.
Lists = Mapping[str, bytes]


class Backtest:
    """One pass over the records of an account, oldest first.

    Without ``lists`` names are taken from what tickets show, and all others are believed.
    """

    def __init__(self, account: Account, handlers: Sequence[Bound], lists: Lists | None, take: Take) -> None:
        self._config = _config(account, tuple(handlers))
        self._lists, self._take = lists, take
        self._routers = {bound.handler.router for bound in handlers}
        self._once = {bound.name for bound in handlers if bound.handler.once}
        self._spent: defaultdict[int, set[str]] = defaultdict(set)
        self._inferred = InferredDirectory()
        self._comparisons = {bound.name: HandlerComparison() for bound in handlers}
        self._now: list[PlannedAction] = []
        self._then: list[PlannedAction] = []
        #: When (ms) a call would have been made, and when one was made for these routers.
        self.posts: list[int] = []
        self.made: list[int] = []
        self.turns = 0

    def play(self, record: Record) -> None:
        """Decides the turn of a record again; one in which nothing happened has nothing to decide."""
        then = [effect for effect in record.effects if self._routers & {router_of(name) for name in effect.handlers}]
        self._then += self._planned_actions(record, record)
        self.made += [record.at for effect in then if not (record.dry or effect.dry)]
        self._inferred.see_ticket(record.ticket)
        for effect in record.effects:
            self._inferred.see_effect(effect)
        if not record.ticket or not record.changes:
            return
        self.turns += 1
        plan = self._decide(record)
        self._count(plan, record)
        self._now += self._planned_actions(record, plan)
        self.posts += [record.at] * len(plan.effects)

    def compare(self) -> Mapping[str, HandlerComparison]:
        """Gives at the end what became of each handler, also of those that there only were then."""
        compare(self._now, self._then, self._comparisons)
        return self._comparisons

    def _planned_actions(self, record: Record, plan: Plan | Record) -> Iterator[PlannedAction]:
        found = planned_actions(record, plan, values=self._lists is not None)
        return (each for each in found if router_of(each.handler) in self._routers)

    def _count(self, plan: Plan, record: Record) -> None:
        for verdict in plan.verdicts:
            comparison = self._comparisons.setdefault(verdict.handler, HandlerComparison())
            comparison.denied.update(verdict.denied)
            if verdict.state == "skipped":
                comparison.skipped[verdict.reason] += 1
            elif verdict.state in ("retrying", "dead"):
                comparison.failed[verdict.reason] += 1
            elif verdict.state == "decided" and verdict.reason != "nothing":
                comparison.acted += 1
                if verdict.handler in self._once:
                    self._spent[record.number].add(verdict.handler)

    def _decide(self, record: Record) -> Plan:
        lane = ClaimedLane(
            account=record.account,
            ticket=record.number,
            token="",
            now=record.at,
            permit=None,
            turn=record.turn,
            claims=1,
            events=record.events,
        )
        snapshot = Snapshot(once=tuple(self._spent[record.number]))
        ticket = read_ticket(record.ticket, self._config.site)
        context = TurnContext(lane, self._config)
        reading = Reading(ticket, ReadDiff(record.changes, snapshot), (), (), 0, record.at)
        requested: list[HandlerActions] = []
        return drive(decide(context, reading, ()), lambda step: self._perform(step, requested))

    def _perform(self, step: Step, requested: list[HandlerActions]) -> Any:
        if isinstance(step, Decide):
            said = self._ask(step)
            if isinstance(said, Decision):
                requested.append(HandlerActions(step.bound.name, said.actions))
            return said
        name = getattr(step, "name", "")
        if name == "read_lists":  # the names that folding needs, and the handlers have said by now which those are
            lists = self._lists or self._inferred.lists(requested)
            return [lists[each] for each in Directory.LISTS]
        raise RuntimeError(f"a backtest makes no call and stores nothing, and was asked for {name or step}")

    def _ask(self, step: Decide) -> Decision | Failure:
        log = logging.getLogger(f"handlers.{step.bound.handler.router}")
        invocation = Invocation(step, _nothing, _no_read, lambda: False, self._config.site, log)
        said: Decision | Failure
        try:
            said = self._take(invocation.take)
        except Stopped as error:
            said = error.failure
        except Retry as error:
            said = Failure(f"asks to run again: {error.reason}", error.after)
        except GiveUp as error:
            said = Failure(f"gives up: {error.reason}", final=True)
        except (Exception, SystemExit) as error:
            said = Failure(f"{type(error).__name__}{place(error, step.bound.handler)}", final=True)
        return invocation.end.failure if isinstance(invocation.end, Stopped) else said


def _config(account: Account, handlers: tuple[Bound, ...]) -> AccountConfig:
    """Gives the account's terms in a dry run, at a standstill, since there is nothing to hold or to call."""
    governor = Governor(account.name, account.budget)
    return AccountConfig(
        claim=ClaimConfig(account=account.name, lease=0, read=True, budget=governor.budget, life=0),
        governor=governor,
        staff_id=account.staff_id,
        site=account.url,
        handlers=handlers,
        allow=account.allow,
        dry_run=True,
        loop_guard=account.loop_guard,
        call_ms=0,
        doubt_ms=0,
        record_ttl=0,
        clock=lambda: 0,
    )


def _no_read(request: Request) -> Answer:
    why = f"needs a read (ctx.happyfox, {request.path}), and a backtest makes no call"
    raise Stopped(Failure(why, final=True))


def _nothing(step: Inner) -> NoReturn:
    raise RuntimeError(f"a backtest makes no call and stores nothing, and was asked for {step.name}")
