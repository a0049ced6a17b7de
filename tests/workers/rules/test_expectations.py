"""The `[[test]]` tables of a rules file: what is valid, and how mistakes are reported."""

import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workers.rules.expectations import EVENT, TICKET, read_tests
from workers.rules.file import load, read
from workers.settings import Grants
from workers.testing import ticket

RULE = """\
[[rule]]
name = "refunds"
on = "contact-replied"
add_tags = ["refund"]
"""
TEST = f"""{RULE}
[[test]]
name = "one"
"""


def test_a_test_has_a_ticket_an_event_and_expectations() -> None:
    found = read_tests(
        f'{TEST}ticket = {{ status = 3 }}\nevent = "contact-replied"\nnow = 2026-03-01T10:00:00\n'
        'expect.add_tags = ["refund"]\nexpect.set.status = "Open"\nexpect.rules = ["Refunds"]\n'
    )
    assert found.problems == ()
    (test,) = found.tests
    assert (test.name, test.line, test.ticket, test.event) == ("one", 6, {"status": 3}, {"kind": "contact-replied"})
    assert test.now == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert test.rules == {"refunds"}
    assert len(test.actions or ()) == 2
    assert [(each.name.what, each.name.name, each.line) for each in found.names] == [
        ("status", "Open", 12),
        ("status", 3, 8),
    ]


KIND = 'event = "contact-replied"\n'
VALID = f'{KIND}expect = "nothing"\n'
FIELDS = '{ "Name of the field" = "value" }'
EXPECT = 'write expect.add_tags = ["vip"] and so on, or expect = "nothing"'
ADD_KIND = 'add event = "ticket-created", or event = { kind = "contact-replied", text = "..." }'


@pytest.mark.parametrize(
    ("body", "problem", "fix"),
    [
        ("expct = 1", "no key 'expct'", "did you mean 'expect'?"),
        ('on = "moved"', "no key 'on'", 'write event = "ticket-created"'),
        ('add_tags = ["a"]', "no key 'add_tags'", "write expect.add_tags"),
        ('status = "New"', "no key 'status'", "write ticket.status"),
        ("automatic = true", "no key 'automatic'", "write event.automatic"),
        ('ticket.stauts = "New"', "ticket has no 'stauts'", "did you mean 'status'?"),
        ('ticket.contact_email = "a@b"', "ticket has no 'contact_email'", "write ticket.email"),
        ('ticket.tags = "a"', "ticket.tags is not a list of texts", 'write it as ticket.tags = ["..."]'),
        ("ticket.closed = 1", "ticket.closed is not true or false", "write it as ticket.closed = true"),
        ("ticket.fields = 1", "ticket.fields is not a table of fields", f"write it as ticket.fields = {FIELDS}"),
        ("ticket.id = true", "ticket.id is not a whole number", "write it as ticket.id = 1"),
        ("ticket = 3", "ticket is not a table", 'write it as ticket = { status = "New" }'),
        ("now = 2026-03-01", "now is not a date with a time", "write it as now = 2030-12-31T09:30:00Z"),
        ('[[test]]\nname = "x"', "expect is missing", EXPECT),
    ],
)
def test_a_mistake_beside_a_valid_event_and_expectation_is_reported(body: str, problem: str, fix: str) -> None:
    more = "\n" + KIND if "[[test]]" in body else "\n"
    (found,) = read_tests(TEST + VALID + body + more).problems
    assert (found.line, found.problem, found.fix) == (10, problem, fix)


@pytest.mark.parametrize(
    ("line", "body", "problem", "fix"),
    [
        (6, "", "the kind of the event is missing", ADD_KIND),
        (8, "event = 3", "event is not a table", 'write it as event = "ticket-created"'),
        (8, 'event = "movd"', "event: no kind 'movd'", "did you mean 'moved'?"),
        (8, 'event = { kind = "moved", by = "staf" }', "event.by: no actor 'staf'", "did you mean 'staff'?"),
        (8, 'event = { kind = "moved", txt = "x" }', "event has no 'txt'", "did you mean 'text'?"),
        (8, 'event = { kind = "moved", message = "x" }', "event has no 'message'", "write event.text"),
        (8, 'event = { kind = "moved", found_by = "x" }', "event.found_by: no rule 'x'", "there are: refunds"),
        (8, 'event = "later"', "event: kind 'later' is not allowed here", "rules set no timers"),
    ],
)
def test_a_mistake_in_an_event_is_reported(line: int, body: str, problem: str, fix: str) -> None:
    (found,) = read_tests(f'{TEST}{body}\nexpect = "nothing"\n').problems
    assert (found.line, found.problem, found.fix) == (line, problem, fix)


@pytest.mark.parametrize(
    ("body", "problem", "fix"),
    [
        ('expect = "none"', "expect is not a table", EXPECT),
        ('expect.add_tag = ["a"]', "no action 'add_tag'", "did you mean 'add_tags'?"),
        ('expect.status = "Open"', "no action 'status'", "write expect.set.status"),
        ('expect.add_tags = "a"', "add_tags is not a list of tags", 'write it as add_tags = ["vip"]'),
        ("expect.note = []", "note is not a text", 'write it as note = "..."'),
        ('expect.set.stats = "Open"', "set has no 'stats'", "did you mean 'status'?"),
        ('expect.rules = ["refund"]', "expect.rules: no rule 'refund'", "did you mean 'refunds'?"),
        ('expect.rules = "refunds"', "expect.rules is not a list of names", 'write it as expect.rules = ["refunds"]'),
    ],
)
def test_a_mistake_in_an_expectation_is_reported(body: str, problem: str, fix: str) -> None:
    (found,) = read_tests(f"{TEST}{KIND}{body}\n").problems
    assert (found.line, found.rule, found.problem, found.fix) == (9, "test 'one'", problem, fix)


def test_two_tests_cannot_have_the_same_name() -> None:
    (found,) = read_tests(f'{TEST}{VALID}[[test]]\nname = "One"\n{VALID}').problems
    assert (found.line, found.problem) == (11, "the test on line 7 has the same name")


def test_every_mistake_of_a_test_is_reported_at_once() -> None:
    found = read_tests(f'{TEST}event.kind = "movd"\nticket.stauts = "x"\nexpect.nte = "x"\n')
    assert [each.line for each in found.problems] == [8, 9, 10]
    assert found.tests == ()


def test_a_test_without_a_name_and_a_single_table_are_mistakes() -> None:
    assert read_tests(f"{RULE}[[test]]\n{VALID}").problems[0].problem == "name is missing"
    assert read_tests('[test]\nname = "x"\n').problems[0].fix == "write [[test]], with two pairs of brackets"


def test_a_worker_loads_rules_beside_tests_even_if_a_test_has_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(f'{TEST}unknown = "x"\n')
    assert [handler.function for handler in load(path, Grants()).handlers] == ["refunds"]
    assert read(path.read_text(), Grants()).problems == ()


def test_a_syntax_error_in_a_test_has_its_line_and_hides_no_mistake_in_a_rule() -> None:
    found = read(f'{RULE.replace("contact-replied", "moovd")}\n[[test]]\nname = "x\n', Grants()).problems
    assert [(each.line, each.problem[:16]) for each in found] == [(3, "on: no kind 'moo"), (7, "is not valid TOM")]
    assert read_tests("[[test]\n").problems == ()


def test_the_members_of_a_ticket_are_the_arguments_of_the_test_kit() -> None:
    assert set(TICKET) == set(inspect.signature(ticket).parameters) - {"raw"}


def test_the_page_lists_every_member_of_a_ticket_and_an_event() -> None:
    page = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
    section = page.partition("## Tests\n")[2].partition("\n## ")[0]
    assert [name for name in (*TICKET, *EVENT) if f"`{name}`" not in section] == []
