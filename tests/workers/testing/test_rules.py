"""Tests of rules files: which differences they report."""

from pathlib import Path

import pytest

from workers.plugins.loading import LoadError
from workers.testing.rules import TestReport, load_tests, run_test

REFUNDS = """\
[[rule]]
name = "refunds"
on = ["ticket-created", "contact-replied"]
when.text = 'refund'
when.not_tag = "refund"
add_tags = ["refund"]
note = "Refund for {{ ticket.contact.name }}: see article 12."
set.status = "In Progress"
"""
SCHEDULED = """\
[[rule]]
name = "stale"
every = "1d"
find = 'status:"On Hold"'
older_than = "14d"
set.status = "Closed"

[[rule]]
name = "reminder"
every = "1d"
find = 'tag:"x"'
add_tags = ["reminded"]

[[rule]]
name = "any change"
on = "ticket-updated"
add_tags = ["changed"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def report(folder: Path, rules: str, test: str) -> TestReport:
    path = folder / "rules.toml"
    path.write_text(f'{rules}\n[[test]]\nname = "it"\n{test}')
    loaded = load_tests(path)
    return run_test(loaded.tests[0], loaded.rules)


def differences(folder: Path, rules: str, test: str) -> list[str]:
    return list(report(folder, rules, test).lines())


def rule(body: str, on: str = "ticket-created") -> str:
    return f'[[rule]]\nname = "it"\non = "{on}"\n{body}\n'


def test_everything_that_is_expected_passes_in_any_case_and_with_some_of_the_words(folder: Path) -> None:
    test = """\
ticket.name = "Kim Roe"
event = { kind = "contact-replied", text = "A REFUND, please" }
expect.add_tags = ["Refund"]
expect.note = "refund for kim roe"
expect.set.status = "in progress"
expect.rules = ["refunds"]
"""
    assert differences(folder, REFUNDS, test) == []


def test_what_is_missing_and_what_is_unexpected_is_shown_in_full(folder: Path) -> None:
    test = """\
event = { kind = "contact-replied", text = "refund" }
expect.add_tags = ["refund", "money"]
expect.set.status = "Closed"
"""
    assert differences(folder, REFUNDS, test) == [
        "- add_tags money",
        "- set.status = Closed",
        "+ note",
        "+   Refund for Sam Doe: see article 12.",
        "+ set.status = In Progress",
        "acting: 'refunds'",
    ]


def test_a_rule_that_does_not_act_says_why(folder: Path) -> None:
    test = 'ticket.tags = ["refund"]\nevent = "ticket-created"\nticket.text = "refund"\nexpect.add_tags = ["refund"]\n'
    assert differences(folder, REFUNDS, test) == [
        "- add_tags refund",
        "rule 'refunds' does not act: tag is refund, which is excluded",
        "the ticket has the tag refund already",
    ]
    test = 'event = "moved"\nexpect.rules = ["refunds"]\n'
    assert differences(folder, REFUNDS, test) == [
        "- rule 'refunds' acts",
        "rule 'refunds' does not act: not triggered by moved, only by ticket-created, contact-replied",
    ]


def test_some_words_of_the_subject_of_an_email_are_enough(folder: Path) -> None:
    rules = rule('reply = { text = "x", subject = "We got {{ ticket.display_id }}" }')
    assert (
        differences(folder, rules, 'event = "ticket-created"\nexpect.reply = { text = "x", subject = "we got" }\n')
        == []
    )
    assert differences(folder, rules, 'event = "ticket-created"\nexpect.reply = "x"\n') == [
        "- reply",
        "-   x",
        "+ reply subject We got HF00000001",
        "+   x",
        "acting: 'it'",
    ]


def test_each_choice_of_the_new_value_of_a_field_counts(folder: Path) -> None:
    rules = rule('when.to = "North"\nwhen.fields.Region = "South"\nadd_tags = ["n"]', on="field-changed")
    test = 'event = { kind = "field-changed", field = "Region", to = ["North", "South"] }\nexpect.add_tags = ["n"]\n'
    assert differences(folder, rules, test) == []


def test_an_event_without_the_text_that_a_rule_needs_says_so(folder: Path) -> None:
    test = 'ticket.text = "refund"\nevent = "contact-replied"\nexpect.add_tags = ["refund"]\n'
    assert differences(folder, REFUNDS, test) == [
        "- add_tags refund",
        "rule 'refunds' does not act: text does not match refund",
        'the event has no text: write event = { kind = "contact-replied", text = "..." }',
    ]


def test_nothing_means_that_no_rule_acts(folder: Path) -> None:
    test = 'ticket.text = "{}"\nevent = "ticket-created"\nexpect = "nothing"\n'
    assert differences(folder, REFUNDS, test.format("hello")) == []
    assert not report(folder, REFUNDS, test.format("refund")).passed


def test_only_rules_can_be_expected(folder: Path) -> None:
    test = 'ticket.text = "refund"\nevent = "ticket-created"\nexpect.rules = {}\n'
    assert differences(folder, REFUNDS, test.format('["refunds"]')) == []
    assert differences(folder, REFUNDS, test.format("[]")) == ["+ rule 'refunds' acts", "acting: 'refunds'"]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ('remove_tags = ["a"]', 'expect.remove_tags = ["A"]'),
        ('reply = { text = "Dear {{ ticket.contact.first_name }}", cc = ["a@b.example"] }',
         'expect.reply = { text = "dear sam", cc = ["a@b.example"] }'),
        ('move = { category = "Billing", note = "Please check." }',
         'expect.move = { category = "billing", note = "check" }'),
        ('move = "Billing"', 'expect.move = "Billing"'),
        ('forward = { to = "a@b.example", subject = "Re: {{ ticket.subject }}", message = "One\\nTwo" }',
         'expect.forward = { to = ["a@b.example"], subject = "help", message = "two" }'),
        ('subscribe = ["Ada King", 7]', 'expect.subscribe = [7, "ada king"]'),
        ('set.due_date = "3d"', 'expect.set.due_date = 2026-01-08'),
        ('set.due_date = "3d"', 'expect.set.due_date = "3d"'),
        ('set.assignee = ""', 'expect.set.assignee = ""'),
        ('set.fields.Plan = "{{ ticket.priority.name }}"', 'expect.set.fields.Plan = "Medium"'),
        ('set.fields.Count = 3', 'expect.set.fields.Count = "3"'),
        ('note = { text = "a", time_spent = 5 }', 'expect.note = { text = "a", time_spent = 5 }'),
    ],
)  # fmt: skip
def test_each_action_is_expected_as_it_is_written(folder: Path, action: str, expected: str) -> None:
    test = f'ticket.tags = ["a"]\nevent = "ticket-created"\n{expected}\n'
    assert differences(folder, rule(action), test) == []


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ('reply = { text = "Hi", cc = ["a@b.example"] }', 'expect.reply = "Hi"'),
        ('note = "Hi"', 'expect.note = { text = "Hi", time_spent = 5 }'),
        ('move = "Billing"', 'expect.move = "Sales"'),
        ('note = "Hi"', 'expect.reply = "Hi"'),
        ('set.status = "Open"', 'expect.set.priority = "Open"'),
    ],
)
def test_another_value_is_missing_and_unexpected(folder: Path, action: str, expected: str) -> None:
    found = report(folder, rule(action), f'event = "ticket-created"\n{expected}\n')
    assert (len(found.missing), len(found.unexpected)) == (1, 1)


def test_several_notes_are_expected_in_a_list_and_the_later_property_wins(folder: Path) -> None:
    rules = rule('note = "One."\nset.status = "A"') + rule('note = "Two."\nset.status = "B"').replace('"it"', '"two"')
    test = 'event = "ticket-created"\nexpect.note = ["one", "two"]\nexpect.set.status = "B"\n'
    assert differences(folder, rules, test) == []
    assert differences(folder, rules, test.replace('"one", ', "")) == ["+ note", "+   One.", "acting: 'it', 'two'"]


@pytest.mark.parametrize(
    ("on", "when", "ticket", "event"),
    [
        ("contact-replied", "when.automatic = true", "", "automatic = true"),
        ("contact-replied", "when.has_attachment = true", "", 'attachments = ["a.pdf"]'),
        ("status-changed", 'when.actor = "rule"', "", 'by = "rule"'),
        ("note-added", 'when.actor = "client"', "", 'by = "client", by_name = "triage"'),
        ("contact-replied", 'when.actor = "client"', "", 'by = "client"'),
        ("status-changed", 'when.from = "New"\nwhen.to = "Closed"', "", 'from = "New", to = "Closed"'),
        ("status-changed", "when.to = 3", "", "to = 3"),
        ("tags-changed", 'when.to = "vip"\nwhen.from = "old"', "", 'to = ["vip"], from = ["old"]'),
        ("field-changed", 'when.to = "Gold"', "", 'field = "Plan", to = "Gold"'),
        ("smart-rule", 'when.rule = "Escalate"', "", 'by_name = "Escalate"'),
        ("moved", 'when.contact_fields.Plan = "Gold"', 'contact_fields = { Plan = "Gold" }', ""),
        ("moved", "when.fields.12 = 5", 'fields = { 12 = 5.0 }', ""),
        ("moved", "when.fields.Day = 2026-03-01", "fields = { Day = 2026-03-01 }", ""),
        ("moved", "when.sla_breached = true\nwhen.unresponded = false", "sla_breaches = 1, unresponded = false", ""),
        ("moved", 'when.status = 3\nwhen.contact_group = "eu"', 'status = 3, groups = ["EU"]', ""),
        ("moved", 'when.hours = "Mon-Fri 09:00-17:00 UTC"', "", ""),
    ],
)  # fmt: skip
def test_a_test_can_meet_each_condition(folder: Path, on: str, when: str, ticket: str, event: str) -> None:
    rules = rule(f'{when}\nadd_tags = ["a"]', on=on)
    body = f'kind = "{on}", {event}'.rstrip(", ")
    expected = 'expect.add_tags = ["a"]\n'
    assert differences(folder, rules, f"ticket = {{ {ticket} }}\nevent = {{ {body} }}\n{expected}") == []
    if ticket or event:
        other = f'event = "{on}"\nticket.unresponded = true\n{expected}'
        assert not report(folder, rules, other).passed


def test_the_time_can_be_set(folder: Path) -> None:
    rules = rule('when.hours = "Mon-Fri 09:00-17:00 UTC"\nadd_tags = ["a"]')
    test = 'event = "ticket-created"\nnow = 2026-01-04T12:00:00Z\nexpect = "nothing"\n'
    assert differences(folder, rules, test) == []


def test_a_schedule_finds_the_ticket_for_its_rules_and_for_no_other(folder: Path) -> None:
    test = 'event = { kind = "scheduled", found_by = "stale" }\nexpect.set.status = "Closed"\n'
    assert differences(folder, SCHEDULED, f"{test}now = 2026-02-01T00:00:00Z\n") == []
    assert "less than 14 d" in "".join(differences(folder, SCHEDULED, f"{test}now = 2026-01-06T00:00:00Z\n"))
    test = 'event = "scheduled"\nticket.modified_at = 2025-12-01T00:00:00Z\nexpect.rules = ["stale", "reminder"]\n'
    assert differences(folder, SCHEDULED, test) == []


def test_mistakes_in_rules_and_tests_are_reported_together(folder: Path) -> None:
    with pytest.raises(LoadError) as error:
        report(folder, REFUNDS.replace("add_tags", "ad_tags"), 'event = "movd"\nexpect = "nothing"\n')
    assert [each.setting for each in error.value.problems] == [
        "rules.toml, line 6, rule 'refunds'",
        "rules.toml, line 12, test 'it'",
    ]
