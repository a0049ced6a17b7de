"""Run the `[[test]]` tables of a rules file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from workers.plugins.actions import AnyAction, Set, Tags, recording
from workers.plugins.loading import RULES, LoadError
from workers.rules import expectations
from workers.rules import file as rules_file
from workers.rules.actions import RunContext
from workers.rules.checks import MESSAGES
from workers.rules.expectations import RuleTest
from workers.rules.file import handler_of
from workers.rules.rule import Rule
from workers.rules.values import as_list
from workers.rules.variables import views
from workers.settings import Grants
from workers.testing.handlers import NOON, combine, ticket, with_message
from workers.testing.trial import ActionPart, Trial, actor_of, parts, try_rule
from workers.tickets.change import Change, Event, EventKind
from workers.tickets.folding import fold
from workers.tickets.model import Attachment, Named, TicketRead

#: The most rules that a report of one test explains.
MOST_EXPLAINED = 5


@dataclass(frozen=True, slots=True)
class RulesWithTests:
    """A rules file without mistakes."""

    path: Path
    rules: Sequence[Rule]
    tests: Sequence[RuleTest]


@dataclass(slots=True)
class TestReport:
    """What the rules did that a test does not expect, and the reverse."""

    __test__ = False  # no test for pytest, whatever its name
    test: RuleTest
    missing: list[ActionPart] = field(default_factory=list)
    unexpected: list[ActionPart] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Why rules did not act, and which did."""

    @property
    def passed(self) -> bool:
        return not self.missing and not self.unexpected

    def lines(self) -> Iterator[str]:
        """Yield the differences, those that are missing after `-`, those that are unexpected after `+`."""
        for sign, found in (("-", self.missing), ("+", self.unexpected)):
            for part in found:
                first, *more = str(part).split("\n")
                yield f"{sign} {first}"
                yield from (f"{sign}   {line}" for line in more)
        yield from self.remarks


def load_tests(path: Path) -> RulesWithTests:
    """Read the rules and the tests of a file; raise LoadError with every mistake in either."""
    text = rules_file.content(path)
    rules, tests = rules_file.read(text, Grants()), expectations.read_tests(text)
    problems = [problem for problem in (*rules.problems, *tests.problems) if not problem.warning]
    if problems:
        raise LoadError([each.in_file(path.name) for each in sorted(problems, key=lambda problem: problem.line)])
    return RulesWithTests(path, rules.rules, tests.tests)


def run_test(test: RuleTest, rules: Sequence[Rule]) -> TestReport:
    """Run all rules on the event of a test, with every permission, and compare what they do."""
    now = test.now or NOON
    made = ticket(**_after(test))
    change = _change(test, made, now)
    made = with_message(made, change)
    trials = [try_rule(rule, made, _for_rule(test, rule, change), now) for rule in rules]
    report = TestReport(test)
    if test.actions is not None:
        done = [action for trial in trials for action in trial.actions]
        report.missing, report.unexpected = _differences(
            list(_combined(_expected(test, made, change, now))), list(_combined(done, made.tags))
        )
    if test.rules is not None:
        acting = {trial.rule.function: trial.rule.name for trial in trials if trial.actions}
        names = {rule.function: rule.name for rule in rules}
        report.missing += [_acts(names[each]) for each in sorted(test.rules - acting.keys())]
        if test.actions != ():  # with no action expected, the unexpected ones say it
            report.unexpected += [_acts(acting[each]) for each in sorted(acting.keys() - test.rules)]
    failed = [trial for trial in trials if trial.failed]
    report.unexpected += [ActionPart("rule", f"{trial.rule.name!r} {trial.reason}") for trial in failed]
    if not report.passed:
        report.remarks += _remarks(report, trials, made)
    return report


def _acts(name: str) -> ActionPart:
    return ActionPart("rule", f"{name!r} acts")


# The event


def _after(test: RuleTest) -> Mapping[str, Any]:
    """Return the members of the ticket, which has the new value of the field that was changed."""
    field, fields = test.event.get("field", ""), test.ticket.get("fields", {})
    if not field or "to" not in test.event or fold(field) in map(fold, fields):
        return test.ticket
    return {**test.ticket, "fields": {**fields, field: test.event["to"]}}


def _change(test: RuleTest, made: TicketRead, now: datetime) -> Change:
    event = test.event
    kind = event["kind"]
    old, new = event.get("from", ""), event.get("to", "")
    tags = kind == "tags-changed"
    return Change(
        kind=kind,
        at=now,
        update_id=None if kind == "scheduled" else 1,
        actor=actor_of(kind, event.get("by", ""), event.get("by_name", "")),
        old=None if tags else _named(old),
        new=None if tags else _named(new),
        removed=frozenset(map(str, as_list(old))) - {""} if tags else frozenset(),
        added=frozenset(map(str, as_list(new))) - {""} if tags else frozenset(),
        text=event.get("text", made.first_message if kind == "ticket-created" else ""),
        attachments=tuple(Attachment(None, name, "") for name in event.get("attachments", ())),
        field=event.get("field", ""),
        automatic=event.get("automatic", False),
        to=RULES if kind == "scheduled" else "",  # no rule has this name: none runs
    )


def _named(value: Any) -> Named | None:
    """Return one side of a change: a name, or an id if it is a whole number."""
    if value == "":
        return None
    text = ", ".join(map(str, as_list(value)))
    return Named(value, text) if type(value) is int else Named(None, text)


def _for_rule(test: RuleTest, rule: Rule, change: Change) -> Change:
    """Return the change as one rule sees it: a schedule finds the ticket for each rule by itself."""
    found = test.event.get("found_by", rule.function) == rule.function
    if change.kind != "scheduled" or not rule.every or not found:
        return change
    return Change(kind=change.kind, at=change.at, to=handler_of(rule).name)


# Expected and actual actions


def _expected(test: RuleTest, made: TicketRead, change: Change, now: datetime) -> list[AnyAction]:
    actions: list[AnyAction] = []
    event = Event(account="test", kind=cast("EventKind", change.kind), at=now, changes=(change,), matched=(change,))
    context = RunContext(views(made, event, change), now)
    for run in test.actions or ():
        run(recording(made, actions), context)
    return actions


def _combined(actions: Sequence[AnyAction], has: frozenset[str] | None = None) -> Iterator[ActionPart]:
    """Yield what actions do together: later values win, and tags that the ticket `has` are not added."""
    result = combine(actions, has)
    yield from parts([Tags(add=tuple(sorted(result.tags_added)), remove=tuple(sorted(result.tags_removed)))])
    yield from dict.fromkeys(parts([each for each in actions if not isinstance(each, Tags | Set)]))
    yield from parts([Set(result.properties, result.fields)])


def _differences(expected: list[ActionPart], actual: list[ActionPart]) -> tuple[list[ActionPart], list[ActionPart]]:
    """Return what is missing and what is unexpected."""
    missing = []
    for part in expected:
        found = next((each for each in actual if _matches(part, each)), None)
        if found:
            actual.remove(found)
        else:
            missing.append(part)
    return missing, actual


def _matches(expected: ActionPart, actual: ActionPart) -> bool:
    """Return whether a part is as expected: names and values equal, texts with the expected words."""
    same = fold(f"{expected.key} {expected.value}") == fold(f"{actual.key} {actual.value}")
    if not same or len(expected.texts) > len(actual.texts) or bool(expected.subject) != bool(actual.subject):
        return False
    texts = ((expected.subject, actual.subject), *zip(expected.texts, actual.texts, strict=False))
    return all(fold(words) in fold(text) for words, text in texts)


def _remarks(report: TestReport, trials: Sequence[Trial], made: TicketRead) -> Iterator[str]:
    """Explain a failed test: why rules that could have done what is missing did not act, and which acted."""
    actions = {part.key.partition(".")[0] for part in report.missing}
    expected = report.test.rules or frozenset()
    idle = [
        trial
        for trial in trials
        if trial.reason
        and not trial.failed
        and (trial.rule.function in expected or actions & trial.rule.actions.keys())
    ]
    for trial in idle[:MOST_EXPLAINED]:
        yield f"rule {trial.rule.name!r} does not act: {trial.reason}"
    if len(idle) > MOST_EXPLAINED:
        yield f"{len(idle) - MOST_EXPLAINED} more rules do not act"
    present = {fold(tag) for tag in made.tags}
    for part in report.missing:
        if part.key == "add_tags" and fold(part.value) in present:
            yield f"the ticket has the tag {part.value} already"
        elif part.key == "remove_tags" and fold(part.value) not in present:
            yield f"the ticket does not have the tag {part.value}"
    kind = report.test.event["kind"]
    if idle and kind in MESSAGES and kind != "ticket-created" and not report.test.event.get("text"):
        yield f'the event has no text: write event = {{ kind = "{kind}", text = "..." }}'
    if acting := [repr(trial.rule.name) for trial in trials if trial.actions]:
        yield f"acting: {', '.join(acting)}"
