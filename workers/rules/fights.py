"""Warn of rules that fight: they set the same property of a ticket to different values.

A later rule that has the conditions of the earlier one and more is an exception on purpose, and so are two rules that
search for different words: no warning for them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from workers.rules.advice import after
from workers.rules.cases import Situation, Table, keys, situation
from workers.rules.checks import TEXTS
from workers.rules.rule import RuleProblem, RuleReader
from workers.rules.searches import terms
from workers.rules.values import as_list
from workers.tickets.folding import fold

#: How many other rules a warning names at most.
_MOST: Final = 3


def fights(readers: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    """Yield a warning for each valid rule and property that a rule before it sets to another value."""
    changes = [dict(_changes(reader.table)) for reader in readers]
    situations = [situation(reader.table) for reader in readers]
    for number, reader in enumerate(readers):
        for path, value in changes[number].items():
            others = [
                other
                for other in range(number)
                if path in changes[other]
                and _differ(changes[other][path], value)
                and situations[other].overlaps(situations[number])
                and not _on_purpose(situations[other], situations[number])
            ]
            if others:
                yield _fight(reader, path, value, [(readers[each], changes[each][path]) for each in others])
        yield from _in_turn(reader, readers[:number])


def _fight(reader: RuleReader, path: tuple[str, ...], value: Any, others: list[tuple[RuleReader, Any]]) -> RuleProblem:
    named = [f"{other.where} (line {other.line('name')}) {_does(path, its)}" for other, its in others[:_MOST]]
    named += [f"{len(others) - _MOST} more rules disagree"] if len(others) > _MOST else []
    problem = f"it {_does(path, value)}, but for the same change {' and '.join(named)}: the later rule wins"
    fix = "let their conditions exclude each other, or give the later rule the conditions of the other and more"
    return RuleProblem(reader.line(*_place(path, reader.table)), reader.where, problem, fix, warning=True)


def _in_turn(reader: RuleReader, before: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    """Warn of two schedules of which each makes the other find the ticket again."""
    if "every" not in reader.table:
        return
    for other in before:
        if "every" in other.table and _leads_to(reader.table, other.table) and _leads_to(other.table, reader.table):
            problem = f"it undoes what {other.where} (line {other.line('name')}) does, which then undoes it again"
            fix = "exclude the tickets of one of them with a tag, or remove one of them"
            yield RuleProblem(reader.line("find"), reader.where, problem, fix, warning=True)


def _leads_to(rule: Table, other: Table) -> bool:
    """Return whether a rule makes its tickets ones that the other rule finds."""
    return not rule.get("once") and after({**terms(other["find"]), **other.get("when", {})}, rule) is True


def _changes(rule: Table) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what a rule changes, with the value if the rule knows it."""
    for name, value in rule.get("set", {}).items():
        if name == "fields":
            yield from ((("set", "fields", fold(field)), one) for field, one in value.items() if _known(one))
        elif _known(value):
            yield ("set", name), value
    if "move" in rule:
        yield ("move",), rule["move"]["category"] if isinstance(rule["move"], Mapping) else rule["move"]
    for action in ("add_tags", "remove_tags"):
        for tag in rule.get(action, []):
            yield ("tag", fold(tag)), action


def _known(value: object) -> bool:
    return not isinstance(value, Mapping) and not (isinstance(value, str) and ("{{" in value or "{%" in value))


def _differ(one: Any, other: Any) -> bool:
    """Return whether two values differ for certain: an id may be that of a name."""
    comparable = {type(each) for each in (*as_list(one), *as_list(other))}
    return len(comparable) == 1 and keys(one) != keys(other)


def _on_purpose(earlier: Situation, later: Situation) -> bool:
    """Return whether the later rule is an exception to the earlier one, or both search for different words."""
    if len(earlier.cases) != 1 or len(later.cases) != 1:
        return False
    own, its = _pairs(later), _pairs(earlier)
    if its <= own and later.occasions <= earlier.occasions and (its, earlier.occasions) != (own, later.occasions):
        return True
    words = [{pair for pair in pairs if pair[0] in TEXTS} for pairs in (own, its)]
    return all(words) and words[0] != words[1]


def _pairs(each: Situation) -> set[tuple[str, str]]:
    return {(name, repr(value)) for name, value in each.cases[0].pairs}


def _does(path: tuple[str, ...], value: Any) -> str:
    if path[0] == "tag":
        return f"{'adds' if value == 'add_tags' else 'removes'} the tag {path[1]!r}"
    if path[0] == "move":
        return f"moves it to {value}"
    return f"sets {'.'.join(path[1:])} to {', '.join(map(str, as_list(value))) or 'none'}"


def _place(path: tuple[str, ...], rule: Table) -> tuple[str, ...]:
    if path[0] == "tag":
        return ("add_tags",) if path[1] in map(fold, rule.get("add_tags", [])) else ("remove_tags",)
    return path
