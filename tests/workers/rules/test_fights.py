"""Rules that set a property to different values for the same change are a warning; exceptions on purpose are not."""

import pytest

from workers.rules.file import read
from workers.rules.rule import RuleProblem
from workers.settings import Grants

ALL = Grants(frozenset({("rules", "move")}))


def problems(*bodies: str) -> tuple[RuleProblem, ...]:
    moved = 'on = "moved"\n'
    rules = (
        f"[[rule]]\nname = '{name}'\n{'' if body.startswith(('on', 'every')) else moved}{body}\n"
        for name, body in zip("abcdefg", bodies, strict=False)
    )
    return read("".join(rules), ALL).problems


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ('set.priority = "High"', 'set.priority = "Low"', "it sets priority to Low, but for the same change rule 'a'"),
        ('when.tag = "a"\nset.status = "Open"', 'when.priority = "High"\nset.status = "Closed"', "sets status to Open"),
        ('when.tag = "a"\nset.status = "Open"', 'set.status = "Closed"', "sets status to Closed"),
        ('set.fields.Plan = "Gold"', 'set.fields.plan = "Free"', "sets fields.plan to Free"),
        ('set.assignee = ""', 'set.assignee = "Ada King"', "sets assignee to Ada King"),
        ('move = "Billing"', 'move = { category = "Sales" }', "it moves it to Sales"),
        ('add_tags = ["vip"]', 'remove_tags = ["VIP"]', "it removes the tag 'vip'"),
        (
            'on = "moved"\nset.status = "A"',
            'on = ["ticket-updated", "ticket-created"]\nset.status = "B"',
            "sets status to B",
        ),
        ("when.text = 'x'\nset.status = 'A'", "when.text = 'x'\nset.status = 'B'", "sets status to B"),
        ("every = '1h'\nfind = 'tag:x'\nset.status = 'A'", "every = '1d'\nfind = 'tag:x'\nset.status = 'B'", "to B"),
    ],
)
def test_different_values_for_the_same_change_are_a_warning(one: str, other: str, words: str) -> None:
    (found,) = problems(one, other)
    assert words in found.problem
    assert "rule 'a' (line 2)" in found.problem
    assert (found.rule, found.warning) == ("rule 'b'", True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('set.priority = "High"', 'set.priority = "high"'),
        ('set.priority = "High"', "set.priority = 3"),
        ('set.priority = "High"', 'set.status = "Open"'),
        ('set.priority = "Low"', 'when.tag = "vip"\nset.priority = "High"'),
        ('when.tag = "a"\nset.priority = "Low"', 'when.tag = "a"\nwhen.status = "New"\nset.priority = "High"'),
        ('on = "ticket-updated"\nset.priority = "Low"', 'on = "moved"\nset.priority = "High"'),
        ('when.tag = "vip"\nset.priority = "High"', 'when.not_tag = "vip"\nset.priority = "Low"'),
        ('when.status = "New"\nset.priority = "High"', 'when.status = "Open"\nset.priority = "Low"'),
        ("when.text = 'refund'\nset.assignee = 'A'", "when.text = 'invoice'\nset.assignee = 'B'"),
        ("when.subject = 'refund'\nset.assignee = 'A'", "when.text = 'invoice'\nset.assignee = 'B'"),
        ('on = "ticket-created"\nset.status = "A"', 'on = "ticket-updated"\nset.status = "B"'),
        ('set.fields.Said = "{{ ticket.subject }}"', 'set.fields.Said = "x"'),
        ('add_tags = ["a"]', 'remove_tags = ["b"]'),
    ],
)
def test_rules_that_agree_or_are_exceptions_cause_no_warning(one: str, other: str) -> None:
    assert problems(one, other) == ()


def test_one_warning_names_all_others() -> None:
    found = problems(*(f'set.status = "{name}"' for name in "ABCDE"))
    assert len(found) == 4
    assert "rule 'c' (line 10) sets status to C and 1 more rules disagree" in found[-1].problem


def test_schedules_that_undo_each_other_are_a_warning() -> None:
    close = "every = '1h'\nfind = 'status:Open'\nset.status = 'Closed'"
    reopen = "every = '1h'\nfind = 'status:Closed'\nset.status = 'Open'"
    (found,) = problems(close, reopen)
    assert "it undoes what rule 'a' (line 2) does, which then undoes it again" in found.problem
    assert problems(close, f"{reopen}\nonce = true") == ()
    assert problems(close, "every = '1h'\nfind = 'status:Closed'\nadd_tags = ['x']") == ()
