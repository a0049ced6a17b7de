from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import WHOLE
from workers.happyfox.directory import Directory
from workers.rules.file import read
from workers.rules.names import unknown, unknown_staff
from workers.settings import Grants, load

DIRECTORY = Directory(
    staff=[{"id": 7, "name": "Ada King", "email": "ada@desk.example", "active": True}],
    statuses=[{"id": 1, "name": "New"}, {"id": 2, "name": "In Progress"}],
    priorities=[{"id": 1, "name": "High"}],
    categories=[{"id": 1, "name": "Billing"}],
    fields=[
        {"id": 1, "name": "Plan", "type": "choice", "choices": [{"id": 1, "text": "Gold"}, {"id": 2, "text": "Free"}]},
        {"id": 2, "name": "Reason", "type": "text"},
        {"id": 12, "name": "City", "type": "text", "categories": [{"category": 1}]},
        {"id": 15, "name": "City", "type": "text", "categories": [{"category": 2}]},
        {"id": 16, "name": "Amount", "type": "number"},
        {"id": 17, "name": "Day", "type": "date"},
    ],
)
GOOD = [
    'when.status = ["new", 2]',
    'when.not_status = "New"',
    'when.assignee = ["ada king", "ada@desk.example", 7, ""]',
    'when.fields.Plan = "Gold"',
    'when.fields.Plan = ""',
    'when.fields.12 = "x"',
    'set.fields."City (Billing)" = "x"',
    "when.fields = { Amount = 2.5, Day = 2026-03-01 }",
    'when.any = [{ category = "Billing" }, { tag = "anything" }]',
    'set.priority = "high"',
    'set.assignee = ""',
    'set.fields = { Plan = "Gold", Reason = "{{ ticket.subject }}" }',
    'subscribe = ["Ada King"]',
    'move = "Billing"',
]
BAD: list[tuple[str, str]] = [
    (
        'when.status = "Nwe"',
        "4 when.status: no status 'Nwe' in acme; did you mean 'New'? (there are: In Progress, New)",
    ),
    ('when.not_status = "Gone"', "4 when.not_status: no status 'Gone' in acme; there are: In Progress, New"),
    ("when.priority = 9", "4 when.priority: no priority 9 in acme; there are: High"),
    ('when.any = [{ category = "Biling" }]', "4 when.any: no category 'Biling' in acme; did you mean 'Billing'?"),
    (
        'set.fields.City = "x"',
        "4 set.fields.City: 2 fields are named 'City': 12 (Billing) and 15 (2); write the id in place of the name",
    ),
    ('when.fields.Paln = "x"', "4 when.fields.Paln: no field 'Paln' in acme; did you mean 'Plan'?"),
    (
        'when.fields.Plan = "Gould"',
        "4 when.fields.Plan: no choice of the field 'Plan' 'Gould' in acme; did you mean 'Gold'",
    ),
    ('set.status = "In Progres"', "4 set.status: no status 'In Progres' in acme; did you mean 'In Progress'?"),
    ('set.assignee = "Ada Kong"', "4 set.assignee: no staff member 'Ada Kong' in acme; did you mean 'Ada King'?"),
    (
        'set.fields.Plan = "Silver"',
        "4 set.fields.Plan: no choice of the field 'Plan' 'Silver' in acme; there are: Free",
    ),
    ('move = "Sales"', "4 move.category: no category 'Sales' in acme; there are: Billing"),
    ('subscribe = ["Bob"]', "4 subscribe: no staff member 'Bob' in acme; there are: Ada King"),
]


def reported(line: str, on: str = "ticket-created") -> list[str]:
    text = f'[[rule]]\nname = "it"\non = "{on}"\n{line}\nadd_tags = ["x"]\n'
    found = read(text, Grants(frozenset({("rules", "move"), ("rules", "subscribe")})))
    assert found.problems == ()
    return [f"{each.line} {each.problem}; {each.fix}" for each in unknown(found.names, DIRECTORY, "acme")]


@pytest.mark.parametrize("line", GOOD)
def test_known_names_are_accepted(line: str) -> None:
    assert reported(line) == []


@pytest.mark.parametrize(("line", "fault"), BAD)
def test_an_unknown_name_is_reported_with_the_nearest_name(line: str, fault: str) -> None:
    (found,) = reported(line)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("status-changed", "status"),
        ("priority-changed", "priority"),
        ("moved", "category"),
        ("assigned", "staff member"),
    ],
)
def test_the_kind_of_change_decides_what_from_and_to_name(kind: str, what: str) -> None:
    (found,) = reported('when.to = "Nothing like it"', kind)
    assert found.startswith(f"4 when.to: no {what} 'Nothing like it' in acme")


def test_from_and_to_are_not_checked_for_several_kinds() -> None:
    text = '[[rule]]\nname = "it"\non = ["moved", "assigned"]\nwhen.to = "x"\nadd_tags = ["x"]\n'
    names: Any = read(text, Grants()).names
    assert list(unknown(names, DIRECTORY, "acme")) == []


@pytest.mark.parametrize(("number", "active", "known"), [(7, True, True), (7, False, False), (8, True, False)])
def test_the_staff_member_we_write_as_has_to_exist_and_be_active(
    tmp_path: Path, number: int, active: bool, known: bool
) -> None:
    member = {"id": 7, "name": "Ada King", "active": active}
    directory = Directory(staff=[member], statuses=[], priorities=[], categories=[], fields=[])
    account = replace(load("worker", WHOLE, tmp_path).accounts["acme"], staff_id=number)
    found = [(problem.setting, problem.problem) for problem in unknown_staff(account, directory)]
    wrong = ("HAPPYFOX_STAFF_ID", f"no active staff member has the id {number}, so HappyFox refuses every write")
    assert found == ([] if known else [wrong])
