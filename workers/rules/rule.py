"""A rule: a handler written in TOML, and how it is read from its table."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers.errors import suggest
from workers.events.change import Event
from workers.models.ticket import TicketRead
from workers.rules.actions import GRANTS, Action, Reader
from workers.rules.checks import Check
from workers.rules.conditions import KEYS, NOTHING, Condition, ConditionError, compile, together
from workers.rules.faults import Fault
from workers.rules.occasion import SCHEDULE_KEYS
from workers.rules.occasion import read as read_occasion
from workers.rules.sight import Sights
from workers.rules.uses import Asked, Name, asked
from workers.rules.views import views
from workers.turns.plugin.context import Context
from workers.turns.plugin.schedule import Schedule
from workers.turns.plugin.ticket import Ticket

RULE_KEYS = ("name", "on", *SCHEDULE_KEYS, "when", "once", *GRANTS)
CONDITIONS = (*KEYS, *(f"not_{key}" for key in KEYS))


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can run; `function` is its name as a handler, `sights` are shared with the file's other rules.

    With a schedule, `every`, its one kind is `scheduled`.
    """

    name: str
    function: str
    kinds: tuple[str, ...]
    condition: Condition
    actions: tuple[Action, ...]
    sights: Sights
    once: bool = False
    every: Schedule | None = None

    def refusal(self, ticket: TicketRead, event: Event, now: datetime) -> str:
        """Tells why its conditions do not hold, empty when they do."""
        answer = NOTHING
        for sight in self.sights.of(ticket, event, now):
            for each in self.condition.check.checks:
                answer = each.look(sight)
                if not answer.holds:
                    break
            else:
                return ""
        return answer.reason

    def decide(self, ticket: Ticket, event: Event, ctx: Context) -> None:
        """Records what it does, with the words of the change that its conditions hold for."""
        change = self.condition.holds(ticket, event, ctx.now).change or event.matched[-1]
        words = views(ticket, event, change)
        for action in self.actions:
            action.run(ticket, words)


def function_of(name: str) -> str:
    """Gives the name of a rule as that of a handler, as `reopen-vip` of "Reopen: VIP"; empty when nothing is left."""
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


class RuleReader:
    """One pass over the table of a rule, which collects its parts and every mistake in it.

    `names` are those that HappyFox must know, `asked` the tags that conditions ask for, `line` tells where a key
    stands.
    """

    def __init__(self, number: int, table: Mapping[str, Any], line: Callable[..., int], sights: Sights) -> None:
        self.table, self.line, self.sights = table, line, sights
        name = table.get("name")
        self.name = " ".join(name.split()) if isinstance(name, str) else ""
        self.where = f"rule {self.name!r}" if self.name else f"rule {number}"
        self.faults: list[Fault] = []
        self.names: list[Name] = []
        self.asked: list[Asked] = []

    def read(self) -> Rule | None:
        """Reads it; None when there is something wrong."""
        function = self._function()
        occasion = read_occasion(self.table, self.complain)
        unknown = [key for key in self.table if key not in RULE_KEYS]
        for key in unknown:
            self.complain((key,), *_unknown(key))
        condition = self._condition(self.table.get("when", {}), occasion.kinds)
        reader = Reader(self.complain)
        actions = [reader.read(key, self.table[key]) for key in GRANTS if key in self.table]
        self.names += reader.values.names
        self._once()
        if not actions and not unknown:
            self.complain((), "it does nothing", 'add what it does, as add_tags = ["vip"]')
        if self.faults:
            return None
        done = tuple(each for each in actions if each)
        once = self.table.get("once", False)
        return Rule(self.name, function, occasion.kinds, condition, done, self.sights, once=once, every=occasion.every)

    @property
    def tags(self) -> list[str]:
        """The tags it adds, as they are written."""
        given = self.table.get("add_tags")
        return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []

    def grants_missing(self, granted: frozenset[str]) -> Iterator[Fault]:
        """Yields the actions it has no grant for; the engine would leave them out."""
        for key, permission in GRANTS.items():
            if key in self.table and permission and permission not in granted:
                cure = f"add it: FOXHOOKS_ALLOW=rules:{permission}"
                problem = f"{key} needs the grant rules:{permission}"
                yield Fault(self.line(key), self.where, problem, cure, warning=True)

    def complain(self, path: tuple[str, ...], problem: str, cure: str) -> None:
        """Takes what is wrong with a key."""
        self.faults.append(Fault(self.line(*path), self.where, problem, cure))

    def _function(self) -> str:
        if "name" not in self.table:
            self.complain((), "name is missing", 'add name = "..."; it stands in `foxhooks explain` and the logs')
        elif not isinstance(self.table["name"], str):
            self.complain(("name",), "name is not a text", 'write it as name = "refunds"')
        elif not (function := function_of(self.name)) or len(function) > 80:
            self.complain(("name",), "name has no letters or digits, or over 80", 'write it as name = "refunds"')
        else:
            return function
        return ""

    def _condition(self, table: object, kinds: tuple[str, ...]) -> Condition:
        if not isinstance(table, Mapping):
            self.complain(("when",), "when is not a table", "write it as when.text = 'refund'")
            return Condition(together(()))
        checks: list[Check] = []
        for key, value in table.items():
            try:
                checks += compile({key: value}, self.where).check.checks
            except ConditionError as error:
                for each in error.complaints:
                    inner = each.setting.removeprefix(self.where).removeprefix(", ")
                    problem = f"{inner}: {each.problem}" if inner else each.problem
                    cure = each.cure
                    if key not in CONDITIONS and key in GRANTS:
                        cure = f"{key} is an action: write it without when"
                    self.complain(("when", key), problem, cure)
            else:
                uses = list(asked(("when", key), key, value, kinds))
                self.asked += [each for each in uses if isinstance(each, Asked)]
                self.names += [each for each in uses if isinstance(each, Name)]
        return Condition(together(checks))

    def _once(self) -> None:
        if not isinstance(self.table.get("once", False), bool):
            self.complain(("once",), "once is not true or false", "write once = true")


def _unknown(key: str) -> tuple[str, str]:
    """Says what an unknown key of a rule may be meant to be."""
    if key in ("status", "priority", "assignee"):
        return f"no key {key!r}", f"write when.{key} to ask for it, set.{key} to set it"
    if key in CONDITIONS:
        return f"no key {key!r}", f"write when.{key}"
    if key == "due_date":
        return f"no key {key!r}", "write set.due_date"
    return f"no key {key!r}", suggest(key, RULE_KEYS)
