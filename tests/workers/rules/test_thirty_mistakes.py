"""Thirty rules files with one mistake each, ten of TOML and twenty of meaning: line and correction are reported."""

import pytest

from workers.happyfox.directory import Directory
from workers.rules.file import read
from workers.rules.names import unknown
from workers.settings import Grants

ALL = Grants(frozenset({("rules", "reply"), ("rules", "move")}))
DIRECTORY = Directory(
    staff=[{"id": 7, "name": "Ada King", "email": "ada@desk.example", "active": True}],
    statuses=[{"id": 1, "name": "New"}, {"id": 2, "name": "On Hold"}, {"id": 3, "name": "Closed"}],
    priorities=[{"id": 1, "name": "High"}],
    categories=[{"id": 1, "name": "Billing"}],
    fields=[
        {"id": 1, "name": "Refund reason", "type": "text"},
        {"id": 2, "name": "Delivery date", "type": "date"},
    ],
    contact_fields=[],
    contact_groups=[{"id": 1, "name": "Big Corp"}],
)
#: A valid file in which one line is replaced, or to which one is added.
GOOD = """\
[[rule]]
name = "refunds"
on = "contact-replied"
when.automatic = false
when.text = 'refund'
add_tags = ["refund"]

[[rule]]
name = "stale"
every = "1d"
find = 'status:"On Hold"'
set.status = "Closed"
"""

#: Of each mistake: the line, what is written there, and the correction.
SYNTAX = [
    (2, "name: refunds", 'write name = "refunds"'),
    (2, 'name = "refunds', 'write name = "refunds"'),
    (2, "name = refunds", 'write name = "refunds"'),
    (2, 'name "refunds"', 'write name = "refunds"'),
    (2, "name = \u201crefunds\u201d", 'write name = "refunds"'),
    (6, 'add_tags = ["refund"', 'write add_tags = ["refund"]'),
    (1, "[[rule]", "write [[rule]]"),
    (4, "when.automatic = False", "write when.automatic = false"),
    (5, 'when.text = "\\d refund"', "single quotes: when.text = '\\d refund'"),
    (6, 'add_tags = ["refund"] // mark it', 'write add_tags = ["refund"] # mark it'),
]
MEANING = [
    (3, 'on = "customer-replied"', "did you mean 'contact-replied'?"),
    (4, 'when.contact_group = "Big Crop"', "did you mean 'Big Corp'?"),
    (4, 'when.contact_email = "*@bigcorp.example"', "write when.contact_email_matches = '@bigcorp\\.example$'"),
    (4, 'when.contact_domain = "www.bigcorp.example"', 'write when.contact_domain = "bigcorp.example"'),
    (4, 'when.actor = "staff"', "remove when.actor, or change on"),
    (4, 'when.to = "Closed"', 'use it with on = "status-changed"'),
    (4, 'when.requester = "sam@bigcorp.example"', 'write contact_email = "sam@bigcorp.example"'),
    (4, 'when.tag = "vip*"', 'write each value in a list: when.tag = ["...", "..."]'),
    (5, "when.text = 'refund AND order'", "write '^(?=.*refund)(?=.*order)'"),
    (5, "when.text = 'refund, chargeback'", "write 'refund|chargeback'"),
    (5, "when.text = 'C++'", "write 'C\\+\\+'"),
    (5, "when.not_text = 'refund'\nwhen.whole_text = 'x'\nwhen.text = 'refund'", "remove one of them"),
    (6, "actions = ['x']", "write each action as a key of the rule"),
    (6, "note = \"{{ ticket.fields['Refund reasn'] }}\"", "did you mean 'Refund reason'?"),
    (6, 'set.fields."Delivery date" = "tomorrow"', "write a date without quotes, such as 2030-12-31"),
    (6, 'set.assigned_to = "Ada King"', 'write set.assignee = "Ada King"'),
    (6, 'set.status = "Close"', "did you mean 'Closed'?"),
    (11, 'find = "status is On Hold"', 'write status:"On Hold"'),
    (11, "find = 'status:\"On Hld\"'", "did you mean 'On Hold'?"),
    (3, 'on = "note-added"\nreply = "{{ change.text }}"\nonce = true', "use ticket.message"),
]


def found(text: str) -> list[tuple[int, str]]:
    rules = read(text, ALL)
    problems = [*rules.problems, *unknown(rules.names, DIRECTORY, "acme")]
    return [(each.line, each.fix) for each in problems]


def test_the_file_without_a_mistake_has_no_problems() -> None:
    assert found(GOOD) == []
    assert (len(SYNTAX), len(MEANING)) == (10, 20)


@pytest.mark.parametrize(("line", "written", "correction"), [*SYNTAX, *MEANING], ids=str)
def test_a_mistake_is_reported_with_its_line_and_correction(line: int, written: str, correction: str) -> None:
    rows = GOOD.split("\n")
    rows[line - 1] = written
    if "note-added" in written:
        del rows[3:5]  # conditions on messages of contacts
    problems = found("\n".join(rows))
    assert any(line <= at <= line + 1 and correction in fix for at, fix in problems), problems
    assert len(problems) == 1
