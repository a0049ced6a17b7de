"""The rules file: from TOML to rules, with every mistake at once; and from rules to the router `rules`.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workers.events.change import schedule_kind
from workers.rules.faults import Fault
from workers.rules.lines import Lines
from workers.rules.rule import Rule, RuleReader, function_of
from workers.rules.sight import Sights
from workers.rules.uses import Name
from workers.settings import SettingProblem as Complaint
from workers.turns.plugin.fitting import near
from workers.turns.plugin.loading import RULES, LoadError
from workers.turns.plugin.router import HANDLER_TAKES, Handler, Router

#: How much alike two tags are when one is probably a slip for the other.
ALIKE = 0.8

HEADER = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Used:
    """A name that HappyFox must know, and where it stands."""

    name: Name
    line: int
    rule: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a file that can run, everything that is wrong with it by line, and the names it uses."""

    rules: tuple[Rule, ...] = ()
    faults: tuple[Fault, ...] = ()
    names: tuple[Used, ...] = ()


def load(path: Path, allow: frozenset[tuple[str, str]]) -> Router:
    """Reads a file for running it: as `router_of`, and warnings are logged."""
    for fault in read(content(path), granted(allow)).faults:
        if fault.warning:
            logger.warning("A rule may not do what it should.", extra={"reason": str(fault.complaint(path.name))})
    return router_of(path, allow)


def router_of(path: Path, allow: frozenset[tuple[str, str]]) -> Router:
    """Reads a file and makes the router `rules` of it, one handler for each rule, in their order.

    Raises LoadError with every mistake that is more than a warning.
    """
    found = read(content(path), granted(allow))
    if wrong := [fault.complaint(path.name) for fault in found.faults if not fault.warning]:
        raise LoadError(wrong)
    router = Router(RULES)
    router.handlers += map(_handler, found.rules)
    return router


def _handler(rule: Rule) -> Handler:
    return Handler(
        router=RULES,
        function=rule.function,
        kinds=frozenset([schedule_kind(f"{RULES}.{rule.function}")] if rule.every else rule.kinds),
        decide=rule.decide,
        takes=HANDLER_TAKES,
        when=None,
        when_takes=(),
        ask=rule.refusal,
        once=rule.once,
        every=rule.every,
    )


def content(path: Path) -> str:
    """Reads the text of a file. Raises LoadError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        complaint = Complaint(path.name, f"is not valid UTF-8 (at byte {error.start})", "save the file as UTF-8")
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or 'no file can have this name'}"
        complaint = Complaint(str(path), problem, "correct the path (FOXHOOKS_RULES sets it), or create the file")
    raise LoadError([complaint])


def granted(allow: frozenset[tuple[str, str]]) -> frozenset[str]:
    """Gives what rules are permitted to do."""
    return frozenset(permission for router, permission in allow if router == RULES)


def read(text: str, granted: frozenset[str]) -> Rules:
    """Reads the text of a rules file; never raises for what stands in it."""
    text = text.replace("\r\n", "\n")
    try:
        parsed = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return _broken(text, error, granted)
    found = _rules(parsed, Lines(text), granted)
    return replace(found, faults=_sorted(found.faults))


def _rules(parsed: Mapping[str, Any], lines: Lines, granted: frozenset[str]) -> Rules:
    faults = [Fault(lines.of(key), "", f"no key {key!r}", near(key, ("rule",))) for key in parsed if key != "rule"]
    tables = parsed.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(each, Mapping) for each in tables):
        faults.append(
            Fault(lines.of("rule"), "", "rule is no list of tables", "write [[rule]], in two pairs of brackets")
        )
        return Rules(faults=tuple(faults))
    sights = Sights()
    readers = [
        RuleReader(number + 1, table, lambda *path, at=number: lines.of("rule", at, *path), sights)
        for number, table in enumerate(tables)
    ]
    rules = [rule for reader in readers if (rule := reader.read())]
    faults += [fault for reader in readers for fault in (*reader.faults, *reader.grants_missing(granted))]
    faults += [*_doubled(readers), *_tag_slips(readers)]
    names = [Used(name, reader.line(*name.path), reader.where) for reader in readers for name in reader.names]
    return Rules(tuple(rules), tuple(faults), tuple(names))


def _doubled(readers: Sequence[RuleReader]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for reader in readers:
        function, line = function_of(reader.name), reader.line("name")
        if function and first.setdefault(function, line) != line:
            yield Fault(
                line, reader.where, f"the rule in line {first[function]} has this name, too", "rename one of them"
            )


def _tag_slips(readers: Sequence[RuleReader]) -> Iterator[Fault]:
    """Yields tags that conditions ask for and no rule adds, when one that is added looks almost the same."""
    added = {tag.strip().casefold(): tag for reader in readers for tag in reader.tags}
    for reader in readers:
        for asked in reader.asked:
            key = asked.tag.strip().casefold()
            close = get_close_matches(key, added, n=1, cutoff=ALIKE) if key not in added else []
            if close:
                tag = added[close[0]]
                problem = f"{'.'.join(asked.path)} asks for the tag {asked.tag!r}, and the one that is added is {tag!r}"
                yield Fault(reader.line(*asked.path), reader.where, problem, f"did you mean {tag!r}?", warning=True)


def _sorted(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: fault.line))


def _broken(text: str, error: Exception, granted: frozenset[str]) -> Rules:
    """Says where a file is no TOML; each rule is parsed by itself, so that one broken rule does not hide the next."""
    starts = [0, *(found.start() for found in HEADER.finditer(text))]
    faults: list[Fault] = []
    broken = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        before = text.count("\n", 0, start)
        part = text[start:end]
        try:
            parsed = tomllib.loads(part)
        except (tomllib.TOMLDecodeError, RecursionError) as wrong:
            broken += 1
            faults.append(_no_toml(wrong, part, before))
        else:
            found = _rules(parsed, Lines(part), granted).faults
            faults += [replace(each, line=each.line + before) for each in found]
    if not broken:
        return Rules(faults=(_no_toml(error, text, 0),))
    return Rules(faults=_sorted(faults))


def _no_toml(error: Exception, text: str, before: int) -> Fault:
    place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
    line = int(place[1]) if place else text.rstrip().count("\n") + 1
    said = re.sub(r" \(at .*\)$", "", str(error)) or "nested too deeply"
    rows = text.split("\n")
    row = rows[line - 1] if line <= len(rows) else ""
    cure = "correct this line"
    if "escape" in said.lower() or ('"' in row and "\\" in row):
        cure = "write expressions with a backslash in single quotes, as when.text = '\\brefund\\b'"
    elif "overwrite" in said.lower() or "twice" in said.lower():
        cure = 'a key stands twice in a rule; for several values write a list, as when.tag = ["a", "b"]'
    return Fault(line + before, "", f"is not valid TOML: {said[:1].lower()}{said[1:]}", cure)
