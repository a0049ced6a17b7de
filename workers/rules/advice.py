"""Warn of rules and schedules that may email a customer too often, twice, or what is private.

The checks see only the rules. What they cannot tell, such as whether a name and an id are the same status, causes no
warning.
"""

import dis
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any, Final, Protocol

from workers.plugins.loading import Loaded
from workers.plugins.router import Handler, Router
from workers.rules.actions import ACTIONS
from workers.rules.cases import Pairs, Table, alternatives, case_of, keys, situation
from workers.rules.checks import key
from workers.rules.impossible import WITH_VALUES, unlikely
from workers.rules.matches import Matches
from workers.rules.patterns import misread_conditions
from workers.rules.rule import RuleProblem, RuleReader
from workers.rules.searches import TERM, search_problems, terms
from workers.rules.template_uses import shows
from workers.rules.templates import foreign_variables
from workers.rules.values import as_list
from workers.settings import SettingProblem
from workers.tickets.change import KINDS
from workers.tickets.folding import fold
from workers.tickets.model import readable

#: What a template shows of a change. In a private note, nobody outside may read it.
_PRIVATE = {"change.text", "change.html", "change.attachments"}

#: Kinds that programs may cause again and again. A status, a category and the like settle instead.
_BROAD = {
    "ticket-updated",
    "contact-replied",
    "staff-replied",
    "note-added",
    "tags-changed",
    "field-changed",
    "smart-rule",
}

#: Attributes and methods of a ticket: what a handler that reads them asks for, and what it changes by calling them.
_READS = {"tags": "tag", "field_values": "fields"} | {
    name: name for name in ("status", "priority", "assignee", "category", "fields", "due_date", "unresponded")
}
_CHANGES = {"add_tags": "tag", "remove_tags": "tag", "move": "category", "reply": "unresponded", "delete": "any"}

#: What `set` and `reply` change, by keyword; "**" is a keyword that only the handler knows.
_SETS = {"**": "any"} | {name: name for name in ("status", "priority", "assignee", "fields", "due_date")}

_REMEMBER = 'add once = true, or when.not_tag = "answered" with add_tags = ["answered"]'
_END = 'let set end a condition, such as when.status = "New" with set.status = "Open"'


class Subject(Protocol):
    """What emails: a rule, or an entry in the settings of a router, as a table."""

    @property
    def table(self) -> Table: ...
    @property
    def where(self) -> str: ...
    def line(self, *path: str) -> int: ...


def warnings(readers: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    """Yield a warning for each valid rule, or group of rules, whose emails may surprise its author."""
    recurring = [each for each in readers if _recurs(each.table)]
    for reader in readers:
        yield from _repeated(reader, reader.table)
        yield from _undone(reader, recurring)
        yield from _private(reader)
        yield from _doubtful(reader)
        yield from _not_replaced(reader)
        yield from _empty_variables(reader)
    yield from _together([each for each in readers if "reply" in each.table])


def _warning(subject: Subject, action: str, problem: str, fix: str) -> RuleProblem:
    return RuleProblem(subject.line(action), subject.where, problem, fix, warning=True)


# Emails that are sent again and again


def _repeated(reader: Subject, rule: Table) -> Iterator[RuleProblem]:
    """Warn of a rule that emails repeatedly, unless its own actions end that."""
    when = rule.get("when", {})
    action = next((each for each in ("reply", "forward") if each in rule), "")
    if not action or rule.get("once") or after(when, rule) is False:
        return
    end = _REMEMBER if isinstance(reader, RuleReader) else _END
    if "every" in rule:
        if after(terms(rule["find"]), rule) is not False:
            problem = f"every {rule['every']}, it emails each ticket that find matches again, even if nobody answers"
            yield _warning(reader, action, problem, f"{end}; or set a status that find does not match")
        return
    kinds = [kind for kind in as_list(rule["on"]) if kind in _BROAD]
    broad = [kind for kind in kinds if not all(_narrow(kind, each) for each in alternatives(when))]
    if "ticket-updated" in broad:
        problem = f"every change of the ticket sends an email: a note, a tag, a change by a smart rule ({action})"
        yield _warning(reader, action, problem, f"name the kinds that it is about, not ticket-updated; or {end}")
    elif "contact-replied" in broad:
        verb = "answers" if action == "reply" else "sends on"
        problem = f"{action} {verb} every message, also those of an auto-responder, which answers each {action}"
        yield _warning(reader, action, problem, f"add when.automatic = false; or {end}")
    elif (action == "reply" and broad) or "smart-rule" in broad:
        named, target = " and ".join(broad), "the contact" if action == "reply" else "its address"
        problem = f"{action} emails {target} at each {named}, however often smart rules or tools cause it"
        yield _warning(reader, action, problem, end)


def _undone(reader: RuleReader, recurring: Sequence[RuleReader]) -> Iterator[RuleProblem]:
    """Warn of a rule whose emails end with a tag, if one of the recurring rules undoes that."""
    rule = reader.table
    if any(_repeated(reader, rule)):
        return
    for other in recurring:
        if other is reader:
            continue
        kept = {
            ours: [tag for tag in as_list(rule.get(ours, [])) if key(tag) not in keys(other.table.get(theirs, []))]
            for ours, theirs in (("add_tags", "remove_tags"), ("remove_tags", "add_tags"))
        }
        if any(_repeated(reader, {**rule, **kept})):
            action = "reply" if "reply" in rule else "forward"
            problem = f"{other.where} undoes the tag that ends its emails, so it emails the ticket again and again"
            yield _warning(reader, action, problem, "use another tag, or add once = true")


def _recurs(rule: Table) -> bool:
    """Return whether a rule runs again and again at short intervals without a person."""
    if rule.get("once") or rule.get("older_than"):
        return False
    kinds = {"ticket-updated", "tags-changed", "field-changed", "smart-rule"} & set(as_list(rule.get("on", [])))
    cases = alternatives(rule.get("when", {}))
    return "every" in rule or not all(_narrow(kind, each) for kind in kinds for each in cases)


def _narrow(kind: str, conditions: Pairs) -> bool:
    """Return whether these conditions leave only changes that no program causes again and again."""
    named = {name for name, _ in conditions}
    actors = frozenset[Any]().union(*case_of(conditions).allowed.get("actor", ()))
    person = ("automatic", False) in conditions or ("not_automatic", True) in conditions
    if kind in ("note-added", "staff-replied"):  # no program writes the words that an expression asks for
        return bool(named & {"text", "whole_text"})
    if kind in ("tags-changed", "field-changed"):
        return bool(named & {"from", "to"}) or (bool(actors) and actors <= {"contact", "staff"})
    if kind == "ticket-updated":
        return bool(named & {"from", "to"}) or (person and actors == {"contact"})
    return person and kind == "contact-replied"


def after(conditions: Table, rule: Table) -> bool | None:
    """Return whether conditions hold when the rule's actions are done; None if that depends on the ticket."""
    return _all(_one_after(name, value, rule) for name, value in conditions.items())


def _one_after(given: str, value: Any, rule: Table) -> bool | None:
    name, negated = given.removeprefix("not_"), given.startswith("not_")
    changed = rule.get("set", {})
    if name == "contact_fields":
        return None
    if name == "not":
        return _flip(_not(after(value, rule)), negated)
    if name == "fields":
        written = {fold(field): _readable(one) for field, one in changed.get("fields", {}).items()}
        expected = {fold(field): [_readable(each) for each in as_list(one)] for field, one in value.items()}
        found = [_equal(written.get(field), values, negated) for field, values in expected.items()]
        return _all(_flip(each, negated) for each in found)
    if name == "any":
        return _flip(_not(_all(_not(after(each, rule)) for each in value)), negated)
    if name == "tag":
        tags, added, removed = (keys(each) for each in (value, rule.get("add_tags", []), rule.get("remove_tags", [])))
        return _flip(True if tags & (added - removed) else False if tags <= removed else None, negated)
    if name == "unresponded":
        return _flip(not value, negated) if "reply" in rule else None
    if name == "category":
        target = rule.get("move")
        return _flip(_equal(target["category"] if isinstance(target, Mapping) else target, value, negated), negated)
    return _flip(_equal(changed.get(name), value, negated), negated)


def _readable(value: Any) -> str:
    return str(value) if isinstance(value, date) else readable(value)


def _equal(written: Any, expected: Any, negated: bool) -> bool | None:
    """Return whether the value that a rule sets is an expected one; None if it sets none.

    If only the ticket or HappyFox can tell, the rule gets the benefit of the doubt: its condition ends.
    """
    if written is None:
        return None
    unknown = isinstance(written, str) and "{{" in written
    if unknown or any(isinstance(each, str) != isinstance(written, str) for each in as_list(expected)):
        return negated
    return key(written) in keys(expected)


def _all(found: Iterable[bool | None]) -> bool | None:
    results = list(found)
    return False if False in results else None if None in results else True


def _not(holds: bool | None) -> bool | None:
    return None if holds is None else not holds


def _flip(holds: bool | None, negated: bool) -> bool | None:
    return _not(holds) if negated else holds


# Private words


def _private(reader: RuleReader) -> Iterator[RuleProblem]:
    """Warn of an email that contains what only staff may read."""
    rule = reader.table
    kinds = {"note-added", "ticket-updated"} & set(as_list(rule.get("on", [])))
    if not kinds or not any(map(_may_be_note, alternatives(rule.get("when", {})))):
        return
    forward = rule.get("forward", {})
    reply = rule.get("reply", "")
    reply = reply.get("text", "") if isinstance(reply, Mapping) else reply
    texts = {"reply": reply, "forward": f"{forward.get('subject', '')}\n{forward.get('message', '')}"}
    for action, text in texts.items():
        if shown := sorted(shows(text) & _PRIVATE):
            words, target = " and ".join(f"{{{{ {each} }}}}" for each in shown), "the contact"
            target = target if action == "reply" else "the address of forward"
            problem = f"{action} may email a private note to {target}: {words} is the note's when a note is added"
            fix = 'leave it out, use ticket.message, or run the rule on "staff-replied" or "contact-replied"'
            yield _warning(reader, action, problem, fix)


def _may_be_note(conditions: Pairs) -> bool:
    case = case_of(conditions)
    if any("" not in each for name in ("from", "to") for each in case.allowed.get(name, ())):
        return False
    if {"contact"} in case.allowed.get("actor", ()):
        return False
    return not case.banned.get("actor", frozenset()) >= {"staff", "client"}


# Conditions that are written for something else


def _doubtful(reader: RuleReader) -> Iterator[RuleProblem]:
    """Warn of conditions that hold for other tickets than their author thinks, or for almost none."""
    when = reader.table.get("when", {})
    kinds = tuple(as_list(reader.table.get("on", [])))
    found: list[tuple[tuple[str, ...], str, str]]
    found = [((key,), problem, fix) for key, problem, fix in misread_conditions(when)]
    found += [(path[1:], problem, fix) for path, problem, fix in unlikely(when, kinds) if kinds]
    if "find" in reader.table:
        for problem, fix in search_problems(reader.table["find"]):
            yield _warning(reader, "find", problem, fix)
    for path, problem, fix in found:
        yield RuleProblem(reader.line("when", *path), reader.where, problem, fix, warning=True)


# Texts that are written as they are, or not at all

#: The kinds of changes that have these variables.
_OF_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("change.text", "change.html", "change.attachments"), KINDS),
    **dict.fromkeys(("change.old", "change.new"), WITH_VALUES),
    **dict.fromkeys(("change.added", "change.removed"), ("tags-changed",)),
    "change.field": ("field-changed",),
}


def _not_replaced(reader: RuleReader) -> Iterator[RuleProblem]:
    """Warn of variables in the form of another product, which people would read in the text as written."""
    for action in ACTIONS:
        for text in _texts(reader.table.get(action, "")):
            for written, replaced in foreign_variables(text).items():
                yield _warning(
                    reader, action, f"{written} is no variable: people read it as written", f"write {replaced}"
                )


def _empty_variables(reader: RuleReader) -> Iterator[RuleProblem]:
    """Warn of variables about the change that no change of the rule's kinds has, so that nothing is written there."""
    kinds = {"scheduled"} if "find" in reader.table else {*as_list(reader.table.get("on", []))}
    for action in ACTIONS:
        shown = {each for text in _texts(reader.table.get(action, "")) if "{{" in text for each in shows(text)}
        for variable in sorted(shown):
            if any(each.startswith(f"{variable}.") for each in shown):
                continue  # a part of change.new.name
            owners = _OF_KINDS.get(".".join(variable.split(".")[:2]))
            if owners and "ticket-updated" not in kinds and kinds.isdisjoint(owners):
                when = "a schedule" if kinds == {"scheduled"} else " and ".join(sorted(kinds))
                problem = f"{action}: {{{{ {variable} }}}} is always empty for {when}"
                yield _warning(reader, action, problem, "leave it out, or use a variable of ticket")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


# Several replies to one change


def _together(subjects: Sequence[Subject]) -> Iterator[RuleProblem]:
    """Warn of each rule that may reply to the same change as a rule before it."""
    situations = [situation(each.table) for each in subjects]
    for number, own in enumerate(subjects):
        if others := [subjects[each] for each in range(number) if situations[each].overlaps(situations[number])]:
            named = [(each.where, each.line("name")) for each in others]
            names = " and ".join(f"{where} (line {line})" if line else where for where, line in named)
            count = {1: "two", 2: "three"}.get(len(others), str(len(others) + 1))
            problem = f"it can reply to the same change as {names}: the contact gets {count} emails within a second"
            example = 'when.tag = "vip" here and when.not_tag = "vip" there'
            fix = f"let their conditions exclude each other, such as {example}, or make one rule of them"
            yield _warning(own, "reply", problem, fix)


# Handlers and their settings


@dataclass(frozen=True, slots=True)
class SettingsEntry:
    """An entry of `Matches` in a router's settings."""

    table: Table
    where: str

    def line(self, *_: str) -> int:
        """Return 0: the settings do not know their lines."""
        return 0


def router_warnings(loaded: Loaded) -> Iterator[SettingProblem]:
    """Yield a warning for each schedule that emails again and again, and for each such entry in the settings."""
    yield from _schedules(loaded.router)
    for member in fields(loaded.settings) if is_dataclass(loaded.settings) else ():
        value = getattr(loaded.settings, member.name)
        if isinstance(value, Matches):
            found = [
                SettingsEntry(match.table, f"router.{loaded.router.name}, {member.name} {number}")
                for number, match in enumerate(value.matches, 1)
                if match.table.get("reply", "").strip()
            ]
            for each in (*(problem for entry in found for problem in _repeated(entry, entry.table)), *_together(found)):
                yield SettingProblem(each.rule, each.problem, each.fix.replace("when.", ""))


def _schedules(router: Router) -> Iterator[SettingProblem]:
    """Yield a warning for each scheduled handler that emails and does nothing to end that."""
    for handler in router.handlers:
        code = getattr(handler.decide, "__code__", None)
        if handler.every and isinstance(code, CodeType) and _emails_again(handler):
            where = f"{handler.name} ({code.co_filename.rpartition('/')[2]}, line {code.co_firstlineno})"
            period = handler.every.words.partition(":")[0]
            problem = f"every {period}, it emails each ticket that its search finds again, even if nobody answers"
            fix = "add a tag or set a status in the handler, and exclude such tickets with find or when"
            yield SettingProblem(where, problem, fix)


def _emails_again(handler: Handler) -> bool:
    find = handler.every.find if handler.every else ""
    uses = _used(handler.decide, set())
    names = {name for name, _ in uses}
    creates = any(("create_ticket", keyword) in uses for keyword in ("email", "client", "**"))
    if not names & {"reply", "forward"} and not creates:
        return False
    changes = {_CHANGES[name] for name in names & _CHANGES.keys()}
    changes |= {_SETS[keyword] for name, keyword in uses if name in ("set", "reply") and keyword in _SETS}
    asked = _asked(find) | {_READS[name] for name in names & _READS.keys()}
    asked |= {_READS[name] for name, _ in _used(handler.when, set()) if name in _READS}
    if "any" in changes or changes & asked or ("any" in asked and changes - {"unresponded"}):
        return False
    return after(terms(find), {"reply": ""} if "reply" in names else {}) is not False


def _asked(find: str) -> set[str]:
    """Return what a search asks for; "any" if it may be anything."""
    names = [name.lstrip("-") for name, _ in TERM.findall(find)]
    known = {*_READS.values(), "unresponded"}
    return {"fields" if name.startswith('"') else name if name in known else "any" for name in names or [""]}


def _used(function: Any, seen: set[Any]) -> set[tuple[str, str]]:
    """Return the uses (see `_uses_in`) in a function, and in those functions of its module that it names."""
    if not isinstance(function, FunctionType) or function in seen:
        return set()
    seen.add(function)
    codes = list(_nested(function.__code__))
    helpers = [function.__globals__.get(name) for name in sorted({name for code in codes for name in code.co_names})]
    return {use for code in codes for use in _uses_in(code)}.union(
        *(_used(each, seen) for each in helpers if getattr(each, "__module__", "") == function.__module__)
    )


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _uses_in(code: CodeType) -> Iterator[tuple[str, str]]:
    """Yield (name, "") for each attribute of a variable, and (name, keyword) for each keyword of its call.

    A call begins in the same place as the attribute that it calls.
    """
    loaded: dict[tuple[int | None, int | None], str] = {}
    for step, following in pairwise(dis.get_instructions(code)):
        place = following.positions
        start = (place.lineno, place.col_offset) if place else (None, None)
        if following.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            loaded[start] = following.argval if step.opname.startswith(("LOAD_FAST", "LOAD_DEREF")) else ""
            yield loaded[start], ""
        elif step.opname == "KW_NAMES" or following.opname == "CALL_KW":
            yield from ((loaded.get(start, ""), keyword) for keyword in step.argval)
        elif following.opname == "CALL_FUNCTION_EX":
            yield loaded.get(start, ""), "**"
