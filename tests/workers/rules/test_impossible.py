"""Conditions that never hold are mistakes; those that may hold are not."""

import pytest

from workers.rules.file import read
from workers.rules.rule import RuleProblem
from workers.settings import Grants


def problems(conditions: str, on: str = "ticket-updated") -> tuple[RuleProblem, ...]:
    when = on if on.startswith("every") else f"on = {on}" if on.startswith("[") else f'on = "{on}"'
    text = f'[[rule]]\nname = "it"\nadd_tags = ["x"]\n{when}\n{conditions}\n'
    return read(text, Grants()).problems


CONTRADICTIONS = [
    ('when.status = "New"\nwhen.not_status = "new"', 6, "when.status and when.not_status exclude each other"),
    ('when.status = ["New", "Open"]\nwhen.not_status = ["Open", "New", "Closed"]', 6, "exclude each other"),
    ('when.tag = "vip"\nwhen.not_tag = ["VIP", "x"]', 6, "when.tag and when.not_tag exclude each other"),
    ("when.text = 'refund'\nwhen.not_text = 'refund'", 6, "when.text and when.not_text exclude each other"),
    ('when.fields.Plan = "Gold"\nwhen.not_fields.plan = "gold"', 6, "when.fields.plan and when.not_fields.plan"),
    ("when.automatic = true\nwhen.not_automatic = true", 6, "when.automatic and when.not_automatic"),
    ("when.unresponded = true\nwhen.any = [{ unresponded = false }]", 6, "when.any and when.unresponded"),
    ('when.status = "New"\nwhen.any = [{ status = "Open" }, { status = "Closed" }]', 6, "so any 1 never holds"),
    ('when.tag = "a"\nwhen.any = [{ not_tag = "a" }, { tag = "b" }]', 6, "so any 1 never holds"),
    ('when.tag = "a"\nwhen.not = { tag = "a" }', 6, "when.not excludes what the other conditions require"),
    (
        'when.hours = "Mon-Fri 09:00-17:00 UTC"\nwhen.not_hours = "Mon-Sun 08:00-18:00 UTC"',
        6,
        "when.hours and when.not_hours exclude each other",
    ),
    ('when.contact_email = "a@b.example"\nwhen.contact_domain = "c.example"', 5, "no address of when.contact_email"),
    ('when.contact_email = "a@b.example"\nwhen.not_contact_domain = "b.example"', 5, "no address of"),
]


@pytest.mark.parametrize(("conditions", "line", "words"), CONTRADICTIONS, ids=[each for each, *_ in CONTRADICTIONS])
def test_conditions_that_exclude_each_other_are_a_mistake(conditions: str, line: int, words: str) -> None:
    found = problems(conditions)[0]
    assert words in found.problem
    assert (found.line, found.warning) == (line, False)
    assert "never" in found.problem
    assert found.fix


@pytest.mark.parametrize(
    ("on", "conditions", "words"),
    [
        ("ticket-created", 'when.to = "Closed"', "ticket-created has no old or new value, so when.to never holds"),
        ("contact-replied", 'when.from = ["New"]', "contact-replied has no old or new value"),
        ("every = '1h'\nfind = 'tag:x'", 'when.to = "Closed"', "a schedule has no old or new value"),
        ('["note-added", "staff-replied"]', 'when.actor = "contact"', "is caused by client or rule or staff"),
        ("contact-replied", 'when.actor = ["staff", "rule"]', "contact-replied is caused by client or contact"),
        ("contact-replied", 'when.not_actor = ["contact", "client"]', "contact-replied is caused by client"),
        ("contact-replied", 'when.rule = "Overdue"', "when.rule needs a change by a smart rule"),
        (
            "every = '1h'\nfind = 'tag:x'",
            "when.automatic = true",
            "when.automatic is about messages of contacts and colleagues",
        ),
    ],
)
def test_conditions_that_no_such_change_fulfils_are_a_mistake(on: str, conditions: str, words: str) -> None:
    (found,) = problems(conditions, on)
    assert words in found.problem.replace("a change of the kind ", "")
    assert not found.warning


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ('when.status = "Open"\nwhen.to = "Closed"', "when.status is the status after the change, which when.to"),
        ('when.status = "New"\nwhen.from = "New"', "but the change is away from it"),
        ('when.from = "New"\nwhen.to = "new"', "when.from and when.to are the same value"),
    ],
)
def test_conditions_that_almost_never_hold_are_a_warning(conditions: str, words: str) -> None:
    (found,) = problems(conditions, "status-changed")
    assert words in found.problem
    assert found.warning


@pytest.mark.parametrize(
    ("on", "conditions"),
    [
        ("ticket-updated", 'when.status = ["New", "Open"]\nwhen.not_status = "New"'),
        ("ticket-updated", 'when.tag = "a"\nwhen.any = [{ tag = "b" }]'),
        ("ticket-updated", 'when.status = "New"\nwhen.any = [{ status = 1 }]'),
        ("ticket-updated", 'when.assignee = "Ada King"\nwhen.any = [{ assignee = "ada@desk.example" }]'),
        ("ticket-updated", 'when.fields.Region = "North"\nwhen.any = [{ fields.Region = "South" }]'),
        ("ticket-updated", "when.text = ['refund', 'return']\nwhen.not_text = 'refund'"),
        ("ticket-updated", 'when.tag = "a"\nwhen.not = { tag = "a", status = "New" }'),
        ("ticket-updated", 'when.contact_email = "a@b.example"\nwhen.contact_domain = ["b.example", "c.example"]'),
        ("tags-changed", 'when.to = "a"\nwhen.any = [{ to = "b" }]'),
        ("ticket-created", 'when.to = ""'),
        ('["ticket-created", "status-changed"]', 'when.to = "Closed"'),
        ("status-changed", 'when.status = "Open"\nwhen.to = ["Open", "New"]'),
        ("status-changed", 'when.status = "Open"\nwhen.to = 3'),
        ("smart-rule", 'when.rule = "Overdue"'),
        ("contact-replied", 'when.actor = "contact"'),
        ("contact-replied", 'when.not_actor = "contact"'),
        ("contact-replied", 'when.actor = "client"'),
        ("note-added", 'when.actor = "client"'),
    ],
)
def test_conditions_that_can_hold_are_accepted(on: str, conditions: str) -> None:
    assert problems(conditions, on) == ()
