"""A rule: a handler written in TOML, and how it is read from its table."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any

from workers.errors import suggest
from workers.plugins.actions import PERMISSIONS, Ticket
from workers.plugins.context import Context
from workers.plugins.loading import FitError
from workers.plugins.router import Schedule, schedule
from workers.rules import terms
from workers.rules.actions import ACTIONS, ActionReader, Run, RunContext, describe
from workers.rules.checks import ConditionCheck, ContextCache
from workers.rules.conditions import (
    CONDITIONS,
    NO_CHANGE,
    Condition,
    NameUse,
    all_of,
    compile_condition,
    kind_problems,
    uses,
)
from workers.rules.impossible import impossible
from workers.rules.searches import search_names
from workers.rules.terms import meant
from workers.rules.values import as_list
from workers.rules.variables import views
from workers.settings import SettingProblem
from workers.tickets.change import Event
from workers.tickets.folding import fold
from workers.tickets.model import TicketRead

#: The keys of a schedule; `every` and `find` are required.
SCHEDULE_KEYS = ("every", "find", "older_than")
RULE_KEYS = ("name", "on", *SCHEDULE_KEYS, "when", "once", *ACTIONS)

#: What a rule uses instead of the kinds that handlers receive in another way.
_INSTEAD = {
    "scheduled": 'write every = "1d" and find = \'status:"On Hold"\' instead of on',
    "later": "a rule cannot set a timer; write a handler in Python, or use every and find",
}


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """One mistake in a rules file."""

    line: int
    rule: str
    """The rule it is in, empty for the file itself."""
    problem: str
    fix: str
    _: KW_ONLY
    warning: bool = False
    """Whether it is only a probable mistake, with which the rules still run."""
    source: str = ""
    """The line, if it is not TOML."""
    column: int = 0
    """The place in it, counted from 1."""

    @property
    def excerpt(self) -> tuple[str, str] | None:
        """The line, at most 100 characters of it, and below it a caret at the place; None without a line."""
        if not self.source:
            return None
        start = max(self.column - 80, 0)
        shown = re.sub(r"\s", " ", self.source[start : start + 100])
        return shown, " " * (self.column - 1 - start) + "^"

    def in_file(self, file: str) -> SettingProblem:
        """Return it as a problem in the settings."""
        where = f"{file}, line {self.line}" + (f", {self.rule}" if self.rule else "")
        return SettingProblem(where, self.problem, self.fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A valid rule."""

    name: str
    function: str
    """Its name as a handler."""
    kinds: tuple[str, ...]
    """The kinds of change it runs for, or only `scheduled` if it has a schedule."""
    condition: Condition
    actions: Mapping[str, Run]
    """By their keys."""
    cache: ContextCache
    """Shared with the other rules of the file."""
    described: tuple[str, ...] = ()
    """Its actions with their values, for people."""
    once: bool = False
    every: Schedule | None = None
    line: int = 0
    """The line of its search, if it has a schedule."""

    def refusal(self, ticket: TicketRead, event: Event, now: datetime) -> str:
        """Return why its conditions do not hold, or an empty string."""
        result = NO_CHANGE
        for context in self.cache.contexts(ticket, event, now):
            result = self.condition.check.check(context)
            if result.holds:
                return ""
        return result.reason

    def decide(self, ticket: Ticket, event: Event, ctx: Context) -> None:
        """Run its actions; templates refer to the change for which the conditions hold."""
        change = self.condition.holds(ticket, event, ctx.now).change or event.matched[-1]
        context = RunContext(views(ticket, event, change), ctx.now, ctx.choose)
        for run in self.actions.values():
            run(ticket, context)


def function_of(name: str) -> str:
    """Return the handler name of a rule: "Reopen: VIP" becomes `reopen-vip`; empty if nothing is left."""
    return re.sub(r"[\W_]+", "-", fold(name)).strip("-")


class RuleReader:
    """Reads one rule from its table and collects every mistake in it; `line` returns the line of a key."""

    def __init__(self, number: int, table: Mapping[str, Any], line: Callable[..., int], cache: ContextCache) -> None:
        self.table, self.line, self.cache = table, line, cache
        name = table.get("name")
        self.name = " ".join(name.split()) if isinstance(name, str) else ""
        self.where = f"rule {self.name!r}" if self.name else f"rule {number}"
        self.problems: list[RuleProblem] = []
        self.names: list[NameUse] = []
        """The names that HappyFox must know."""
        self.tag_uses: list[NameUse] = []
        """The tags in conditions."""

    def read(self) -> Rule | None:
        """Read the rule; return None if it has a mistake."""
        function = self._function()
        scheduled = any(key in self.table for key in SCHEDULE_KEYS)
        every = self._schedule() if scheduled else None
        kinds = ("scheduled",) if scheduled and "on" not in self.table else self._kinds()
        unknown = [key for key in self.table if key not in RULE_KEYS]
        for key in unknown:
            self.report((key,), f"no key {key!r}", _meant(key))
        condition = self._condition(self.table.get("when", {}), kinds)
        reader = ActionReader(self.report)
        actions = {key: reader.read(key, self.table[key]) for key in ACTIONS if key in self.table}
        self.names += reader.names
        removed = {fold(tag) for tag in as_list(self.table.get("remove_tags")) if isinstance(tag, str)}
        both = next((tag for tag in self.added_tags if fold(tag) in removed), "")
        if both:
            self.report(("remove_tags",), f"add_tags and remove_tags both have {both!r}", "leave it out of one")
        once = self.table.get("once", False)
        if not isinstance(once, bool):
            self.report(("once",), "once is not true or false", "write once = true")
        misplaced = isinstance(when := self.table.get("when"), Mapping) and when.keys() & set(ACTIONS)
        if not actions and not unknown and not misplaced:
            self.report((), "it has no action", 'add one, for example add_tags = ["vip"]')
        if not self.problems:
            for path, problem, fix in impossible(self.table.get("when", {}), kinds):
                self.report(path, problem, fix)
        if self.problems:
            return None
        return Rule(
            name=self.name,
            function=function,
            kinds=kinds,
            condition=condition,
            actions=actions,
            cache=self.cache,
            described=tuple(describe(self.table)),
            once=once,
            every=every,
            line=self.line("find") if every else 0,
        )

    @property
    def added_tags(self) -> list[str]:
        """The tags that the rule adds."""
        return [tag for tag in as_list(self.table.get("add_tags")) if isinstance(tag, str)]

    @property
    def permissions(self) -> list[str]:
        """The actions that need a permission, which has their name."""
        return [key for key in ACTIONS if key in self.table and key in PERMISSIONS]

    def report(self, path: tuple[str, ...], problem: str, fix: str) -> None:
        """Record what is wrong with a key."""
        self.problems.append(RuleProblem(self.line(*path), self.where, problem, fix))

    def _function(self) -> str:
        function = function_of(self.name)
        if "name" not in self.table:
            self.report((), "name is missing", 'add name = "..."; `foxhooks explain` and the logs show it')
        elif not isinstance(self.table["name"], str):
            self.report(("name",), "name is not a text", 'write it as name = "refunds"')
        elif not 0 < len(function) <= 80:
            fix = 'write it as name = "refunds"'
            self.report(("name",), "name has no letters or digits, or more than 80 characters", fix)
        return function

    def _schedule(self) -> Schedule | None:
        first = next(key for key in SCHEDULE_KEYS if key in self.table)
        if "on" in self.table:
            self.report((first,), f"{first} cannot be combined with on", "remove one of them, or write two rules")
            return None
        examples = {"every": 'every = "1d"', "find": "find = 'status:\"On Hold\"'"}
        missing = [key for key in examples if key not in self.table]
        for key in missing:
            self.report((first,), f"{key} is missing", f"add {examples[key]}")
        if not missing:
            every, find, older = (self.table.get(key) for key in SCHEDULE_KEYS)
            try:
                made = schedule(_duration(every), find, _duration(older))
                self.names += search_names(made.find)
                return made
            except ValueError as error:
                problem, _, fix = str(error).partition("; ")
                self.report((next((key for key in SCHEDULE_KEYS if key in problem), "every"),), problem, fix)
        return None

    def _kinds(self) -> tuple[str, ...]:
        if "on" not in self.table:
            fix = 'say when it runs: on = ["ticket-created", "contact-replied"], or every = "1d" with find'
            self.report((), "on is missing", fix)
            return ()
        kinds = as_list(self.table["on"])
        for kind, problem, fix in kind_problems(kinds):
            self.report(("on",), problem, _INSTEAD.get(kind, fix))
        return tuple(dict.fromkeys(map(str, kinds)))

    def _condition(self, table: object, kinds: tuple[str, ...]) -> Condition:
        checks: list[ConditionCheck] = []
        if not isinstance(table, Mapping):
            self.report(("when",), "when is not a table", "write it as when.text = 'refund'")
            table = {}
        for key, value in table.items():
            try:
                checks += compile_condition({key: value}, self.where).check.checks
            except FitError as error:
                for each in error.problems:
                    inner = each.setting.removeprefix(self.where).removeprefix(", ")
                    problem = f"{inner}: {each.problem}" if inner else each.problem
                    fix = (
                        f"{key} is an action: write it without when, and above [rule.when] if there is such a line"
                        if key in ACTIONS
                        else each.fix
                    )
                    self.report(("when", key), problem, fix)
            else:
                used = list(uses(("when", key), key, value, kinds))
                self.tag_uses += [each for each in used if each.what == "tag"]
                self.names += [each for each in used if each.what != "tag"]
        return Condition(all_of(checks))


def _duration(value: object) -> object:
    """Return a value as written: a number without a unit is refused as a duration."""
    return str(value) if isinstance(value, bool | int | float) else value


def _meant(key: str) -> str:
    """Suggest what to write instead of an unknown key."""
    if key in ("status", "priority", "assignee"):
        return f"write when.{key} for a condition, set.{key} to set it"
    if key in ("category", "group", "tags", "fields"):
        condition = {"group": "contact_group", "tags": "tag"}.get(key, key)
        return f"write when.{condition} for a condition; else {meant(key, terms.KEYS).removeprefix('write ')}"
    if key in CONDITIONS:
        return f"write when.{key}"
    return meant(key, terms.KEYS) or ("write set.due_date" if key == "due_date" else suggest(key, RULE_KEYS))
