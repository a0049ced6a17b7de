import logging
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.plugins.actions import Forward, Move, Note, Reply
from workers.plugins.arguments import NameOrId
from workers.plugins.router import Router, Schedule
from workers.rules.checks import ContextCache
from workers.rules.conditions import KEYS
from workers.rules.file import KeyLines, load, read
from workers.rules.rule import RULE_KEYS, RuleReader
from workers.settings import Grants, SettingsError
from workers.testing import NOON, Result, run, ticket
from workers.tickets.change import Change
from workers.tickets.model import Named

CONTRACT = """\
[[rule]]
name = "refunds"
on = ["ticket-created", "contact-replied"]
when.text = 'refund|chargeback'              # subject, text: regular expressions, any case, in single quotes
when.category = ["Billing", "Orders"]         # the rest: equal, any case; a list means any of them
when.not_tag = "refund"                       # not_ turns a condition round
add_tags = ["refund"]
note = "Refund request from {{ ticket.contact.name }}: policy in article 12."
set.status = "In Progress"
set.fields."Refund reason" = "customer asked"
"""
NONE = Grants()
ALL = Grants(frozenset({("rules", grant) for grant in ("reply", "move", "forward", "subscribe")}))


def router(tmp_path: Path, text: str) -> Router:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, ALL)


def rule(body: str, name: str = "it", on: str = "ticket-created") -> str:
    return f'[[rule]]\nname = "{name}"\non = "{on}"\n{body}\n'


def reported(text: str, grants: Grants = ALL) -> list[str]:
    return [
        f"{fault.line}{'!' if fault.warning else ''} {fault.rule}: {fault.problem}; {fault.fix}"
        for fault in read(text, grants).problems
    ]


def done(tmp_path: Path, body: str, **members: Any) -> Result:
    allow = [grant for _, grant in ALL.allow]
    result = run(router(tmp_path, rule(body)), ticket(**members), "ticket-created", allow=allow)
    assert result.failed == {}
    return result


# What rules do


def test_the_rule_of_the_contract_works(tmp_path: Path) -> None:
    rules = router(tmp_path, CONTRACT)
    result = run(rules, ticket(text="I want a REFUND", category="billing", name="Sam"), "ticket-created")
    assert result.tags_added == {"refund"}
    assert result.notes == ("Refund request from Sam: policy in article 12.",)
    assert result.properties == {"status": "In Progress"}
    assert result.fields == {"Refund reason": "customer asked"}
    assert [handler.name for handler in rules.handlers] == ["rules.refunds"]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"text": "hello", "category": "Orders"}, "text does not match refund|chargeback"),
        ({"text": "refund", "category": "Sales"}, "category is Sales, expected Billing or Orders"),
        ({"text": "refund", "category": "Orders", "tags": ["Refund"]}, "tag is refund, which is excluded"),
    ],
)
def test_why_a_rule_did_not_run_is_reported(tmp_path: Path, members: dict[str, Any], reason: str) -> None:
    assert run(router(tmp_path, CONTRACT), ticket(**members), "ticket-created").skipped == {"rules.refunds": reason}


def test_all_matching_rules_run_in_order(tmp_path: Path) -> None:
    text = rule('note = "one"\nset.status = "A"', "B first") + rule('note = "two"\nset.status = "B"', "a second")
    rules = router(tmp_path, text)
    result = run(rules, ticket(), "ticket-created")
    assert (result.notes, result.properties) == (("one", "two"), {"status": "B"})
    assert [handler.function for handler in rules.handlers] == ["b-first", "a-second"]


def test_every_action_is_recorded(tmp_path: Path) -> None:
    body = """
        add_tags = ["a", "b"]
        remove_tags = ["c"]
        reply = "Dear {{ ticket.contact.name }}"
        set = { status = "Open", priority = 3, assignee = "", due_date = 2030-01-02 }
        move = { category = "Billing", note = "for {{ ticket.subject }}" }
        forward = { to = ["a@x.example", "b@x.example"], subject = "Fwd: {{ ticket.subject }}", message = "See\\nit" }
        subscribe = ["Ada", 7]
    """
    result = done(tmp_path, body, name="Sam", subject="Two\nlines", tags=["c"])
    assert (result.tags_added, result.tags_removed) == ({"a", "b"}, {"c"})
    assert result.replies == ("Dear Sam",)
    expected: Mapping[str, NameOrId | None]
    expected = {"status": "Open", "priority": 3, "assignee": None, "due_date": date(2030, 1, 2).isoformat()}
    assert result.properties == expected
    assert Move("Billing", "for Two<br>lines") in result.actions
    assert result.forwards == (Forward(("a@x.example", "b@x.example"), "Fwd: Two lines", "See<br>it"),)
    assert result.subscribed == {"Ada", 7}


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ('"3d"', "2026-01-08"),
        ('"+3d"', "2026-01-08"),
        ('"1 day"', "2026-01-06"),
        ('"2 weeks"', "2026-01-19"),
        ('"0d"', "2026-01-05"),
        ('""', None),
    ],
)
def test_a_due_date_can_be_days_from_today(tmp_path: Path, written: str, day: str | None) -> None:
    assert done(tmp_path, f"set.due_date = {written}").properties == {"due_date": day}


def test_a_reply_can_have_copies_and_both_messages_a_time(tmp_path: Path) -> None:
    body = """
        reply = { text = "Dear {{ ticket.contact.name }}", cc = "a@x.example", bcc = ["b@x.example"], time_spent = 5 }
        note = { text = "Answered.", time_spent = 2 }
    """
    result = done(tmp_path, body, name="Sam")
    assert Reply("Dear Sam", True, ("a@x.example",), ("b@x.example",), 5) in result.actions
    assert Note("Answered.", time_spent=2) in result.actions


def test_actions_are_described_with_their_values() -> None:
    body = """
        set = { priority = "High", assignee = "", due_date = 2030-01-02, fields."Refund reason" = "late" }
        add_tags = ["a", "b"]
        note = "Two\\nlines, and more words than a table of rules has room for in one row"
        reply = { text = "Hello", cc = ["a@x.example"] }
        move = { category = "Billing", note = "see" }
    """
    (found,) = read(rule(body), ALL).rules
    assert found.described == (
        "add_tags a, b",
        "note Two lines, and more words than a table of rules has room fo…",
        "reply Hello, cc a@x.example",
        "priority = High",
        "assignee = none",
        "due_date = 2030-01-02",
        "fields.Refund reason = late",
        "move Billing, note see",
    )


def test_messages_may_have_files_a_subject_and_a_survey(tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("Terms")
    about = 'subject = "About {{ ticket.subject }}", survey = true'
    body = f"note = {{ text = 'a', attachments = '{terms}' }}\n"
    body += f"reply = {{ text = 'b', {about}, attachments = ['{terms}'] }}\n"
    result = done(tmp_path, f"{body}set = {{ status = 'Closed', time_spent = 5 }}", subject="Refund")
    [reply] = [each for each in result.actions if isinstance(each, Reply)]
    assert (reply.subject, reply.survey) == ("About Refund", True)
    assert (result.attachments, result.time_spent) == (("terms.txt", "terms.txt"), 5)


def test_people_who_take_turns_are_checked_and_described() -> None:
    found = read(rule('set.assignee = { choose = ["Ada King", 7] }'), ALL)
    assert [each.described for each in found.rules] == [("assignee = choose Ada King, 7",)]
    assert [(each.name.what, each.name.name) for each in found.names] == [
        ("staff member", "Ada King"),
        ("staff member", 7),
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{ choose = [] }", "set.assignee.choose is not a list of people"),
        ('{ choose = "Ada King" }', "set.assignee.choose is not a list of people"),
        ("{ choose = [true] }", "set.assignee is not a staff member"),
        ('{ chose = ["Ada King"] }', "set.assignee has no 'chose'; did you mean 'choose'?"),
        ('{ choose = ["{{ ticket.subject }}"] }', "set.assignee cannot be a template"),
    ],
)
def test_mistakes_in_people_who_take_turns_are_reported(value: str, problem: str) -> None:
    assert problem in "\n".join(reported(rule(f"set.assignee = {value}")))


def test_fields_accept_texts_templates_numbers_flags_lists_and_dates(tmp_path: Path) -> None:
    body = 'set.fields = { Count = 3, Express = true, Several = ["x", "y"], Said = "{{ ticket.subject }}", Gone = "", '
    result = done(tmp_path, f"{body}Day = 2030-01-02 }}", subject="Two\nlines")
    days = {"Day": date(2030, 1, 2)}
    expected = {"Count": 3, "Express": True, "Several": ["x", "y"], "Said": "Two lines", "Gone": "", **days}
    assert result.fields == expected


def test_markup_by_contacts_and_authors_is_escaped(tmp_path: Path) -> None:
    body = 'note = "<i>{{ ticket.subject }}\\nfrom {{ ticket.contact.name }}"\nforward = { to = "a@x.example", '
    body += 'subject = "{{ ticket.subject }}", message = "{{ ticket.contact.name }}" }'
    result = done(tmp_path, body, subject="<script>alert(1)</script>", name="<b>Sam & Co</b>")
    assert result.notes == ("&lt;i&gt;&lt;script&gt;alert(1)&lt;/script&gt;<br>from &lt;b&gt;Sam &amp; Co&lt;/b&gt;",)
    assert result.forwards[0].message == "&lt;b&gt;Sam &amp; Co&lt;/b&gt;"


def test_at_most_64_kb_are_sent(tmp_path: Path) -> None:
    result = done(tmp_path, 'note = "{{ ticket.first_message }}"', text="<é>" * 60_000)
    assert 65_000 < len(result.notes[0].encode()) <= 65_536


def test_a_template_uses_the_change_for_which_the_conditions_hold(tmp_path: Path) -> None:
    changes = [
        Change(kind="status-changed", at=NOON, old=Named(1, "New"), new=Named(2, "Closed")),
        Change(kind="status-changed", at=NOON, old=Named(2, "Closed"), new=Named(3, "Open")),
    ]
    text = rule("when.to = 'Closed'\nnote = 'was {{ change.old.name }}'", on="status-changed")
    assert run(router(tmp_path, text), ticket(), "status-changed", changes=changes).notes == ("was New",)


def test_hours_are_checked_at_the_time_of_the_turn(tmp_path: Path) -> None:
    text = rule("when.not_hours = 'Mon-Fri 09:00-17:00 UTC'\nadd_tags = ['late']")
    rules = router(tmp_path, text)
    assert run(rules, ticket(), "ticket-created", now=NOON).tags_added == set()
    assert run(rules, ticket(), "ticket-created", now=NOON.replace(hour=20)).tags_added == {"late"}


def test_an_empty_text_is_not_written(tmp_path: Path) -> None:
    text = "{% if ticket.assignee %}for {{ ticket.assignee.name }}{% endif %}"
    body = f"note = '{text}'\nreply = '{text}'\nadd_tags = ['x']"
    result = done(tmp_path, body)
    assert (result.notes, result.replies, result.tags_added) == ((), (), {"x"})
    assert done(tmp_path, body, assignee="Ada").notes == ("for Ada",)


# What is wrong

OK = 'add_tags = ["x"]'
MISTAKES = [
    ('colour = "red"\n' + OK, "4 rule 'it': no key 'colour'; there are: "),
    ('add_tag = ["x"]', "4 rule 'it': no key 'add_tag'; did you mean 'add_tags'?"),
    ("text = 'refund'\n" + OK, "4 rule 'it': no key 'text'; write when.text"),
    ("status = 'Open'\n" + OK, "4 rule 'it': no key 'status'; write when.status for a condition, set.status to set it"),
    ("when.txt = 'x'\n" + OK, "4 rule 'it': no condition 'txt'; did you mean 'text'?"),
    (
        "when.add_tags = 'x'\n" + OK,
        "4 rule 'it': no condition 'add_tags'; add_tags is an action: write it without when",
    ),
    ("when = 'x'\n" + OK, "4 rule 'it': when is not a table; write it as when.text = 'refund'"),
    (
        "when.text = '('\n" + OK,
        "4 rule 'it': text: the expression '(' is broken (missing ) at position 1); "
        "close it, or write \\( or \\) for one in the text",
    ),
    (
        'when.text = "\\brefund"\n' + OK,
        "4 rule 'it': text: the expression contains a control character; write it in single quotes, '\\b' inst",
    ),
    ("when.any = [{ tagg = 'x' }]\n" + OK, "4 rule 'it': any 1: no condition 'tagg'; did you mean 'tag'?"),
    (
        "when.hours = 'Mon 9'\n" + OK,
        "4 rule 'it': hours: 'Mon 9' cannot be read as hours; write them as Mon-Fri 09:00-",
    ),
    ("", "1 rule 'it': it has no action; add one, for example add_tags = [\"vip\"]"),
    ('add_tags = "x"', "4 rule 'it': add_tags is not a list of tags; write it as add_tags = [\"vip\"]"),
    (
        'add_tags = ["a\\nb"]',
        "4 rule 'it': 'a\\nb' is not a tag; write each tag in its own quotes, on one line, without commas",
    ),
    (
        'add_tags = ["a,b"]',
        "4 rule 'it': 'a,b' is not a tag; write each tag in its own quotes, on one line, without commas",
    ),
    ('add_tags = ["{{ ticket.id }}"]', "4 rule 'it': add_tags cannot be a template; templates are for note, reply,"),
    ("note = 3", "4 rule 'it': note is not a text; write it as note = \"...\""),
    ("note = ' '", "4 rule 'it': note is empty; write a text, or remove it"),
    ("note = '{{ ticket.contct.name }}'", "4 rule 'it': note: ticket has no 'contct'; did you mean 'contact'?"),
    (
        "reply = '{% for x in y %}{% endfor %}'",
        "4 rule 'it': reply: a loop is not allowed in a template; use",
    ),
    ("set = 'x'", "4 rule 'it': set is not a table; write it as set.status = \"In Progress\""),
    ("set.stats = 'x'", "4 rule 'it': set has no 'stats'; did you mean 'status'?"),
    ("set.status = true", "4 rule 'it': set.status is not a status; write a name in quotes, or a number as an id"),
    ("set.status = ''", "4 rule 'it': set.status is empty; write a name in quotes, or a number as an id, or remove it"),
    ("set.due_date = 'soon'", "4 rule 'it': 'soon' is not a date; write it as 2030-12-31, as \"3d\" or"),
    ('reply = { text = "x", cc = "a" }', "4 rule 'it': 'a' is not an e-mail address; write it as"),
    ('reply = { cc = "a@x.example" }', "4 rule 'it': reply.text is missing; add reply.text = \"...\""),
    (
        'reply = { text = "x", cx = "a@x.example" }',
        "4 rule 'it': reply has no 'cx'; there are: attachments, bcc, cc, subject, survey, text, time_spent",
    ),
    (
        'note = { text = "x", cc = "a@x.example" }',
        "4 rule 'it': note has no 'cc'; there are: attachments, text, time_spent",
    ),
    (
        'note = { text = "x", attachments = ["nowhere.pdf"] }',
        "4 rule 'it': there is no file 'nowhere.pdf'; correct its path, which begins in the folder where",
    ),
    ('reply = { text = "x", survey = 1 }', "4 rule 'it': reply.survey is not true or false; write reply.survey = true"),
    ("set.time_spent = 5", "4 rule 'it': time_spent alone is no change; set a property, or write a note with it"),
    (
        'note = { text = "x", time_spent = "5" }',
        "4 rule 'it': '5' is not a number of minutes; write it as",
    ),
    ('note = { text = "{{ x }}" }', "4 rule 'it': note.text: no variable 'x'"),
    ("set.fields = 'x'", '4 rule \'it\': set.fields is not a table; write set.fields."Name of the field" = "value"'),
    (
        "set.fields.A = {}",
        "4 rule 'it': set.fields.A has no usable value; write a text, a number, true or a list of texts",
    ),
    ("move = 1.5", "4 rule 'it': move is not a category; write a name in quotes, or a number as an id"),
    ("move = { note = 'x' }", "4 rule 'it': move.category is missing; add move.category = \"...\""),
    ("forward = 'a@b.example'", "4 rule 'it': forward is not a table; write it as { to = \"...\", subject"),
    ("forward = { to = 'x', subject = 'x', message = 'x' }", "4 rule 'it': 'x' is not an e-mail address; write it as"),
    ("forward = { to = 'a@b.example', subjct = 'x' }", "4 rule 'it': forward has no 'subjct'; did you mean 'subject'?"),
    ("subscribe = []", "4 rule 'it': subscribe is empty; name a staff member, for example subscribe = [\"Ada King\"]"),
    ("once = 'x'\n" + OK, "4 rule 'it': once is not true or false; write once = true"),
    ("every = '1h'\n" + OK, "4 rule 'it': every cannot be combined with on; remove one of them, or write two rules"),
]


@pytest.mark.parametrize(("body", "mistake"), MISTAKES, ids=[body for body, _ in MISTAKES])
def test_a_mistake_in_a_rule_is_reported_with_line_and_fix(body: str, mistake: str) -> None:
    assert reported(rule(body))[0].startswith(mistake)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (f"[[rule]]\non = 'moved'\n{OK}", '1 rule 1: name is missing; add name = "..."'),
        (f"[[rule]]\nname = 3\non = 'moved'\n{OK}", '2 rule 1: name is not a text; write it as name = "refunds"'),
        (f"[[rule]]\nname = '?!'\non = 'moved'\n{OK}", "2 rule '?!': name has no letters or digits"),
        (f"[[rule]]\nname = 'a'\n{OK}", "1 rule 'a': on is missing; say when it runs: on = ["),
        (f"[[rule]]\nname = 'a'\non = []\n{OK}", "3 rule 'a': on is empty; name a kind"),
        (f"[[rule]]\nname = 'a'\non = [3]\n{OK}", "3 rule 'a': on: 3 is not a kind; write it as"),
        (rule(OK, on="ticket-creatd"), "3 rule 'it': on: no kind 'ticket-creatd'; did you mean 'ticket-created'?"),
        (
            rule(OK, on="scheduled"),
            "3 rule 'it': on: kind 'scheduled' is not allowed here; write every = \"1d\" and find",
        ),
        (rule(OK, on="later"), "3 rule 'it': on: kind 'later' is not allowed here; a rule cannot set a timer"),
        (rule(OK, "It") + rule(OK, "it!"), "6 rule 'it!': the rule on line 2 has the same name; rename one of them"),
        ("[rule]\nname = 'a'", "1 : rule is not a list of tables; write [[rule]], with two pairs of brackets"),
        ("rule = 3", "1 : rule is not a list of tables; write [[rule]], with two pairs of brackets"),
        ("[[rules]]\nname = 'a'", "1 : no key 'rules'; write [[rule]] above each rule"),
        (
            rule('when.text = "\\d+"'),
            "4 : is not valid TOML: unescaped '\\' in a string; write expressions with a back",
        ),
        (
            rule("note = 'a'\nnote = 'b'"),
            "5 : is not valid TOML: cannot overwrite a value: note is on line 4, too; a rule has the same key",
        ),
        (rule("note = "), "4 : is not valid TOML: the value is missing; write a value after =, or remove the line"),
        (rule("note = 'a"), "4 : is not valid TOML: "),
        ("x = " + "[" * 5_000, "1 : is not valid TOML: "),
    ],
)
def test_a_mistake_outside_a_rule_is_reported(text: str, mistake: str) -> None:
    assert any(line.startswith(mistake) for line in reported(text)), reported(text)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("every = '1h'", "find is missing; add find = 'status:\"On Hold\"'"),
        ("find = 'x'", 'every is missing; add every = "1d"'),
        ("older_than = '3d'", "every is missing"),
        ("every = '1h'\nfind = ''", "find is empty; write a search"),
        ("every = '1h'\nfind = 3", "find is empty; write a search"),
        ("every = 'often'\nfind = 'x'", "the period 'often' is not a duration; write it as 30m, 1h or 14d"),
        ("every = 3600\nfind = 'x'", "the period '3600' is not a duration"),
        ("every = '5s'\nfind = 'x'", "the period '5s' is out of range; use 1m to"),
        ("every = '1h'\nfind = 'x'\nolder_than = 'old'", "older_than 'old' is not a duration"),
        ("every = '1h'\nfind = 'x'\nolder_then = '3d'", "no key 'older_then'; did you mean 'older_than'?"),
    ],
)
def test_an_invalid_schedule_is_reported(keys: str, mistake: str) -> None:
    text = f"[[rule]]\nname = 'it'\n{keys}\n{OK}\n"
    assert any(mistake in line for line in reported(text)), reported(text)


def test_a_rule_can_have_a_schedule() -> None:
    (rule,) = read(f"[[rule]]\nname = 'it'\nevery = '1h'\nfind = 'tag:x'\nolder_than = '14d'\n{OK}\n", NONE).rules
    assert rule.every == Schedule(3_600_000, "tag:x", 14 * 86_400_000)
    assert rule.kinds == ("scheduled",)
    assert rule.every.words == "1 h: tag:x, older than 14 d"


def test_all_mistakes_are_reported_even_if_some_toml_is_invalid() -> None:
    text = rule('when.text = "\\d"', "a") + rule("nte = 'x'", "b") + rule("note = ", "c") + rule("every = '1h'", "d")
    assert [line.partition(";")[0] for line in reported(text)] == [
        "4 : is not valid TOML: unescaped '\\' in a string",
        "8 rule 'b': no key 'nte'",
        "12 : is not valid TOML: the value is missing",
        "13 rule 'd': it has no action",
        "16 rule 'd': every cannot be combined with on",
    ]


def test_a_probably_misspelled_tag_is_a_warning() -> None:
    misspelt = rule('when.any = [{ not_tag = ["other", "refnud"] }]\nadd_tags = ["refund"]')
    problem = "when.any checks for the tag 'refnud', but the rules add 'refund'"
    assert reported(misspelt) == [f"4! rule 'it': {problem}; did you mean 'refund'?"]
    assert reported(rule('when.not_tag = "Refund"\nadd_tags = ["refund"]')) == []


@pytest.mark.parametrize("action", ["reply = 'x'", "move = 'x'", "subscribe = ['x']"])
def test_a_missing_grant_is_a_warning(action: str) -> None:
    name = action.partition(" ")[0]
    line = f"4! rule 'it': {name} needs the grant rules:{name}; set FOXHOOKS_ALLOW=rules:{name}"
    assert reported(rule(action), NONE) == [line]
    assert reported(rule(action)) == []


def test_warnings_are_logged_and_do_not_prevent_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(rule("reply = 'x'"))
    assert len(load(path, NONE).handlers) == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "rules.toml, line 4, rule 'it': reply needs the grant rules:reply" in vars(record)["reason"]


def test_mistakes_prevent_the_start(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(rule("reply = 'x'\nnte = 'x'"))
    with pytest.raises(SettingsError) as raised:
        load(path, NONE)
    assert str(raised.value) == "rules.toml, line 5, rule 'it': no key 'nte'; did you mean 'note'?"


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "gone.toml", ALL)
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not valid UTF-8"):
        load(tmp_path / "latin.toml", ALL)


def test_files_from_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_bytes(b"\xef\xbb\xbf" + CONTRACT.replace("\n", "\r\n").encode())
    assert len(load(tmp_path / "rules.toml", ALL).handlers) == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=6) | st.just("{{ x }}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
members = st.sampled_from(
    [*("to", "subject", "message", "category", "note", "status", "assignee", "due_date", "fields")]
)
conditions = st.dictionaries(st.sampled_from([*KEYS, *(f"not_{key}" for key in KEYS)]), anything, max_size=4)
tables = st.dictionaries(
    st.sampled_from(RULE_KEYS) | st.text(max_size=5), anything | conditions | st.dictionaries(members, anything)
)


@given(tables)
def test_every_table_becomes_a_rule_or_has_problems(table: dict[str, Any]) -> None:
    reader = RuleReader(1, table, lambda *path: 1, ContextCache())
    assert (reader.read() is None) == bool(reader.problems)
    assert set(reader.permissions) <= set(table)


@given(st.text() | st.lists(st.sampled_from(CONTRACT.splitlines(keepends=True)), max_size=12).map("".join))
def test_no_text_crashes_the_reader(text: str) -> None:
    found = read(text, NONE)
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in found.problems)


# Lines

CONTENT = '''\
# [[rule]] in a comment
[[rule]]
name = "one" # [[rule]]
when.text = """
[[rule]]
name = "no key"
"""
when.any = [
    { tag = "a" },
    { tag = "]" },
]
set.fields."Refund \\u0072eason" = 'x'

[[ rule ]]
"name" = "two"
[rule.when]
text = \'\'\'
[rule.set]
\'\'\'
[[rule.when.any]]
tag = "a"
[[rule.when.any]]
tag = "b"
[rule.set.fields]
'Plan' = 1
[other]
x = 1
'''

PLACES = [
    (("rule", 0), 2),
    (("rule", 0, "name"), 3),
    (("rule", 0, "when"), 4),
    (("rule", 0, "when", "text"), 4),
    (("rule", 0, "when", "any"), 8),
    (("rule", 0, "when", "any", 1, "tag"), 8),
    (("rule", 0, "set", "fields", "Refund reason"), 12),
    (("rule", 1, "name"), 15),
    (("rule", 1, "when", "text"), 17),
    (("rule", 1, "when", "any", 0, "tag"), 21),
    (("rule", 1, "when", "any", 1, "tag"), 23),
    (("rule", 1, "set", "fields", "Plan"), 25),
    (("rule", 1, "set", "fields", "Nothing"), 24),
    (("other", "x"), 27),
    (("nothing",), 1),
]


@pytest.mark.parametrize(("path", "line"), PLACES, ids=str)
def test_the_line_of_a_key_is_known(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(CONTENT)
    assert KeyLines(CONTENT).of(*path) == line


def test_every_key_is_on_its_line() -> None:
    lines, rows = KeyLines(CONTENT), CONTENT.splitlines()

    def check(table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        for key, value in table.items():
            shown = key.replace("reason", "\\u0072eason")
            assert shown in rows[lines.of(*path, key) - 1]
            if isinstance(value, dict):
                check(value, (*path, key))

    for number, rule in enumerate(tomllib.loads(CONTENT)["rule"]):
        check(rule, ("rule", number))


@pytest.mark.parametrize("content", ["", "\n\n", "[[", "= =", '"', "'''", "[[rule", "a.b..c = 1", "x = [", "\x00"])
def test_invalid_toml_does_not_crash_the_line_numbers(content: str) -> None:
    assert KeyLines(content).of("rule", 0, "name") >= 1
