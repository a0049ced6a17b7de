"""Read the rules file: report every mistake at once, or build the router `rules`.

[[rule]]
name = "refunds"
on = ["ticket-created", "contact-replied"]
when.text = 'refund|chargeback'
when.not_tag = "refund"
add_tags = ["refund"]
"""

import logging
import re
import tomllib
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workers.errors import nearest, suggest
from workers.plugins.loading import RULES, LoadError
from workers.plugins.router import Handler, Router
from workers.rules import advice
from workers.rules.checks import ContextCache
from workers.rules.conditions import NameUse
from workers.rules.fights import fights
from workers.rules.rule import RULE_KEYS, Rule, RuleProblem, RuleReader, function_of
from workers.rules.syntax import mistakes
from workers.settings import Grants, SettingProblem
from workers.tickets.change import schedule_kind
from workers.tickets.folding import fold

#: How similar two tags are when one is probably a misspelling of the other.
SIMILAR = 0.8

#: The tables of a rules file; `workers.rules.expectations` reads the tests.
TABLES = ("rule", "test")

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*(?:rule|test)[ \t]*\]\]", re.MULTILINE)

_KEY = r"""[ \t]*(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*"""
_STATEMENT = re.compile(rf"(?P<head>[ \t]*\[\[?)?(?P<keys>{_KEY}(?:\.{_KEY})*)(?:\]|=)")
#: What decides where a statement ends: texts and comments are skipped as a whole, brackets are counted.
_MARK = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[{]|[\]}]|\n""", re.DOTALL
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocatedName:
    """A name that HappyFox must know, and where the file uses it."""

    name: NameUse
    line: int
    rule: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The valid rules of a file, its problems sorted by line, and the names it uses."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[RuleProblem, ...] = ()
    names: tuple[LocatedName, ...] = ()


def load(path: Path, grants: Grants) -> Router:
    """Return the router of a file as `router_of` does, and log warnings."""
    router = router_of(path, grants)
    for warning in read(content(path), grants).problems:
        logger.warning("A rule may be wrong.", extra={"reason": str(warning.in_file(path.name))})
    return router


def router_of(path: Path, grants: Grants) -> Router:
    """Return the router `rules` with one handler per rule; raise LoadError with every mistake but warnings."""
    router = Router(RULES)
    router.handlers += map(handler_of, rules_of(path, grants))
    return router


def rules_of(path: Path, grants: Grants) -> tuple[Rule, ...]:
    """Return the rules of a file; raise LoadError with every mistake but warnings."""
    found = read(content(path), grants)
    if wrong := [problem.in_file(path.name) for problem in found.problems if not problem.warning]:
        raise LoadError(wrong)
    return found.rules


def handler_of(rule: Rule) -> Handler:
    """Return a rule as the handler that the engine calls."""
    return Handler(
        router=RULES,
        function=rule.function,
        kinds=frozenset([schedule_kind(f"{RULES}.{rule.function}")] if rule.every else rule.kinds),
        decide=rule.decide,
        ask=rule.refusal,
        once=rule.once,
        every=rule.every,
    )


def content(path: Path) -> str:
    """Return the text of a file, or raise LoadError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = SettingProblem(path.name, f"is not valid UTF-8 (at byte {error.start})", "save the file as UTF-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        fix = "correct the path, or create the file"
        problem = SettingProblem(str(path), f"cannot be read: {reason}", fix)
    raise LoadError([problem])


def read(text: str, grants: Grants) -> Rules:
    """Read the text of a rules file; its problems are part of the result."""
    text = text.replace("\r\n", "\n")
    try:
        parsed = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return _broken(text, grants)
    found = _rules(parsed, KeyLines(text), grants)
    return replace(found, problems=_sorted(found.problems))


def _rules(parsed: Mapping[str, Any], lines: "KeyLines", grants: Grants) -> Rules:
    problems = [
        RuleProblem(lines.of(key), "", f"no key {key!r}", _meant(key, parsed[key]))
        for key in parsed
        if key not in TABLES
    ]
    tables = parsed.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(each, Mapping) for each in tables):
        fix = "write [[rule]], with two pairs of brackets"
        problems.append(RuleProblem(lines.of("rule"), "", "rule is not a list of tables", fix))
        return Rules(problems=tuple(problems))
    cache = ContextCache()
    readers = [
        RuleReader(number + 1, table, lambda *path, at=number: lines.of("rule", at, *path), cache)
        for number, table in enumerate(tables)
    ]
    rules = [rule for reader in readers if (rule := reader.read())]
    problems += [problem for reader in readers for problem in reader.problems]
    problems += [*_duplicates(readers), *_missing_grants(readers, grants), *_misspelt_tags(readers)]
    valid = [reader for reader in readers if not reader.problems]
    problems += [*advice.warnings(valid), *fights(valid)]
    names = [LocatedName(name, reader.line(*name.path), reader.where) for reader in readers for name in reader.names]
    return Rules(tuple(rules), tuple(problems), tuple(names))


def _meant(key: str, value: object) -> str:
    """Suggest what to write instead of an unknown key outside all rules."""
    if fold(key) in ("rules", "trigger", "triggers", "automation", "automations", "workflow", "macro", "filter"):
        return "write [[rule]] above each rule"
    if key in RULE_KEYS and not isinstance(value, list | Mapping):
        return "write [[rule]] above it"
    return suggest(key, TABLES)


def _duplicates(readers: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    first: dict[str, int] = {}
    for reader in readers:
        function, line = function_of(reader.name), reader.line("name")
        if function and first.setdefault(function, line) != line:
            problem = f"the rule on line {first[function]} has the same name"
            yield RuleProblem(line, reader.where, problem, "rename one of them")


def _missing_grants(readers: Sequence[RuleReader], grants: Grants) -> Iterator[RuleProblem]:
    """Yield the actions that the engine would leave out; one line of the settings grants all of them."""
    missing = {key for reader in readers for key in reader.permissions} - grants.of(RULES)
    for reader in readers:
        for key in reader.permissions:
            if key in missing:
                problem, fix = f"{key} needs the grant rules:{key}", f"set {grants.adding(RULES, missing)}"
                yield RuleProblem(reader.line(key), reader.where, problem, fix, warning=True)


def _misspelt_tags(readers: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    """Yield tags in conditions that no rule adds, if a rule adds one with almost the same name."""
    added = {fold(tag): tag for reader in readers for tag in reader.added_tags}
    for reader in readers:
        for used in reader.tag_uses:
            key = fold(str(used.name))
            if key not in added and (near := nearest(key, added, SIMILAR)):
                tag, path = added[near], ".".join(used.path)
                problem = f"{path} checks for the tag {used.name!r}, but the rules add {tag!r}"
                fix = f"did you mean {tag!r}?"
                yield RuleProblem(reader.line(*used.path), reader.where, problem, fix, warning=True)


def _sorted(problems: Iterable[RuleProblem]) -> tuple[RuleProblem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))


# Invalid TOML


def _broken(text: str, grants: Grants) -> Rules:
    """Report where a file is not TOML; parse each rule by itself, so that all mistakes are found."""
    starts = [0, *(found.start() for found in _HEADER.finditer(text))]
    problems: list[RuleProblem] = []
    broken = False
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        before = text.count("\n", 0, start)
        part = text[start:end]
        try:
            parsed = tomllib.loads(part)
        except (tomllib.TOMLDecodeError, RecursionError):
            broken = True
            problems += _invalid_toml(part, before)
        else:
            found = _rules(parsed, KeyLines(part), grants).problems
            problems += [replace(each, line=each.line + before) for each in found]
    if not broken:
        return Rules(problems=tuple(_invalid_toml(text, 0)))
    return Rules(problems=_sorted(problems))


def _invalid_toml(part: str, before: int) -> Iterator[RuleProblem]:
    for each in mistakes(part, before):
        problem = f"is not valid TOML: {each.problem}"
        yield RuleProblem(each.line, "", problem, each.fix, source=each.source, column=each.column)


# Lines


class KeyLines:
    """The line of each key, which tomllib does not report: `of("rule", 0, "when")` for the first rule."""

    def __init__(self, content: str) -> None:
        self._known: dict[tuple[str | int, ...], int] = {}
        base: tuple[str | int, ...] = ()
        last: dict[tuple[str | int, ...], int] = {}
        for line, keys, brackets in _statements(content):
            if not brackets:
                self._add((*base, *keys), line)
                continue
            base = ()
            for number, key in enumerate(keys, 1):
                base = (*base, key)
                if number == len(keys) and brackets == 2:
                    last[base] = last.get(base, -1) + 1
                if base in last:
                    base = (*base, last[base])
            self._add(base, line)

    def of(self, *path: str | int) -> int:
        """Return the line of a key, or of the nearest table around it, counted from 1."""
        while path and path not in self._known:
            path = path[:-1]
        return self._known.get(path, 1)

    def _add(self, path: tuple[str | int, ...], line: int) -> None:
        for length in range(1, len(path) + 1):
            self._known.setdefault(path[:length], line)


def _statements(content: str) -> Iterator[tuple[int, list[str], int]]:
    """Yield each key or header: its line, its parts, and the number of brackets around it."""
    ends = [found.start() for found in re.finditer("\n", content)]
    at = 0
    while at < len(content):
        found = _STATEMENT.match(content, at)
        if found and (keys := _parts(found["keys"])):
            yield bisect(ends, found.start()) + 1, keys, (found["head"] or "").count("[")
        at = _end(content, found.end() if found and not found["head"] else at)


def _parts(keys: str) -> list[str]:
    try:
        table = tomllib.loads(f"{keys} = 0")
    except tomllib.TOMLDecodeError:
        return []
    parts = []
    while isinstance(table, dict):
        (key,) = table
        parts.append(key)
        table = table[key]
    return parts


def _end(content: str, at: int) -> int:
    """Return where the next statement begins: after the end of a line outside of all brackets."""
    depth = 0
    while found := _MARK.search(content, at):
        at = found.end()
        mark = found[0]
        if mark == "\n" and depth <= 0:
            return at
        depth += (mark in "[{") - (mark in "]}") if len(mark) == 1 else 0
    return len(content)
