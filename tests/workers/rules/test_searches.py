"""Searches that HappyFox reads differently from what was meant are warnings."""

import pytest

from workers.rules.file import read
from workers.rules.rule import RuleProblem
from workers.settings import Grants


def problems(find: str, more: str = "") -> tuple[RuleProblem, ...]:
    text = f"[[rule]]\nname = 'it'\nevery = '1d'\nfind = '''{find}'''\nadd_tags = ['x']\n{more}\n"
    return read(text, Grants()).problems


MISREAD = [
    ("status is On Hold", 'write status:"On Hold"'),
    ('status = "New"', 'write status:"New"'),
    ('status: "New"', 'write status:"New"'),
    ("Status:New OR priority:High", "all terms must hold anyway"),
    ('status:"New" AND tag:x', "all terms must hold anyway"),
    ("status:On Hold", 'write status:"On Hold"'),
    ('status:"On Hold', 'write values with spaces as status:"On Hold"'),
    ("status:'New'", 'write status:"New"'),
    ("last-modified-before:2030-12-31", 'write last-modified-before:"2030/12/31"'),
    ("created-before:7d", 'older_than = "7d"'),
    ("duedate:monday", "there are: today, yesterday"),
    ("unresponded:yes", "write unresponded:true"),
    ("tags:vip", "write tag:"),
    ("requester:sam", "write contact:"),
    ("statsu:New", "did you mean 'status'?"),
]


@pytest.mark.parametrize(("find", "fix"), MISREAD)
def test_a_search_that_is_read_differently_is_a_warning(find: str, fix: str) -> None:
    found = problems(find)[0]
    assert fix in found.fix
    assert (found.line, found.warning) == (4, True)


@pytest.mark.parametrize(
    "find",
    [
        'status:"On Hold","New" -tag:reminded',
        "refund status:New",
        'assignee:none duedate:"next 7 days" unresponded:true',
        'last-staff-replied-on-or-before:"2030/01/01"',
        '"Refund reason":"late" Plan:Gold',
        "what is this",
    ],
)
def test_searches_that_happyfox_knows_are_accepted(find: str) -> None:
    assert problems(find) == ()


def test_the_colon_of_a_time_or_an_id_is_no_mistake() -> None:
    assert problems('id:DC00000001,2 "Order no":"12:30"') == ()
