from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import WHOLE
from workers.happyfox.directory import Directory
from workers.rules.conditions import NameUse
from workers.rules.file import read
from workers.rules.names import lists_of, unknown, unknown_staff
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
    contact_fields=[{"id": 3, "name": "Tier", "type": "choice", "choices": [{"id": 1, "text": "Gold"}]}],
    contact_groups=[{"id": 1, "name": "Big Corp"}],
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
    'when.contact_group = ["big corp"]',
    'when.contact_fields.Tier = "gold"',
    'set.fields = { Amount = "12.5", Day = "2030-01-02" }',
    "note = \"{{ ticket.fields.Plan }} {{ ticket.fields['Reason'] }} {{ ticket.contact.fields['Tier'] }}\"",
    'note = \'{% if ticket.status.name == "New" or ticket.fields.Plan == "Gold" %}x{% endif %}\'',
    'note = \'{% if "Big Corp" in ticket.contact.groups and "N" in ticket.status.name %}x{% endif %}\'',
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
    (
        'when.contact_group = "Big Crop"',
        "4 when.contact_group: no contact group 'Big Crop' in acme; did you mean 'Big Corp'",
    ),
    (
        'when.contact_fields.Teir = "x"',
        "4 when.contact_fields.Teir: no contact field 'Teir' in acme; did you mean 'Tier'",
    ),
    ('when.contact_fields.Tier = "Glod"', "4 when.contact_fields.Tier: no choice of the field 'Tier' 'Glod'"),
    ("when.fields.Amount = 'many'", "4 when.fields.Amount: the field 'Amount' is a number, not 'many'; write a number"),
    ("set.fields.Amount = true", "4 set.fields.Amount: the field 'Amount' is a number, not True"),
    (
        "set.fields.Day = 'tomorrow'",
        "4 set.fields.Day: the field 'Day' is a date, not 'tomorrow'; write a date without",
    ),
    ("set.fields.Day = 3", "4 set.fields.Day: the field 'Day' is a date, not 3"),
    ("when.not_fields.Day = '31.12.2030'", "4 when.not_fields.Day: the field 'Day' is a date"),
    ("set.fields.Reason = ['a', 'b']", "4 set.fields.Reason: the field 'Reason' is a text, not a list"),
    ("note = '{{ ticket.fields[\"Resaon\"] }}'", "4 note: no field 'Resaon' in acme; did you mean 'Reason'?"),
    ("note = '{{ ticket.fields.Resaon }}'", "4 note: no field 'Resaon' in acme; did you mean 'Reason'?"),
    ("note = '{{ ticket.contact.fields[\"Teir\"] }}'", "4 note: no contact field 'Teir' in acme"),
    ("set.fields.Reason = '{{ ticket.fields.Paln }}'", "4 set.fields.Reason: no field 'Paln' in acme"),
    ("note = '{% if ticket.status.name == \"Nwe\" %}x{% endif %}'", "4 note: no status 'Nwe' in acme; did you mean"),
    ("note = '{% if \"Hihg\" != ticket.priority.name %}x{% endif %}'", "4 note: no priority 'Hihg' in acme"),
    ("note = '{% if \"Big Crop\" in ticket.contact.groups %}x{% endif %}'", "4 note: no contact group 'Big Crop'"),
    ('note = \'{{ "a" if ticket.fields.Plan == "Glod" else "b" }}\'', "4 note: no choice of the field 'Plan' 'Glod'"),
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


@pytest.mark.parametrize(
    ("find", "fault"),
    [
        ('status:"New","Opne"', "no status 'Opne' in acme"),
        ("priority:Hihg tag:x", "no priority 'Hihg' in acme; did you mean 'High'?"),
        ('group:"Big Crop"', "no contact group 'Big Crop' in acme"),
        ('"Paln":"Gold"', "no field 'Paln' in acme; did you mean 'Plan'?"),
        ("Paln:Gold", "no field 'Paln' in acme"),
    ],
)
def test_the_names_in_a_search_are_checked(find: str, fault: str) -> None:
    text = f"[[rule]]\nname = 'it'\nevery = '1d'\nfind = '{find}'\nadd_tags = ['x']\n"
    (found,) = unknown(read(text, Grants()).names, DIRECTORY, "acme")
    assert f"{found.line} {found.problem}; {found.fix}".startswith(f"4 find: {fault}")


@pytest.mark.parametrize(
    "find",
    [
        'status:"in progress" assignee:Ada group:none "Tier":"Gold" City:x',
        'last-modified-before:"2030/01/02" unresponded:true tag:x refund',
    ],
)
def test_known_names_in_a_search_are_accepted(find: str) -> None:
    text = f"[[rule]]\nname = 'it'\nevery = '1d'\nfind = '{find}'\nadd_tags = ['x']\n"
    assert list(unknown(read(text, Grants()).names, DIRECTORY, "acme")) == []


def test_only_the_lists_that_are_needed_are_read() -> None:
    assert lists_of([NameUse("status", "New", ())]) == tuple(Directory.LISTS)
    assert lists_of([NameUse("contact group", "x", ())])[5:] == ("contact_groups",)
    assert lists_of([NameUse("contact field", "x", ()), NameUse("field", "x", ())])[5:] == ("contact_fields",)


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
