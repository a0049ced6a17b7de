"""Warnings about rules and schedules that email too often, twice, or what is private; safe ones cause none."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from workers import Event, Router, Ticket
from workers.handlers import private_note, staff_update
from workers.plugins.actions import PERMISSIONS
from workers.plugins.loading import Loaded, settings_of
from workers.rules.advice import router_warnings
from workers.rules.file import read
from workers.settings import Grants

ALL = Grants(frozenset(("rules", each) for each in PERMISSIONS))
ROOT = Path(__file__).parents[3]
HOURLY = "every = '1h'\nfind = 'status:\"New\"'"
LIST = 'on = ["status-changed", "note-added"]'
PROGRAMS = ("smart-rule", "contact-replied")
FORWARD = 'forward = { to = "a@b.example", subject = "s", message = "m" }'


def rule(*lines: str, name: str = "it") -> str:
    return "\n".join(["[[rule]]", f'name = "{name}"', *lines, ""])


def warned(*rules: str) -> list[str]:
    """Return the problem of each warning, with its line."""
    found = read("".join(rules), ALL)
    assert all(each.warning and each.fix for each in found.problems), found.problems
    return [f"{each.line}: {each.problem}" for each in found.problems]


# Texts that are written as they are


@pytest.mark.parametrize("text", ["{ticket.id}", "${ticket.id}", "[[ticket.id]]", "%ticket.id%", "<ticket.id>"])
@pytest.mark.parametrize(
    "action", ["note = 'Hi {}'", "reply = {{ text = 'Hi {}', subject = 'x' }}", "set.fields.A = '{}'"]
)
def test_a_variable_of_another_product_is_not_replaced(text: str, action: str) -> None:
    (found,) = read(rule("on = 'ticket-created'", action.format(text)), ALL).problems
    assert (found.line, found.warning) == (4, True)
    assert found.problem == f"{text} is no variable: people read it as written"
    assert found.fix == "write {{ ticket.id }}"


def test_variables_and_other_braces_are_fine() -> None:
    assert warned(rule("on = 'ticket-created'", "note = 'a {{ ticket.id }} {x} <b> 5 % of [1]{{change.kind}}'")) == []


@pytest.mark.parametrize(
    ("on", "variable", "when"),
    [
        (HOURLY, "change.text", "a schedule"),
        (HOURLY, "change.new.name", "a schedule"),
        ("on = 'ticket-created'", "change.new.name", "ticket-created"),
        ("on = ['contact-replied', 'status-changed']", "change.added", "contact-replied and status-changed"),
        ("on = 'tags-changed'", "change.field", "tags-changed"),
    ],
)
def test_a_variable_that_no_such_change_has_is_always_empty(on: str, variable: str, when: str) -> None:
    (found,) = warned(rule(on, f"note = 'a {{{{ {variable} }}}}'"))
    assert found.endswith(f"note: {{{{ {variable} }}}} is always empty for {when}")


@pytest.mark.parametrize(
    ("on", "variable"),
    [
        ("on = 'ticket-updated'", "change.new.name"),
        ("on = ['ticket-created', 'status-changed']", "change.new.name"),
        ("on = 'tags-changed'", "change.added"),
        ("on = 'contact-replied'", "change.text"),
        (HOURLY, "ticket.message"),
    ],
)
def test_a_variable_that_some_change_has_is_fine(on: str, variable: str) -> None:
    assert warned(rule(on, f"note = 'a {{{{ {variable} }}}}'")) == []


# Again and again


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ('on = "ticket-updated"', "every change of the ticket sends an email"),
        ('on = "ticket-updated"\nwhen.text = "help"', "every change of the ticket sends an email"),
        ('on = "ticket-updated"\nwhen.not_tag = "answered"', "every change of the ticket sends an email"),
        ('on = "contact-replied"', "an auto-responder, which answers each reply"),
        ('on = ["ticket-created", "contact-replied"]\nwhen.tag = "vip"', "an auto-responder"),
        ('on = "contact-replied"\nwhen.any = [{ automatic = false }, { tag = "vip" }]', "an auto-responder"),
        ('on = "ticket-updated"\nwhen.unresponded = false', "every change of the ticket sends an email"),
        ('on = "ticket-updated"\nwhen.contact_fields.Plan = "Gold"', "every change of the ticket sends an email"),
        ('on = "ticket-updated"\nwhen.not = { tag = "answered" }', "every change of the ticket sends an email"),
        (LIST, "reply emails the contact at each note-added, however often"),
        ('on = "smart-rule"\nwhen.rule = "Overdue"', "reply emails the contact at each smart-rule"),
        ('on = "tags-changed"', "reply emails the contact at each tags-changed"),
        (HOURLY, "every 1h, it emails each ticket that find matches again"),
        (HOURLY + "\nolder_than = '2d'", "every 1h, it emails each ticket that find matches again"),
        (HOURLY + '\nset.status = "New"', "every 1h, it emails each ticket that find matches again"),
        (HOURLY + '\nadd_tags = ["x"]\nwhen.not_tag = "y"', "every 1h, it emails each ticket that find matches again"),
    ],
)
def test_a_reply_that_nothing_ends_is_a_warning(when: str, words: str) -> None:
    lines = when.split("\n")
    (found,) = warned(rule(*lines, 'reply = "Hello."'))
    assert words in found
    assert found.startswith(f"{3 + len(lines)}: ")


@pytest.mark.parametrize("when", [HOURLY, *(f'on = "{kind}"' for kind in ("ticket-updated", *PROGRAMS))])
def test_a_forward_that_nothing_ends_is_a_warning(when: str) -> None:
    assert len(warned(rule(when, FORWARD))) == 1


@pytest.mark.parametrize(
    "brake",
    [
        "once = true",
        'when.not_tag = ["other", "Answered"]\nadd_tags = ["answered"]',
        'when.tag = "ask"\nremove_tags = ["ask"]',
        'when.status = ["New", "Open"]\nset.status = "Closed"',
        'when.not_status = "Closed"\nset.status = "closed"',
        'when.status = "New"\nset.status = 4',
        'when.not_status = 4\nset.status = "Closed"',
        'when.not_priority = "High"\nset.priority = "High"',
        'when.assignee = ""\nset.assignee = "Ada King"',
        'when.category = "Sales"\nmove = "Billing"',
        'when.fields."Answered" = ""\nset.fields."answered" = "{{ change.at|date }}"',
        'when.not_fields."Answered" = "yes"\nset.fields."Answered" = "yes"',
        'when.any = [{ status = "New" }, { not_tag = "x" }]\nset.status = "Open"\nadd_tags = ["x"]',
        'when.not_any = [{ tag = "a" }, { tag = "b" }]\nadd_tags = ["b"]',
    ],
)
@pytest.mark.parametrize("when", [HOURLY, 'on = "ticket-updated"', 'on = "contact-replied"', 'on = "smart-rule"'])
def test_a_condition_that_the_rule_itself_ends_causes_no_warning(when: str, brake: str) -> None:
    assert warned(rule(when, brake, 'reply = "Hello."')) == []


ENDED = rule(HOURLY, 'when.not_tag = "asked"', 'add_tags = ["asked"]', 'reply = "Hello."')
EVERY = "every = '1h'\nfind = 'tag:asked'"


@pytest.mark.parametrize("when", [EVERY, 'on = "smart-rule"', 'on = "ticket-updated"'])
def test_a_rule_that_undoes_the_tag_that_ends_another_is_a_warning(when: str) -> None:
    other = rule(when, 'remove_tags = ["Asked"]', name="b")
    (found,) = warned(ENDED, other)
    assert "rule 'b' undoes the tag that ends its emails" in found
    tagged = rule('on = "smart-rule"', 'when.tag = "ask"', 'remove_tags = ["ask"]', FORWARD)
    assert "rule 'b' undoes the tag" in warned(tagged, rule(when, 'add_tags = ["ask"]', name="b"))[0]


@pytest.mark.parametrize(
    ("when", "action"),
    [
        (EVERY, 'remove_tags = ["other"]'),
        (EVERY, 'add_tags = ["asked"]'),
        (EVERY + "\nolder_than = '30d'", 'remove_tags = ["asked"]'),
        ('on = "contact-replied"', 'remove_tags = ["asked"]'),
        ('on = "tags-changed"\nwhen.actor = "staff"', 'remove_tags = ["asked"]'),
        ('on = "smart-rule"\nonce = true', 'remove_tags = ["asked"]'),
    ],
)
def test_a_rule_that_undoes_a_tag_for_a_person_or_seldom_causes_no_warning(when: str, action: str) -> None:
    assert warned(ENDED, rule(when, action, name="b")) == []


@pytest.mark.parametrize(
    ("find", "action"),
    [
        ('status:"On Hold"', 'set.status = "Closed"'),
        ('status:"New","Open" tag:"x"', 'set.status = "Closed"'),
        ('tag:"remind"', 'remove_tags = ["remind"]'),
        ("assignee:none", 'set.assignee = "Ada King"'),
        ('"Answered":"no"', 'set.fields."Answered" = "yes"'),
        ("unresponded:true", 'note = "x"'),
        ('last-staff-replied-on-or-before:"2026/01/01"', 'note = "x"'),
    ],
)
def test_a_search_that_the_rule_itself_ends_causes_no_warning(find: str, action: str) -> None:
    assert warned(rule("every = '1d'", f"find = '{find}'", action, 'reply = "Hello."')) == []


@pytest.mark.parametrize(
    "when",
    [
        'on = "ticket-created"',
        'on = "contact-replied"\nwhen.automatic = false',
        'on = "contact-replied"\nwhen.not_automatic = true',
        'on = "ticket-updated"\nwhen.actor = "contact"\nwhen.automatic = false',
        'on = "ticket-updated"\nwhen.to = "Closed"',
        "on = \"note-added\"\nwhen.text = '^#thanks'",
        'on = "status-changed"\nwhen.to = "Closed"',
        'on = "field-changed"\nwhen.to = "Shipped"',
        'on = "tags-changed"\nwhen.actor = "staff"',
        'on = "moved"',
    ],
)
def test_a_reply_to_a_person_or_to_few_changes_causes_no_warning(when: str) -> None:
    assert warned(rule(when, 'reply = "Hello."')) == []


def test_rules_without_emails_cause_no_warning() -> None:
    assert (
        warned(rule('on = "ticket-updated"', 'note = "{{ change.text }}"'), rule(HOURLY, 'note = "x"', name="b")) == []
    )
    assert warned(rule('on = "contact-replied"\nwhen.automatic = false', FORWARD)) == []
    assert warned(rule('on = "staff-replied"', FORWARD)) == []


# Two emails


def replying(name: str, when: str) -> str:
    return rule(
        when if when.startswith(("on", "every")) else f'on = "ticket-created"\n{when}', 'reply = "x"', name=name
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('when.tag = "vip"', 'when.status = "New"'),
        ('when.tag = "vip"', 'when.tag = "slow"'),
        ("when.text = 'refund'", "when.text = 'invoice'"),
        ('when.status = ["New", "Open"]', 'when.status = "open"'),
        ('when.any = [{ status = "New" }, { tag = "x" }]', 'when.status = "Open"'),
        ('when.hours = "Mon-Fri 09:00-17:00 Europe/Berlin"', 'when.hours = "Fri 15:00-18:00 UTC"'),
        ('when.not_tag = "a"\nadd_tags = ["a"]', 'when.not_tag = "a"\nadd_tags = ["a"]'),
        ('on = "contact-replied"\nonce = true', 'on = "ticket-updated"\nonce = true'),
        (HOURLY + "\nonce = true", "every = '2h'\nfind = 'status:\"New\" '\nonce = true"),
    ],
)
def test_two_replies_to_one_change_are_a_warning_that_names_both_rules(one: str, other: str) -> None:
    (found,) = read(replying("a", one) + replying("b", other), ALL).problems
    assert found.rule == "rule 'b'"
    assert found.problem.startswith("it can reply to the same change as rule 'a' (line 2): the contact gets two emails")
    assert "exclude each other" in found.fix


def test_a_third_reply_names_both_others() -> None:
    found = warned(*(replying(name, 'when.tag = "vip"') for name in "abc"))
    assert "rule 'a' (line 2) and rule 'b' (line 7): the contact gets three emails" in found[-1]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('when.status = "New"', 'when.status = ["Open", 4]'),
        ('when.category = "Billing"', 'when.category = "Sales"'),
        ('when.category = "Billing"', 'when.not_category = ["billing", "Sales"]'),
        ('when.tag = "vip"', 'when.not_tag = ["vip", "slow"]'),
        ('when.any = [{ tag = "vip" }, { status = "New" }]', 'when.not_tag = "vip"\nwhen.status = "Open"'),
        ('when.any = [{ tag = "vip" }, { status = "New" }]', 'when.not_any = [{ tag = "vip" }, { status = "New" }]'),
        ("when.text = 'refund'", "when.not_text = ['refund', 'invoice']"),
        ('when.fields.Plan = "Gold"', 'when.fields.plan = "Free"'),
        ('when.fields.Plan = "Gold"', 'when.not_fields.Plan = "Gold"'),
        ('when.contact_fields.Plan = "Gold"', 'when.contact_fields.PLAN = "Free"'),
        ("when.unresponded = true", "when.unresponded = false"),
        ('when.tag = "vip"\nwhen.status = "New"', 'when.not = { tag = "vip", status = "New" }'),
        ('when.assignee = ""', 'when.not_assignee = ""'),
        ('when.hours = "Mon-Fri 09:00-17:00 UTC"', 'when.not_hours = "Mon-Fri 09:00-17:00 UTC"'),
        ('when.hours = "Mon-Fri 09:00-17:00 UTC"', 'when.hours = ["17:00-09:00 UTC", "Sat-Sun 00:00-24:00 UTC"]'),
        ('on = "ticket-created"', 'on = "ticket-updated"\nonce = true'),
        ('on = "status-changed"\nwhen.to = "Closed"', 'on = "status-changed"\nwhen.to = "Open"'),
        (HOURLY + "\nonce = true", "every = '1h'\nfind = 'status:\"Open\"'\nonce = true"),
        (HOURLY + "\nonce = true", 'on = "ticket-created"'),
    ],
)
def test_replies_that_exclude_each_other_cause_no_warning(one: str, other: str) -> None:
    assert warned(replying("a", one), replying("b", other)) == []


# Private notes


@pytest.mark.parametrize(
    ("when", "action", "words"),
    [
        (
            'on = "note-added"\nonce = true',
            'reply = "{{ change.text }}"',
            "reply may email a private note to the contact",
        ),
        ('on = "note-added"\nonce = true', "reply = \"{{ change['html']|trim }}\"", "{{ change.html }}"),
        ('on = ["note-added", "contact-replied"]\nonce = true', 'reply = "{{ change.text }}"', "a private note"),
        (
            'on = "ticket-updated"\nwhen.not_actor = "staff"\nonce = true',
            'reply = "{{ change.text }}"',
            "a private note",
        ),
        ('on = "ticket-updated"\nonce = true', 'reply = "{% if ticket.tags %}{{ change.text }}{% endif %}"', "private"),
        (
            'on = "note-added"',
            'forward = { to = "a@b.example", subject = "{{ change.text }}", message = "x" }',
            "forward",
        ),
        (
            'on = "ticket-updated"\nonce = true',
            'forward = { to = "a@b.example", subject = "x", message = "{{ change.attachments }}" }',
            "forward",
        ),
    ],
)
def test_the_text_of_a_note_in_an_email_is_a_warning(when: str, action: str, words: str) -> None:
    (found,) = warned(rule(*when.split("\n"), action))
    assert words in found


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ('on = "contact-replied"', "{{ change.text }}"),
        ('on = "note-added"', "{{ ticket.message }}{{ change.actor.name }}"),
        ('on = "ticket-updated"\nwhen.actor = "contact"', "{{ change.text }}"),
        ('on = "ticket-updated"\nwhen.not_actor = ["staff", "client"]', "{{ change.text }}"),
        ('on = "ticket-updated"\nwhen.to = "Closed"', "{{ change.text }}"),
        ('on = "ticket-updated"', "{% if change.kind == 'contact-replied' %}{{ change.text }}{% endif %}"),
        ('on = "ticket-updated"', "{{ change.text if change.actor.kind == 'contact' else '' }}"),
        ('on = "ticket-updated"', "{% if change.text %}Your ticket has changed.{% endif %}"),
    ],
)
def test_what_the_contact_may_read_causes_no_warning(when: str, text: str) -> None:
    assert warned(rule(when, "once = true", f'reply = "{text}"')) == []


# Schedules of handlers


def reminding(find: str, body: str) -> list[str]:
    """Return the problems of a router with one schedule."""
    router = Router("stale")
    space: dict[str, Any] = {}
    exec(f"def mark(ticket):\n    ticket.add_tags('x')\ndef remind(ticket, event, ctx):\n    {body}\n", space)
    space["remind"].__module__ = space["mark"].__module__ = "stale"
    router.every("1h", find=find)(space["remind"])
    return [f"{each.setting}: {each.problem}" for each in router_warnings(Loaded(router, None))]


def test_a_schedule_that_emails_and_changes_nothing_is_a_warning() -> None:
    (found,) = reminding('status:"New"', "ticket.reply('Hello.')")
    assert found.startswith("stale.remind (<string>, line 3): every 1 h, it emails each ticket that its search finds")


@pytest.mark.parametrize(
    ("find", "body"),
    [
        ('status:"New"', "ticket.reply(f'Your ticket is {ticket.status.name}.')"),
        ('status:"New"', "ticket.reply(', '.join(set(['a'])))"),
        ('status:"New"', "if ticket.priority.name == 'High': ticket.reply('Hello.')"),
        ('status:"New"', "ticket.reply('Hello.'); ticket.note('x'); ticket.set(priority='High')"),
        ('status:"New"', "ticket.reply('Hello.'); print('x', end='status'); dict(status=1)"),
        ('status:"New"', "ticket.reply('Hello.', priority='High' if ticket.id else 'Low')"),
        ('status:"New"', "ticket.reply('Hello.'); ticket.add_tags('x')"),
        ('status:"New"', "ticket.forward(['a@b.example'], 'Hello', ticket.status.name)"),
        ('status:"New"', "ctx.create_ticket(subject='s', category=1, email=ticket.contact.email)"),
        ('status:"New"', "ctx.create_ticket(**{'status': 1})"),
        ("tag:x", "ticket.set(status='Open'); ticket.reply('Hello.')"),
        ("unresponded:true", "ticket.forward(['a@b.example'], 'Hello', 'x')"),
    ],
)
def test_a_schedule_that_changes_nothing_that_it_asks_for_is_a_warning(find: str, body: str) -> None:
    assert len(reminding(find, body)) == 1


@pytest.mark.parametrize(
    ("find", "body"),
    [
        ('status:"New"', "ticket.note('Hello.')"),
        ('status:"New"', "ticket.reply('Hello.'); ticket.set(priority='Low', status='Open' if event else 'Closed')"),
        ('status:"New"', "ticket.reply('Hello.'); ticket.set(**{'status': 'Open'})"),
        ('status:"New"', "ticket.reply('Hello.'); ticket.delete()"),
        ('status:"New" -tag:reminded', "ticket.reply('Hello.'); ticket.add_tags('reminded')"),
        ('"Contract":"Gold"', "ticket.reply('Hello.', fields={'Contract': 'Asked'})"),
        ("created-before:2", "ticket.reply('Hello.'); ticket.set(status='Open')"),
        ('status:"New"', "ctx.create_ticket(subject='s', category=1)"),
        ('status:"New"', "ticket.reply('Hello.', status='Open')"),
        ('status:"New"', "if 'reminded' not in ticket.tags: ticket.reply('Hello.'); ticket.add_tags('reminded')"),
        ('status:"New" -tag:x', "ticket.reply('Hello.'); mark(ticket)"),
        ("unresponded:true", "ticket.reply('Hello.')"),
    ],
)
def test_a_schedule_that_ends_itself_causes_no_warning(find: str, body: str) -> None:
    assert reminding(find, body) == []


def test_handlers_of_changes_cause_no_warning() -> None:
    router = Router("vip")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply("Hello.")

    assert list(router_warnings(Loaded(router, None))) == []


EXAMPLES = [path.stem for path in (ROOT / "examples").glob("*.py") if not path.name.startswith(("test_", "conftest"))]
SNIPPETS = [
    code
    for page in ("README.md", "docs/tutorial.md", "docs/handlers.md")
    for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    if "Router(" in code
]


def test_documented_handlers_cause_no_warning() -> None:
    found = [getattr(importlib.import_module(name), "router", None) for name in EXAMPLES]
    for code in SNIPPETS:
        space: dict[str, Any] = {}
        exec(code, space)
        found.append(space["router"])
    routers = [each for each in found if isinstance(each, Router)]
    assert len(routers) > 5
    assert [each.problem for router in routers for each in router_warnings(Loaded(router, None))] == []


def entries(*match: dict[str, Any]) -> list[str]:
    """Return the warnings about entries of the included router that replies."""
    loaded = Loaded(staff_update.router, settings_of(staff_update.router, {"match": list(match)}))
    return [f"{each.setting}: {each.problem}; {each.fix}" for each in router_warnings(loaded)]


def test_entries_of_settings_are_checked_like_rules() -> None:
    (again,) = entries({"on": "ticket-updated", "reply": "Hello."})
    assert again.startswith("router.staff-update, match 1: every change of the ticket sends an email")
    assert "when." not in again
    created = {"on": "ticket-created", "reply": "Hello."}
    (twice,) = entries({**created, "tag": "vip"}, {"set": {"status": "New"}}, {**created, "status": "New"})
    words = "router.staff-update, match 3: it can reply to the same change as router.staff-update, match 1: the contact"
    assert twice.startswith(words)


def test_safe_entries_of_settings_cause_no_warning() -> None:
    reopen = {"on": "contact-replied", "status": "Closed", "set": {"status": "In Progress"}, "reply": "Hello. {%"}
    assert entries(reopen, {"on": "ticket-updated", "set": {"status": "New"}}) == []
    noting = Loaded(private_note.router, settings_of(private_note.router, {"match": [{"note": "x"}]}))
    assert list(router_warnings(noting)) == []
