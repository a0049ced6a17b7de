"""The tests of a rules file: a ticket, an event, and everything that the rules must do about it.

[[test]]
name = "a request for a refund"
ticket = { status = "New", tags = ["vip"] }
event = { kind = "contact-replied", text = "I want a refund." }
expect.add_tags = ["refund"]
expect.set.status = "In Progress"

Workers ignore these tables. `foxhooks rules check` reports mistakes in them; `workers.testing.rules` runs them.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from workers.errors import suggest
from workers.rules.actions import ACTIONS, ActionReader, Run
from workers.rules.conditions import NAMES, NameUse
from workers.rules.file import KeyLines, LocatedName
from workers.rules.rule import RuleProblem, function_of
from workers.rules.values import as_list
from workers.tickets.change import ACTOR_KINDS, check
from workers.tickets.folding import fold

TEST_KEYS = ("name", "ticket", "event", "now", "expect")

#: What `expect` is if the rules must do nothing.
NOTHING = "nothing"

#: The actions of which a test can expect several, in a list.
_MESSAGES = ("note", "reply", "forward")


class ValueType(NamedTuple):
    """What a member of a test can be."""

    words: str
    fits: Callable[[object], bool]
    example: str


def _is(*types: type) -> Callable[[object], bool]:
    """Return whether a value is of one of the types; true and false are no numbers, and a time is no date."""
    return lambda value: type(value) in types


_TEXT = ValueType("a text", _is(str), '"..."')
_NAME = ValueType("a name in quotes or an id", _is(str, int), '"..."')
_TEXTS = ValueType("a list of texts", lambda value: isinstance(value, list) and all(map(_is(str), value)), '["..."]')
_FLAG = ValueType("true or false", _is(bool), "true")
_COUNT = ValueType("a whole number", _is(int), "1")
_DATE = ValueType("a date", _is(date), "2030-12-31")
_TIME = ValueType("a date with a time", _is(datetime), "2030-12-31T09:30:00Z")
_FIELDS = ValueType("a table of fields", _is(dict), '{ "Name of the field" = "value" }')
_SIDE = ValueType(
    "a value or a list of texts", lambda value: _TEXTS.fits(value) or _is(str, int, float, date)(value), '"..."'
)

#: The members of `ticket`: the arguments of `workers.testing.ticket`.
TICKET: Mapping[str, ValueType] = {
    "id": _COUNT,
    **dict.fromkeys(("email", "name", "subject", "text", "source"), _TEXT),
    **dict.fromkeys(("status", "priority", "category", "assignee"), _NAME),
    **dict.fromkeys(("tags", "groups"), _TEXTS),
    **dict.fromkeys(("fields", "contact_fields"), _FIELDS),
    **dict.fromkeys(("closed", "unresponded"), _FLAG),
    "due_date": _DATE,
    "modified_at": _TIME,
    "sla_breaches": _COUNT,
}

#: The members of `event`; only `kind` is required.
EVENT: Mapping[str, ValueType] = {
    **dict.fromkeys(("kind", "by", "by_name", "text", "field", "found_by"), _TEXT),
    **dict.fromkeys(("from", "to"), _SIDE),
    "automatic": _FLAG,
    "attachments": _TEXTS,
}

_EXAMPLES = {"ticket": 'ticket = { status = "New" }', "event": 'event = "ticket-created"'}

#: What people write instead of a member of a ticket or an event, as in conditions and templates.
_INSTEAD_OF_EVENT = {
    **dict.fromkeys(("type", "on", "event"), "kind"),
    **dict.fromkeys(("message", "body", "content", "note", "reply"), "text"),
    **dict.fromkeys(("actor", "author", "sender"), "by"),
    **dict.fromkeys(("old", "before"), "from"),
    **dict.fromkeys(("new", "value", "after"), "to"),
    **dict.fromkeys(("tags", "added"), "to"),
    "rule": "found_by",
    "name": "by_name",
    "files": "attachments",
}
_INSTEAD_OF_TICKET = {
    **dict.fromkeys(("contact", "customer", "requester", "contact_email", "contact_domain", "from"), "email"),
    "contact_name": "name",
    **dict.fromkeys(("contact_group", "contact_groups", "group"), "groups"),
    **dict.fromkeys(("message", "first_message", "body", "description"), "text"),
    **dict.fromkeys(("assigned_to", "agent", "owner"), "assignee"),
    **dict.fromkeys(("custom_fields", "field"), "fields"),
    "sla_breached": "sla_breaches",
    "tag": "tags",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One valid test."""

    name: str
    line: int
    ticket: Mapping[str, Any]
    """The members of its ticket."""
    event: Mapping[str, Any]
    """The members of its event, always with `kind`."""
    now: datetime | None
    rules: frozenset[str] | None
    """The rules that must act, by their names as handlers; None if any may."""
    actions: tuple[Run, ...] | None
    """Everything that the rules must do; None if only the rules count."""


@dataclass(frozen=True, slots=True)
class RuleTests:
    """The valid tests of a file, the mistakes in the others, and the names that HappyFox must know."""

    tests: tuple[RuleTest, ...] = ()
    problems: tuple[RuleProblem, ...] = ()
    names: tuple[LocatedName, ...] = ()


def read_tests(text: str) -> RuleTests:
    """Read the tests in the text of a rules file; if it is not TOML, which `file.read` reports, there are none."""
    text = text.replace("\r\n", "\n")
    try:
        parsed = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return RuleTests()
    lines, tables = KeyLines(text), parsed.get("test", [])
    if not _are_tables(tables):
        fix = "write [[test]], with two pairs of brackets"
        return RuleTests(problems=(RuleProblem(lines.of("test"), "", "test is not a list of tables", fix),))
    rules = parsed.get("rule", [])
    names = [rule["name"] for rule in rules if isinstance(rule.get("name"), str)] if _are_tables(rules) else []
    readers = [
        _TestReader(number + 1, table, lambda *path, at=number: lines.of("test", at, *path), names)
        for number, table in enumerate(tables)
    ]
    tests = tuple(test for reader in readers if (test := reader.read()))
    problems = [*(problem for reader in readers for problem in reader.problems), *_duplicates(readers)]
    located = (LocatedName(name, reader.line(*name.path), reader.where) for reader in readers for name in reader.names)
    return RuleTests(tests, tuple(sorted(problems, key=lambda problem: problem.line)), tuple(located))


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _is_list(value: object) -> bool:
    """Return whether a value is a list with anything in it."""
    return isinstance(value, list) and bool(value)


def _duplicates(readers: "Sequence[_TestReader]") -> Iterator[RuleProblem]:
    first: dict[str, int] = {}
    for reader in readers:
        name, line = fold(reader.name), reader.line("name")
        if name and first.setdefault(name, line) != line:
            problem = f"the test on line {first[name]} has the same name"
            yield RuleProblem(line, reader.where, problem, "rename one of them")


class _TestReader:
    """Reads one test from its table and collects every mistake in it; `line` returns the line of a key."""

    def __init__(self, number: int, table: Mapping[str, Any], line: Callable[..., int], rules: Sequence[str]) -> None:
        self._table, self.line = table, line
        self._rules = {function_of(name): name for name in rules}
        name = table.get("name")
        self.name = " ".join(name.split()) if isinstance(name, str) else ""
        self.where = f"test {self.name!r}" if self.name else f"test {number}"
        self.problems: list[RuleProblem] = []
        self.names: list[NameUse] = []
        """The names that HappyFox must know."""

    def read(self) -> RuleTest | None:
        """Read the test; return None if it has a mistake."""
        for key in self._table:
            if key not in TEST_KEYS:
                self._report((key,), f"no key {key!r}", _meant(key))
        if not self.name:
            self._report(("name",), "name is missing", 'add name = "what the test shows"')
        ticket = self._members("ticket", self._table.get("ticket", {}), TICKET)
        event, now = self._event(), self._now()
        rules, actions = self._expected()
        self._collect_names(ticket)
        if self.problems:
            return None
        line = self.line()
        return RuleTest(name=self.name, line=line, ticket=ticket, event=event, now=now, rules=rules, actions=actions)

    def _members(self, key: str, value: object, known: Mapping[str, ValueType]) -> dict[str, Any]:
        """Return the members of a table; report those that are unknown or have the wrong type."""
        if not isinstance(value, Mapping):
            self._report((key,), f"{key} is not a table", f"write it as {_EXAMPLES[key]}")
            return {}
        for name, one in value.items():
            if name not in known:
                others = _INSTEAD_OF_TICKET if known is TICKET else _INSTEAD_OF_EVENT
                instead = f"write {key}.{others[name]}" if name in others else ""
                self._report((key, name), f"{key} has no {name!r}", instead or suggest(name, known))
            elif not known[name].fits(one):
                fix = f"write it as {key}.{name} = {known[name].example}"
                self._report((key, name), f"{key}.{name} is not {known[name].words}", fix)
        return dict(value)

    def _event(self) -> dict[str, Any]:
        given = self._table.get("event", {})
        event = self._members("event", {"kind": given} if isinstance(given, str) else given, EVENT)
        if "kind" not in event and isinstance(given, Mapping) and not self._table.keys() & {"on", "kind"}:
            fix = 'add event = "ticket-created", or event = { kind = "contact-replied", text = "..." }'
            self._report(("event",), "the kind of the event is missing", fix)
        if isinstance(kind := event.get("kind"), str) and kind != "scheduled":
            try:
                check(kind)
            except ValueError as error:
                problem, _, fix = str(error).partition("; ")
                self._report(("event", "kind"), f"event: {problem}", "rules set no timers" if kind == "later" else fix)
        if isinstance(by := event.get("by"), str) and by not in ACTOR_KINDS:
            self._report(("event", "by"), f"event.by: no actor {by!r}", suggest(by, ACTOR_KINDS))
        if isinstance(found_by := event.get("found_by"), str):
            event["found_by"] = self._rule(("event", "found_by"), found_by)
        return event

    def _now(self) -> datetime | None:
        now = self._table.get("now")
        if now is None or isinstance(now, datetime):
            return now.replace(tzinfo=UTC) if now and now.tzinfo is None else now
        self._report(("now",), f"now is not {_TIME.words}", f"write it as now = {_TIME.example}")
        return None

    def _expected(self) -> tuple[frozenset[str] | None, tuple[Run, ...] | None]:
        """Read what the rules must do: which of them act, and their actions."""
        value = self._table.get("expect")
        if value == NOTHING:
            return frozenset(), ()
        if not isinstance(value, Mapping) or not value:
            problem = "expect is missing" if value in (None, {}) else "expect is not a table"
            fix = f'write expect.add_tags = ["vip"] and so on, or expect = "{NOTHING}"'
            self._report(("expect",), problem, fix)
            return None, None
        for key in value:
            if key not in (*ACTIONS, "rules"):
                fix = f"write expect.set.{key}" if key in (*NAMES, "due_date", "fields") else ""
                self._report(("expect", key), f"no action {key!r}", fix or suggest(key, (*ACTIONS, "rules")))
        reader = ActionReader(lambda path, problem, fix: self._report(("expect", *path), problem, fix))
        runs = [
            reader.read(key, one)
            for key in ACTIONS
            if key in value
            for one in (value[key] if key in _MESSAGES and _is_list(value[key]) else [value[key]])
        ]
        self.names += [NameUse(each.what, each.name, ("expect", *each.path), each.values) for each in reader.names]
        rules = self._expected_rules(value["rules"]) if "rules" in value else None
        return rules, tuple(runs) if runs or rules is None else None

    def _expected_rules(self, given: object) -> frozenset[str]:
        path = ("expect", "rules")
        if not _TEXTS.fits(given):
            self._report(path, "expect.rules is not a list of names", 'write it as expect.rules = ["refunds"]')
            return frozenset()
        return frozenset(self._rule(path, name) for name in as_list(given))

    def _rule(self, path: tuple[str, ...], name: str) -> str:
        """Return the name of a rule as a handler; report it if the file has no such rule."""
        function = function_of(name)
        if function not in self._rules:
            fix = suggest(name, self._rules.values())
            self._report(path, f"{'.'.join(path)}: no rule {name!r}", fix)
        return function

    def _collect_names(self, ticket: Mapping[str, Any]) -> None:
        named = {key: ticket[key] for key in NAMES if ticket.get(key)}
        self.names += [NameUse(NAMES[key], name, ("ticket", key)) for key, name in named.items()]
        for key, what in (("fields", "field"), ("contact_fields", "contact field")):
            if isinstance(fields := ticket.get(key), dict):
                self.names += [NameUse(what, name, ("ticket", key, name)) for name in fields]

    def _report(self, path: tuple[str, ...], problem: str, fix: str) -> None:
        self.problems.append(RuleProblem(self.line(*path), self.where, problem, fix))


def _meant(key: str) -> str:
    """Suggest what to write instead of an unknown key of a test."""
    if key in ("on", "kind"):
        return 'write event = "ticket-created"'
    if key in ACTIONS:
        return f"write expect.{key}"
    if key in TICKET or key in _INSTEAD_OF_TICKET:
        return f"write ticket.{_INSTEAD_OF_TICKET.get(key, key)}"
    return f"write event.{key}" if key in EVENT else suggest(key, TEST_KEYS)
