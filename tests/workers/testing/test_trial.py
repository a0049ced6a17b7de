"""Trying rules on a ticket: the change that a rule is tried on, and what it would do."""

import pytest

from tests.support.turns import ADA, BOT, SAM, ticket, update
from workers.rules.file import read
from workers.rules.rule import Rule
from workers.settings import Grants
from workers.testing import NOON
from workers.testing.trial import SAMPLE, change_for, parts, past_changes, try_rule
from workers.tickets.change import KINDS

#: The opening message by the contact, two by Ada and one by foxhooks, two by the contact.
CONVERSATION = ticket(
    update(2, ADA, "One moment", minute=1),
    update(3, SAM, "First", minute=2),
    update(4, SAM, "Last", minute=3),
    update(5, BOT, "Ours", minute=4),
    update(6, ADA, minute=5, status=({"id": 1, "name": "New"}, {"id": 2, "name": "Open"})),
)
PAST = past_changes(CONVERSATION, 7, NOON)  # foxhooks writes as staff member 7


def rules(text: str) -> tuple[Rule, ...]:
    found = read(text, Grants(frozenset({("rules", "reply")})))
    assert [each for each in found.problems if not each.warning] == []
    return found.rules


def rule(on: str, more: str = 'add_tags = ["a"]') -> Rule:
    return rules(f'[[rule]]\nname = "it"\non = "{on}"\n{more}\n')[0]


def scheduled() -> Rule:
    return rules('[[rule]]\nname = "it"\nevery = "1d"\nfind = "x"\nadd_tags = ["a"]\n')[0]


def test_the_past_of_a_ticket_is_what_others_than_foxhooks_did() -> None:
    assert [(change.kind, change.update_id) for change in PAST] == [
        ("ticket-created", 1),
        ("staff-replied", 2),
        ("contact-replied", 3),
        ("contact-replied", 4),
        ("status-changed", 6),
    ]


def test_a_rule_is_tried_on_the_latest_change_of_its_kinds() -> None:
    assert change_for(rule("contact-replied"), "", PAST, CONVERSATION, NOON).text == "Last"
    assert change_for(rule("ticket-updated"), "", PAST, CONVERSATION, NOON).update_id == 6
    assert change_for(rule("ticket-updated"), "contact-replied", PAST, CONVERSATION, NOON).update_id == 4


def test_a_change_that_never_happened_is_imagined_as_it_could_have_led_to_the_ticket() -> None:
    change = change_for(rule("moved"), "", PAST, CONVERSATION, NOON)
    assert (change.update_id, change.new, change.actor.kind) == (None, CONVERSATION.category, "staff")
    assert change_for(rule("ticket-created"), "", (), SAMPLE, NOON).text == SAMPLE.first_message


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_imagined(kind: str) -> None:
    assert try_rule(rule(kind), SAMPLE, change_for(rule(kind), "", (), SAMPLE, NOON), NOON).actions


def test_a_scheduled_rule_is_tried_as_if_its_search_found_the_ticket() -> None:
    change = change_for(scheduled(), "", PAST, CONVERSATION, NOON)
    assert try_rule(scheduled(), CONVERSATION, change, NOON).actions


@pytest.mark.parametrize("kind", ["", "moved"])
def test_no_other_rule_is_triggered_by_a_schedule_nor_a_scheduled_one_by_a_change(kind: str) -> None:
    other = scheduled() if kind else rule("ticket-updated")
    change = change_for(other, kind or "scheduled", PAST, CONVERSATION, NOON)
    trial = try_rule(other, CONVERSATION, change, NOON)
    assert trial.actions == ()
    assert trial.reason.startswith(f"not triggered by {kind or 'scheduled'}, only ")


def test_a_rule_that_does_not_act_says_why() -> None:
    change = change_for(rule("moved"), "", (), SAMPLE, NOON)
    assert try_rule(rule("moved", 'when.status = "Open"\nnote = "x"'), SAMPLE, change, NOON).reason == (
        "status is New, expected Open"
    )
    empty = rule("moved", 'note = "{% if ticket.assignee %}x{% endif %}"')
    assert try_rule(empty, SAMPLE, change, NOON).reason == "its texts are empty, so there is nothing to do"


def test_the_parts_of_actions_have_every_value_and_text_in_full() -> None:
    text = "long " * 50
    actions = (
        f'reply = {{ text = """{text}\nend""", cc = ["a@b.example"] }}\nset.fields.Plan = "Gold"\nset.assignee = ""'
    )
    change = change_for(rule("moved"), "", (), SAMPLE, NOON)
    found = list(parts(try_rule(rule("moved", actions), SAMPLE, change, NOON).actions))
    assert [str(part) for part in found] == [
        f"reply cc a@b.example\n{text}\nend",
        "set.assignee = none",
        "set.fields.Plan = Gold",
    ]
    assert [part.permission for part in found] == ["reply", "", ""]
