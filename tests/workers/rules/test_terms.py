"""Words of other products lead to those of rules."""

import pytest

from workers.rules.file import read
from workers.settings import Grants
from workers.tickets.change import check


def fixes(body: str, on: str = "ticket-created") -> list[str]:
    text = f'[[rule]]\nname = "it"\non = "{on}"\n{body}\n'
    return [f"{each.line} {each.problem}; {each.fix}" for each in read(text, Grants()).problems if not each.warning]


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ('trigger = "ticket_created"', "4 no key 'trigger'; write on = \"ticket-created\""),
        ("actions = ['x']", "4 no key 'actions'; write each action as a key of the rule"),
        ("then = 'x'", "write each action as a key of the rule"),
        ("if = 'x'", 'write each condition as when.status = "New"'),
        ("assign_to = 'Ada'", 'write set.assignee = "Ada King"'),
        ("assignTo = 'Ada'", 'write set.assignee = "Ada King"'),
        ("send_email = 'x'", 'write reply = "..." for the contact'),
        ("group = 'Billing'", "write when.contact_group for a condition; else move ="),
        ("tags = ['x']", 'write when.tag for a condition; else add_tags = ["vip"]'),
        ("enabled = false", "put # before each line"),
        ("when.requester = 'x'", "4 no condition 'requester'; write contact_email = \"sam@bigcorp.example\""),
        ("when.not_requester = 'x'", 'write not_contact_email = "sam@bigcorp.example"'),
        ("when.body = 'x'", "no condition 'body'; write text = 'refund'"),
        ("when.tags = 'x'", "write tag = "),
        ("when.any = [{ organization = 'x' }]", "write contact_group = "),
        ("set.assigned_to = 'x'", "4 set has no 'assigned_to'; write set.assignee = \"Ada King\""),
        ("set.category = 'x'", 'write move = "Billing", without set'),
        ("note = '{{ ticket.requester.name }}'", "4 note: ticket has no 'requester'; write ticket.contact"),
        ("note = '{{ requester.name }}'", "4 note: no variable 'requester'; write ticket.contact"),
        ("note = '{{ ticket.title }}'", "write ticket.subject"),
        ("note = '{{ subject }}'", "write ticket. before it"),
    ],
)
def test_a_word_of_another_product_leads_to_ours(line: str, fix: str) -> None:
    assert fix in fixes(f"{line}\nadd_tags = ['x']")[0]


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("ticket_created", "'ticket-created'?"),
        ("Ticket Created", "'ticket-created'?"),
        ("new-ticket", "'ticket-created'?"),
        ("customer-replied", "'contact-replied'?"),
        ("customer-updated", "'contact-replied'?"),
        ("client-reply", "'contact-replied'?"),
        ("requester_commented", "'contact-replied'?"),
        ("agent-replied", "'staff-replied'?"),
        ("operator-responded", "'staff-replied'?"),
        ("comment-added", "'note-added', 'contact-replied' or 'staff-replied'?"),
        ("internal-comment", "'note-added'?"),
        ("private_note", "'note-added'?"),
        ("ticket-solved", "'status-changed' with when.to = \"Closed\"?"),
        ("ticket-reopened", "'status-changed' with when.to = \"Open\"?"),
        ("ticket.closed", "'status-changed'"),
        ("ticket-assigned", "'assigned'?"),
        ("agent-assigned", "'assigned'?"),
        ("owner-changed", "'assigned'?"),
        ("tag-added", "'tags-changed'?"),
        ("queue-changed", "'moved'?"),
        ("updated", "'ticket-updated'?"),
        ("status-update", "'status-changed'?"),
        ("ticket-creatd", "'ticket-created'?"),
    ],
)
def test_a_kind_of_another_product_leads_to_ours(kind: str, ours: str) -> None:
    with pytest.raises(ValueError, match="no kind") as raised:
        check(kind)
    assert f"did you mean {ours}" in str(raised.value)


@pytest.mark.parametrize("header", ["[[rules]]", "[[trigger]]", "[automation]"])
def test_the_header_of_another_product_leads_to_ours(header: str) -> None:
    (found,) = read(f"{header}\nname = 'x'\n", Grants()).problems
    assert found.fix == "write [[rule]] above each rule"


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("when.assignee = 'Nobody'", "4 assignee: 'Nobody' is no person; write assignee = \"\" for nobody"),
        ("when.not_assignee = 'unassigned'", 'write not_assignee = "" for nobody'),
        ("set.assignee = 'none'", "4 'none' is no person; write set.assignee = \"\" for nobody"),
        ("set.assignee = 'me'", "4 'me' is no person: a rule has no user; write the name"),
        ("set.assignee = ['Ada', 'Lin']", 'take turns, write set.assignee = { choose = ["Ada", "Lin"] }'),
        ("set.due_date = 2030-12-31T10:00:00Z", "has a time; a due date is a day; write set.due_date = 2030-12-31"),
        ("when.priority = 2.5", "4 priority is not a text or a whole number or a list of them"),
        ("when.status = true", "4 status: true is not a name"),
        ("On = 'moved'", "4 no key 'On'; did you mean 'on'?"),
        ("cc = 'a@b.example'", 'write reply = { text = "...", cc = ["sales@example.com"] }'),
        ("later = '2h'", 'write every = "1h" with find and older_than = "3d"'),
        ("at = '09:00'", "write when.hours ="),
        ("reply = { body = 'x' }", "4 reply has no 'body'; write reply.text"),
        ("reply = { text = 'x', files = ['a'] }", 'write reply.attachments = ["terms.pdf"]'),
        ("add_tags = ['a']\nset.assignee = { choose = ['Ada'], by = 1 }", "5 set.assignee has no 'by'"),
        ("add_tags = ['a']\nset.assignee = { people = ['Ada'] }", 'write set.assignee = { choose = ["Ada King", "Lin'),
        ("set.assignee = { choose = ['Ada', 'ADA'] }", "4 set.assignee.choose has 'ADA' twice; name each person once"),
        ("add_tags = ['a', 'X  y']\nremove_tags = ['x Y']", "5 add_tags and remove_tags both have 'X  y'"),
        ("when.text = 'refund (urgent'", r"write \( or \) for one in the text"),
    ],
)
def test_a_value_or_key_that_means_something_else_is_corrected(line: str, fix: str) -> None:
    assert any(fix in each for each in fixes(f"{line}\nnote = 'x'"))


def test_a_breached_agreement_is_no_change() -> None:
    with pytest.raises(ValueError, match=r"no kind 'sla-breached'; no change marks it: .* when.sla_breached = true"):
        check("sla-breached")
