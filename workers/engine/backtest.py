"""Backtest: run other handlers on the turns of stored records, and compare their actions.

The code of a dry run decides; nothing is called and nothing is stored. Each ticket is used as it was read: it reflects
what the old handlers did, not what the new ones would have done. Only decisions are compared, not their results.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NoReturn, cast

import msgspec
from msgspec.structs import replace

from workers.engine.context import DAY, AccountConfig, TurnContext
from workers.engine.decide import decide
from workers.engine.effect import Effect, split_actions
from workers.engine.excerpt import Histories
from workers.engine.fold import HandlerActions
from workers.engine.plan import Plan, Record, TurnDecisions
from workers.engine.read import Reading
from workers.engine.replay import AGAIN, HANDED
from workers.engine.steps import Step, drive
from workers.errors import Retry
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, Request
from workers.plugins.actions import AnyAction, Create, Move, Note, Set, SetContact, Subscribe, Unsubscribe
from workers.plugins.invoke import (
    Bound,
    Decide,
    Decision,
    Failure,
    Inner,
    Invocation,
    Stopped,
    describe_failure,
)
from workers.plugins.router import router_of
from workers.plugins.state import MemoryState
from workers.settings import Account
from workers.store.lanes import ClaimConfig, ClaimedLane
from workers.store.permits import Governor
from workers.store.scripts import Script
from workers.tickets.diff import ReadDiff
from workers.tickets.emails import count_people
from workers.tickets.folding import fold
from workers.tickets.model import items, mapping, number, read_ticket, text
from workers.tickets.snapshot import EmailRun, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action that a handler decided."""

    handler: str
    ticket: int
    at: int
    """When its turn settled (ms)."""
    summary: str
    """What it does, as in ``tag +vip``."""
    text: str = ""
    """The text of a message."""
    state: Literal["planned", "held"] = "planned"
    """``held`` if it is part of an email that a brake holds back."""
    reason: str = ""
    """Why it is held."""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """The same for equal actions, whatever their turns."""
        return self.handler, self.ticket, self.summary.casefold(), self.text


@dataclass(slots=True)
class HandlerComparison:
    """What one handler decides now, compared with what it decided then."""

    acted: int = 0
    """In how many turns it acts now."""
    same: int = 0
    added: list[PlannedAction] = field(default_factory=list)
    missing: list[PlannedAction] = field(default_factory=list)
    held: list[PlannedAction] = field(default_factory=list)
    """Those of its actions now, the same or added, that a brake holds back."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Why it was skipped, and how often."""
    denied: Counter[str] = field(default_factory=Counter)
    """The settings that would permit what was left out."""
    failed: Counter[str] = field(default_factory=Counter)


#: Runs a handler's invocation, perhaps under a time limit.
RunInvocation = Callable[[Callable[[], Decision]], Decision]


class Backtest:
    """One pass over the records of an account, oldest first."""

    def __init__(
        self, account: Account, handlers: Sequence[Bound], lists: Mapping[str, bytes] | None, run: RunInvocation
    ) -> None:
        self._config = _config(account, tuple(handlers))
        #: The account's stored lists of names. Without them, names come from tickets, and all others are accepted.
        self._lists = lists
        self._run = run
        self._routers = {bound.handler.router for bound in handlers}
        self._once = {bound.name for bound in handlers if bound.handler.once}
        self._acted_once: defaultdict[int, set[str]] = defaultdict(set)
        self._emails: defaultdict[int, EmailRun] = defaultdict(EmailRun)
        #: The time (ms) and the turn of each email to an address.
        self._sent: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._inferred = InferredDirectory()
        self._comparisons = {bound.name: HandlerComparison() for bound in handlers}
        self._now: list[PlannedAction] = []
        self._then: list[PlannedAction] = []
        #: When (ms) a call would be made now, and when one was made for these routers.
        self.posts: list[int] = []
        self.made: list[int] = []
        self.turns = 0
        #: In how many of the turns the ticket had updates that no record has.
        self.shortened = 0
        self._histories = Histories()
        #: The state of the routers, empty before the first turn.
        self._state = MemoryState()

    def remember(self, record: Record) -> None:
        """Learn the updates of a ticket from the record of a turn that is not decided again."""
        self._histories.add(record)

    def decide_again(self, record: Record) -> None:
        """Decide the turn of a record again, unless nothing had changed in it."""
        record = self._histories.complete(record)
        own = [effect for effect in record.effects if self._routers & {router_of(name) for name in effect.handlers}]
        self._then += self._planned_actions(record, record)
        self.made += [record.at for effect in own if not (record.dry or effect.dry or effect.held)]
        self._inferred.learn_from_ticket(record.ticket)
        for effect in record.effects:
            self._inferred.learn_from_effect(effect)
        if record.ticket and record.changes:
            self.turns += 1
            self.shortened += self._histories.lacks(record)
            plan = self._plan(record)
            for each in plan.state:
                self._state.apply(router_of(each.handler), each.changes, record.at, record.number)
            self._count(plan, record)
            self._count_emails(plan, record)
            self._now += self._planned_actions(record, plan)
            self.posts += [record.at for effect in plan.effects if not effect.held]

    def comparisons(self) -> Mapping[str, HandlerComparison]:
        """Return the comparison of each handler, including those that no longer exist; call it once, at the end."""
        left = Counter(action.key for action in self._then)
        for action in self._now:
            comparison = self._of(action.handler)
            if action.state == "held":
                comparison.held.append(action)
            if left[action.key]:
                left[action.key] -= 1
                comparison.same += 1
            else:
                comparison.added.append(action)
        for action in self._then:
            if left[action.key]:
                left[action.key] -= 1
                self._of(action.handler).missing.append(action)
        return self._comparisons

    def _of(self, handler: str) -> HandlerComparison:
        return self._comparisons.setdefault(handler, HandlerComparison())

    def _planned_actions(self, record: Record, decisions: TurnDecisions) -> Iterator[PlannedAction]:
        found = planned_actions(record, decisions, values=self._lists is not None)
        return (action for action in found if router_of(action.handler) in self._routers)

    def _count_emails(self, plan: Plan, record: Record) -> None:
        """Count the emails of a turn for its ticket and their addresses."""
        emails = plan.snapshot.emails
        for index, effect in enumerate(plan.effects):
            if not effect.addresses or effect.held:
                continue
            emails = emails.one_more()
            for address in effect.addresses if not effect.uncounted else ():
                self._sent[address].append((record.at, f"{record.number} {record.turn}.{index}"))
        self._emails[record.number] = emails

    def _count(self, plan: Plan, record: Record) -> None:
        for verdict in plan.verdicts:
            comparison = self._of(verdict.handler)
            if verdict.grant:
                comparison.denied[verdict.grant] += 1
            if verdict.state == "skipped":
                comparison.skipped[verdict.reason] += 1
            elif verdict.state in ("retrying", "dead"):
                comparison.failed[verdict.reason] += 1
            elif verdict.state == "decided" and verdict.reason != "nothing":
                comparison.acted += 1
                if verdict.handler in self._once:
                    self._acted_once[record.number].add(verdict.handler)

    def _plan(self, record: Record) -> Plan:
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
        emails = count_people(self._emails[record.number], record.changes, self._config.staff_id)
        snapshot = Snapshot(once=tuple(self._acted_once[record.number]), emails=emails)
        context, ticket = TurnContext(lane, self._config), read_ticket(record.ticket, self._config.site)
        diff = ReadDiff(record.changes, snapshot)
        reading = Reading(ticket=ticket, diff=diff, handled=(), unexplained=(), recheck_in=0, at=record.at)
        requested: list[HandlerActions] = []
        return drive(decide(context, reading, ()), lambda step: self._perform(step, requested, record.at))

    def _perform(self, step: Step, requested: list[HandlerActions], now: int) -> Any:
        if isinstance(step, Decide):
            answer = self._invoke(step)
            if isinstance(answer, Decision):
                requested.append(HandlerActions(step.bound.name, answer.actions))
            return answer
        if getattr(step, "name", "") == "read_lists":  # folding needs names, and all handlers have decided by now
            lists = self._lists or self._inferred.lists(requested)
            return [lists[str(name)] for name in cast(Script[Any], step).args[1:]]
        if getattr(step, "name", "") == "read_emails":
            addresses = map(str, cast(Script[Any], step).args)
            return [[email for at, email in self._sent[address] if at > now - DAY] for address in addresses]
        return _refuse_step(step)

    def _perform_inner(self, step: Inner) -> Any:
        """Read the state of a router; nothing else is possible inside a handler."""
        if isinstance(step, Script) and step.name == "read_state":
            return self._state.read(str(step.args[0]))
        return _refuse_step(step)

    def _invoke(self, step: Decide) -> Decision | Failure:
        log = logging.getLogger(f"handlers.{step.bound.handler.router}")
        invocation = Invocation(step, self._perform_inner, _refuse_read, lambda: False, self._config.site, log)
        answer: Decision | Failure
        try:
            answer = self._run(invocation.run)
        except Stopped as error:
            answer = error.failure
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises is a result
            failure = describe_failure(error, step.bound.handler)
            final = failure.final or not isinstance(error, Retry)
            answer = Failure(failure.error, failure.after, final, failure.traceback)
        return invocation.end.failure if isinstance(invocation.end, Stopped) else answer


def _config(account: Account, handlers: tuple[Bound, ...]) -> AccountConfig:
    """Return the account's configuration for a dry run; nothing is claimed or called, so times do not matter."""
    governor = Governor(account.name, account.budget)
    return AccountConfig(
        claim=ClaimConfig(account=account.name, lease=0, read=True, budget=governor.budget, life=0),
        governor=governor,
        staff_id=account.staff_id,
        site=account.url,
        handlers=handlers,
        allow=account.allow,
        grants_origin=account.grants.origin,
        default_time=account.time_spent,
        dry_run=True,
        loop_guard=account.loop_guard,
        unanswered_replies=account.unanswered_replies,
        replies_per_contact=account.replies_per_contact,
        call_ms=0,
        doubt_ms=0,
        record_ttl=0,
        clock=lambda: 0,
    )


def _refuse_read(request: Request) -> Answer:
    why = f"needs a read (ctx.happyfox, {request.path}), and a backtest makes no call"
    raise Stopped(Failure(why, final=True))


def _refuse_step(step: Step | Inner) -> NoReturn:
    raise RuntimeError(f"a backtest makes no call and stores nothing, but got {getattr(step, 'name', step)}")


def planned_actions(record: Record, decisions: TurnDecisions, *, values: bool) -> Iterator[PlannedAction]:
    """Yield what each handler decided in a record's turn, whichever effect carries it.

    Actions of a replay or of another ticket's turn are left out. With ``values``, the values of custom fields are
    compared, too; that needs the account's lists.
    """
    action = partial(PlannedAction, ticket=record.number, at=record.at)

    decided = [verdict for verdict in decisions.verdicts if verdict.state == "decided"]
    ran = {verdict.handler for verdict in decided if not verdict.reason.startswith((AGAIN, HANDED))}
    did_not_run = {verdict.handler for verdict in decided} - ran
    for effect in decisions.effects:
        for part in split_actions(effect):
            handler = part.handlers[0]
            held: dict[str, Any] = {"state": "held", "reason": part.held.reason} if part.held else {}
            for summary, message in _single_actions(part, values) if handler not in did_not_run else ():
                yield action(handler=handler, summary=summary, text=message, **held)
    for handover in decisions.handovers:
        content = msgspec.json.encode(handover.actions).decode()
        yield action(handler=handover.handler, summary=handover.summary, text=content)
    for decision in decisions.state:
        for change in decision.changes:
            yield action(handler=decision.handler, summary=f"store: {change.summary}")
    for handler, entries in decisions.external.items():
        for name, entry in entries.items():
            if entry.turn == record.turn:
                yield action(handler=handler, summary=f"effect {name}")


def _single_actions(part: Effect, values: bool) -> Iterator[tuple[str, str]]:
    """Yield a summary and the message text for each thing that a handler's part of an effect does."""
    message = replace(part, add=(), remove=(), set={}, fields={})
    if message.summary:
        yield message.summary, part.text
    yield from ((f"tag +{tag}", "") for tag in part.add)
    yield from ((f"tag -{tag}", "") for tag in part.remove)
    for name, value in part.set.items():
        yield Effect(kind="properties", names=part.names, set={name: value}).summary, ""
    for field_id, value in part.fields.items():
        summary = Effect(kind="properties", names=part.names, fields={field_id: value}).summary
        yield (f"{summary} = {value}" if values else summary), ""


#: The list of names behind each member of a ticket, and behind each property of an action.
TICKET_LISTS = {"status": "statuses", "priority": "priorities", "category": "categories", "assigned_to": "staff"}
PROPERTY_LISTS = {"status": "statuses", "priority": "priorities", "category": "categories", "assignee": "staff"}


class InferredDirectory:
    """The names found in tickets and effects, for an account whose lists are not stored.

    All other names get negative ids.
    """

    def __init__(self) -> None:
        self._lists: dict[str, dict[int, str]] = {name: {} for name in (*Directory.LISTS, *Directory.CONTACT_FIELDS)}

    def learn_from_ticket(self, raw: Mapping[str, Any]) -> None:
        """Learn names from a ticket as HappyFox returned it."""
        for member, which in TICKET_LISTS.items():
            self._learn(which, mapping(raw.get(member)))
        for custom in map(mapping, items(raw.get("custom_fields"))):
            self._learn("fields", custom)

    def learn_from_effect(self, effect: Effect) -> None:
        """Learn the names in an effect beside its ids."""
        for key, name in effect.names.items():
            if key.startswith(("#", "@")):
                self._learn("fields" if key[0] == "#" else "staff", {"id": int(key[1:]), "name": name})
            else:
                found = effect.category if key == "category" else effect.set.get(key)
                self._learn(PROPERTY_LISTS[key], {"id": found, "name": name})

    def lists(self, requested: Sequence[HandlerActions]) -> dict[str, bytes]:
        """Return lists as the store keeps them (JSON), with every name in these actions."""
        lists = {which: dict(names) for which, names in self._lists.items()}
        for which, name in (pair for each in requested for action in each.actions for pair in _names(action)):
            names = lists[which]
            if isinstance(name, int):
                names.setdefault(name, str(name))
            elif fold(name) not in map(fold, names.values()):
                names[min([0, *names]) - 1] = name.strip()
        return {
            which: msgspec.json.encode([{"id": key, "name": name, "email": name} for key, name in names.items()])
            for which, names in lists.items()
        }

    def _learn(self, which: str, entry: Mapping[str, Any]) -> None:
        found, name = number(entry.get("id")), text(entry.get("name"))
        if found is not None and name:
            self._lists[which][found] = name


def _names(action: AnyAction) -> Iterator[tuple[str, int | str]]:
    """Yield the names in an action, each with the list it belongs to."""
    members: Mapping[str, Any] = {}
    if isinstance(action, Create):
        members = action.members
    elif isinstance(action, Set):
        members = {**action.properties, "fields": action.fields}
    elif isinstance(action, Move):
        members = {"category": action.category}
    yield from ((which, members[key]) for key, which in PROPERTY_LISTS.items() if members.get(key) is not None)
    yield from (("fields", name) for name in members.get("fields", ()))
    if isinstance(action, SetContact):
        yield from (("contact_fields", name) for name in action.fields)
    staff = (
        action.staff
        if isinstance(action, Subscribe | Unsubscribe)
        else [action.alert]
        if isinstance(action, Note)
        else []
    )
    yield from (("staff", name) for name in staff if name is not None)
