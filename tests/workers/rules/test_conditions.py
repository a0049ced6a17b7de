import logging
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.plugins.loading import FitError
from workers.rules.checks import ConditionResult, ContextCache
from workers.rules.conditions import KEYS, Condition, compile_condition
from workers.testing import NOON, ticket
from workers.tickets.change import Actor, Change, Event, EventKind
from workers.tickets.model import Attachment, Named, TicketRead

SAM = ticket(
    email="Sam@BigCorp.example",
    subject="Broken printer",
    text="I want a REFUND now",
    status="New",
    priority="High",
    category="Orders",
    assignee="Ada King",
    tags=["vip", "Printer"],
    fields={"Refund reason": "late", "Count": 3, "Express": True},
    groups=["Gold", "EU"],
    raw={
        "assigned_to": {"id": 7, "name": "Ada King", "email": "ada@desk.example"},
        "category": {"id": 2, "name": "Orders"},
    },
)
NOBODY = ticket(email="", name="", assignee=None, source="")


def event(*changes: Change) -> Event:
    last = changes[-1]
    return Event(account="test", kind=cast("EventKind", last.kind), at=NOON, changes=changes, matched=changes)


def change(kind: str = "ticket-created", **members: Any) -> Change:
    return Change(kind=kind, at=NOON, **members)


def ask(table: Mapping[str, Any], on: TicketRead = SAM, *changes: Change) -> ConditionResult:
    return compile_condition(table, "test").holds(on, event(*(changes or (change(),))), NOON)


def problems(table: Mapping[str, Any]) -> list[str]:
    with pytest.raises(FitError) as raised:
        compile_condition(table, "rule 1")
    return str(raised.value).splitlines()


HOLD: list[dict[str, Any]] = [
    {"subject": "printer"},
    {"text": "refund|chargeback"},
    {"text": ["nothing", r"\brefund\b"]},
    {"contact_domain": "bigcorp.example"},
    {"contact_domain": "@BIGCORP.example"},
    {"contact_email": "sam@bigcorp.example"},
    {"contact_group": "gold"},
    {"category": ["Billing", "orders"]},
    {"category": 2},
    {"status": " new "},
    {"priority": "HIGH"},
    {"assignee": "ada king"},
    {"assignee": "Ada@desk.example"},
    {"assignee": 7},
    {"tag": "printer"},
    {"source": "tkt_creation_api"},
    {"fields": {"refund REASON": "Late", "Count": 3, "Express": True}},
    {"fields": {"Count": ["2", "3"]}},
    {"fields": {"Unknown": ""}},
    {"hours": "Mon 12:00-13:00 UTC"},
    {"hours": ["Tue 12:00-13:00 UTC", "Mon 12:00-13:00 UTC"]},
    {"fresh": "10m"},
    {"fresh": "1s"},
    {"any": [{"tag": "nothing"}, {"tag": "vip", "status": "New"}]},
    {},
]
FAIL: list[dict[str, Any]] = [
    {"subject": "^printer"},
    {"text": "chargeback"},
    {"contact_domain": "corp.example"},
    {"contact_email": "sam@bigcorp"},
    {"contact_group": "Silver"},
    {"category": "Billing"},
    {"category": 3},
    {"status": ["Closed", "On Hold"]},
    {"priority": "Low"},
    {"assignee": ""},
    {"assignee": 8},
    {"tag": "refund"},
    {"source": "email"},
    {"fields": {"Refund reason": "late", "Count": 4}},
    {"fields": {"Unknown": "x"}},
    {"hours": "Mon 13:00-14:00 UTC"},
    {"any": [{"tag": "nothing"}, {"tag": "vip", "status": "Closed"}]},
]


@pytest.mark.parametrize("table", HOLD, ids=str)
def test_a_condition_holds(table: dict[str, Any]) -> None:
    assert ask(table)


@pytest.mark.parametrize("table", FAIL, ids=str)
def test_a_condition_does_not_hold(table: dict[str, Any]) -> None:
    assert not ask(table)


@pytest.mark.parametrize("table", [each for each in (*HOLD, *FAIL) if len(each) == 1], ids=str)
def test_not_negates_every_condition(table: dict[str, Any]) -> None:
    ((key, value),) = table.items()
    if key != "fields" or len(value) == 1:
        assert bool(ask({f"not_{key}": value})) is not bool(ask(table))


def test_not_fields_negates_each_field() -> None:
    assert not ask({"not_fields": {"Refund reason": "late", "Count": 4}})
    assert ask({"not_fields": {"Refund reason": "early", "Count": 4}})


def test_all_conditions_of_a_table_must_hold() -> None:
    assert ask({"tag": "vip", "status": "New"})
    assert not ask({"tag": "vip", "status": "Closed"})


def test_an_empty_text_matches_a_missing_value() -> None:
    empty = {"assignee": "", "contact_email": "", "contact_domain": "", "source": "", "fields": {"Plan": ""}}
    assert ask(empty, NOBODY)
    assert not ask({"tag": "vip"}, NOBODY)


def test_text_is_the_message_or_the_first_message() -> None:
    reply = change("contact-replied", text="It is a chargeback")
    assert ask({"text": "chargeback", "not_text": "refund"}, SAM, reply)
    assert ask({"text": "refund"}, SAM, change("status-changed"))
    assert not ask({"text": "refund"}, SAM, change("contact-replied"))


REPLY = """I do not know.

Best regards,
Sam, Invoice Ltd.

On Mon, Jan 5, 2026 at 10:00 AM Acme <help@acme.example> wrote:
> Do you want a chargeback?
"""


def test_text_is_what_is_new_and_whole_text_is_everything() -> None:
    reply = change("contact-replied", text=REPLY)
    assert ask({"text": "do not know"}, SAM, reply)
    assert ask({"not_text": "chargeback|invoice", "whole_text": "chargeback"}, SAM, reply)
    assert ask({"whole_text": "invoice"}, SAM, reply)
    styled = change("contact-replied", html="<style>.refund { color: red; }</style><p>Hello</p>")
    assert ask({"text": "hello", "not_text": "refund"}, SAM, styled)


def test_the_opening_message_is_read_in_the_same_way() -> None:
    on = ticket(text=REPLY)
    for kind in ("ticket-created", "status-changed"):
        assert ask({"not_text": "chargeback", "whole_text": "chargeback", "text": "know"}, on, change(kind))
    forwarded = ticket(text="From: Sam\nSent: Monday\nTo: me\nSubject: chargeback\n\nA chargeback, please.")
    assert ask({"text": "a chargeback, please"}, forwarded)


def test_the_html_of_the_opening_message_shows_what_is_a_quote() -> None:
    html = "<style>p { color: chargeback; }</style><p>Hello</p><blockquote>chargeback</blockquote>"
    message = {"text": "p chargeback Hello chargeback", "html": html}
    opening = {"update_id": 1, "by": {"type": "user", "id": 1}, "message": message}
    on = ticket(text=message["text"], raw={"updates": [opening]})
    assert ask({"text": "hello", "not_text": "chargeback", "whole_text": "chargeback"}, on, change("status-changed"))


def test_a_message_in_html_is_matched_as_plain_text() -> None:
    reply = change("contact-replied", html="<p>charge<b>back</b> &amp; more</p>")
    assert ask({"text": "chargeback & more"}, SAM, reply)


@pytest.mark.parametrize(
    "text",
    ["charge\nback", "charge\u00a0back", "charge  back", "don\u2019t", "re\u200bfund", "cafe\u0301", "\u0130stanbul"],
)
def test_expressions_find_words_however_a_mail_program_sends_them(text: str) -> None:
    written = "charge back|don't|refund|caf\u00e9|istanbul"
    assert ask({"text": written}, SAM, change("contact-replied", text=f"Please: {text}"))
    assert ask({"subject": written}, ticket(subject=text))


@pytest.mark.parametrize(
    "name", ["Old\u00a0Tag", "old  tag", "OLD TAG", "old\u200b tag", "\u0130stanbul", "O\u2019Hara"]
)
def test_names_are_equal_if_a_person_reads_them_as_equal(name: str) -> None:
    expected = ["old tag", "istanbul", "o'hara"]
    assert ask({"tag": expected}, ticket(tags=[name]))
    assert ask({"category": expected}, ticket(category=name))
    assert ask({"fields": {"Plan": expected}}, ticket(fields={"Plan": name}))


def field(number: int, name: str, value: object, kind: str = "text", **more: object) -> dict[str, object]:
    return {"id": number, "name": name, "type": kind, "value": value, **more}


def with_fields(*fields: dict[str, object], **more: Any) -> TicketRead:
    return ticket(raw={"custom_fields": list(fields), **more})


@pytest.mark.parametrize(
    "regions",
    [
        field(4, "Regions", "North, South", "multiple_choice", value_id=[1, 2]),
        field(4, "Regions", "North,South", "multiple_choice"),
        field(4, "Regions", ["North", "South"], "multiple_choice", value_id=[1, 2]),
        field(4, "Regions", [{"id": 1, "text": "North"}, {"id": 2, "text": "South"}]),
    ],
    ids=str,
)
def test_each_choice_of_several_is_compared(regions: dict[str, object]) -> None:
    on = with_fields(regions)
    assert ask({"fields": {"Regions": "north"}}, on)
    assert ask({"fields": {"Regions": ["East", "South"]}}, on)
    assert ask({"fields": {"Regions": "North, South"}}, on)
    assert not ask({"fields": {"Regions": ["East", "Nor", ""]}}, on)
    assert not ask({"not_fields": {"Regions": "South"}}, on)
    assert ask({"not_fields": {"Regions": "East"}}, on)
    assert not ask({"fields": {"Regions": "North"}}, with_fields(field(4, "Regions", None, "multiple_choice")))


def test_a_comma_in_one_choice_does_not_split_it() -> None:
    on = with_fields(field(3, "Product", "Paper, white", "choice", value_id=8))
    assert ask({"fields": {"Product": "paper, WHITE"}}, on)
    assert ask({"fields": {"Product": 8}}, on)
    assert not ask({"fields": {"Product": ["white", 9]}}, on)


@pytest.mark.parametrize("value", ["100.00", "100", 100, 100.0, " 100.0 ", "0100"])
@pytest.mark.parametrize("expected", [100, 100.0, "100", "100.00"])
def test_numbers_are_compared_as_numbers(value: object, expected: object) -> None:
    on = with_fields(field(2, "Amount", value, "number"))
    assert ask({"fields": {"Amount": expected}}, on)
    assert not ask({"fields": {"Amount": [100.01, "1000", 10]}}, on)


def test_a_text_that_looks_like_a_number_is_a_text() -> None:
    on = with_fields(field(1, "Version", "1.10"))
    assert ask({"fields": {"Version": "1.10"}}, on)
    assert not ask({"fields": {"Version": "1.1"}}, on)
    assert ask({"fields": {"Version": 1.1}}, on)


@pytest.mark.parametrize("value", ["2026-03-01", "2026-03-01 00:00:00", "2026-03-01T00:00:00Z"])
@pytest.mark.parametrize("expected", [date(2026, 3, 1), datetime(2026, 3, 1, 9), "2026-03-01"], ids=str)
def test_dates_are_compared_as_dates(value: str, expected: object) -> None:
    assert ask({"fields": {"Delivery date": expected}}, with_fields(field(5, "Delivery date", value, "date")))
    assert not ask(
        {"fields": {"Delivery date": expected}}, with_fields(field(5, "Delivery date", "2026-03-02", "date"))
    )


def test_from_and_to_compare_values_as_what_they_are() -> None:
    on = with_fields(
        field(2, "Amount", "100.00", "number"),
        field(4, "Regions", ["North", "South"], "multiple_choice"),
        field(5, "Delivery date", "2026-03-01", "date"),
    )

    def changed(name: str, old: str, new: str) -> Change:
        return change("field-changed", field=name, old=Named(None, old), new=Named(None, new))

    assert ask({"from": 99, "to": 100}, on, changed("Amount", "99.00", "100.00"))
    assert ask({"to": "100"}, on, changed("Amount", "99.00", "100.00"))
    assert ask({"to": "South", "not_from": "South"}, on, changed("Regions", "North", "North, South"))
    assert ask({"to": date(2026, 3, 1)}, on, changed("Delivery date", "2026-02-01", "2026-03-01"))
    due = change("due-date-changed", old=None, new=Named(None, "2026-03-01"))
    assert ask({"to": date(2026, 3, 1), "from": ""}, SAM, due)


CITIES = (field(12, "City", "Berlin"), field(15, "City", "Paris"))


def test_a_field_whose_name_another_one_has_is_named_by_its_id() -> None:
    on = with_fields(*CITIES)
    assert ask({"fields": {"12": "berlin"}}, on)
    assert ask({"fields": {"15": "Paris"}}, on)
    assert not ask({"fields": {"15": "Berlin"}}, on)


def test_a_field_can_be_named_with_its_category() -> None:
    on = with_fields(CITIES[1], category={"id": 2, "name": "Billing"})
    assert ask({"fields": {"City (billing)": "Paris"}}, on)
    assert not ask({"fields": {"City (Orders)": "Paris"}}, on)
    assert ask({"fields": {"City (Orders)": ""}}, on)


@pytest.mark.parametrize("table", [{"fields": {"City": "Paris"}}, {"not_fields": {"city": "Paris"}}], ids=str)
def test_an_ambiguous_name_never_holds_and_names_both(table: Any, caplog: pytest.LogCaptureFixture) -> None:
    condition = compile_condition(table, "rule 'x'")
    with caplog.at_level(logging.WARNING):
        results = [condition.holds(with_fields(*CITIES), event(change()), NOON) for _ in range(2)]
    assert [result.holds for result in results] == [None, None]
    (record,) = caplog.records
    for said in (results[0].reason, vars(record)["reason"]):
        assert "2 fields are named" in said
        assert "12 and 15" in said


def test_fields_whose_names_differ_in_case_are_found_by_their_own_spelling() -> None:
    on = with_fields(field(1, "City", "Berlin"), field(2, "CITY", "Paris"))
    assert ask({"fields": {"City": "Berlin", "CITY": "Paris"}}, on)
    assert ask({"fields": {"city": "Paris"}}, on).holds is None


def test_conditions_can_check_the_change() -> None:
    closed = change(
        "status-changed", actor=Actor("rule", 5, "Close stale"), old=Named(1, "New"), new=Named(4, "Closed")
    )
    assert ask({"actor": "rule", "rule": "close STALE", "from": "new", "to": ["Solved", "Closed"]}, SAM, closed)
    assert ask({"rule": 5, "from": 1, "to": 4}, SAM, closed)
    assert not ask({"to": "New"}, SAM, closed)
    assert not ask({"actor": ["staff", "contact"]}, SAM, closed)
    assert ask({"not_rule": "Close stale"}, SAM, change("status-changed", actor=Actor("staff", 5, "Close stale")))


def test_automatic_messages_can_be_told_from_a_persons() -> None:
    automatic = change("contact-replied", automatic=True)
    assert ask({"automatic": True}, SAM, automatic)
    assert not ask({"automatic": True})
    assert ask({"not_automatic": True})
    assert ask({"automatic": False})
    assert ask({"automatic": True}).reason == "automatic message is no, expected yes"
    assert problems({"automatic": "yes"}) == ["rule 1: automatic is not true or false; write automatic = true"]


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("^no-?reply@", "noreply@shop.example"),
        ("^no-?reply@", "No-Reply@shop.example"),
        (r"@(.*\.)?gov\.example$", "ann@tax.gov.example"),
        ("bigcorp|shop", "x@BIGCORP.example"),
    ],
)
def test_an_address_can_be_compared_with_an_expression(pattern: str, address: str) -> None:
    assert ask({"contact_email_matches": pattern}, ticket(email=address))
    assert ask({"not_contact_email_matches": pattern}, ticket(email="sam@example.com"))
    assert ask({"contact_email_matches": pattern}).reason in (
        f"contact_email does not match {pattern}",
        f"contact_email matches {pattern!r}",
    )


def test_fields_of_the_contact_are_compared_like_those_of_the_ticket() -> None:
    values = [field(3, "Plan", "Gold", "choice"), field(2, "Seats", "10.00", "number"), *CITIES]
    on = ticket(fields={"Plan": "Free"}, raw={"user": {"id": 1, "custom_fields": values}})
    assert ask({"contact_fields": {"plan": "gold", "Seats": 10, "12": "Berlin"}, "fields": {"Plan": "free"}}, on)
    assert not ask({"not_contact_fields": {"Plan": "Gold"}}, on)
    assert ask({"contact_fields": {"Nothing": ""}}, on)
    assert ask({"contact_fields": {"City": "Paris"}}, on).holds is None
    assert ask({"contact_fields": {"Plan": "x"}}, on).reason == "contact's field 'Plan' is not x"


def test_the_message_has_an_attachment_or_not() -> None:
    invoice = Attachment(1, "invoice.pdf", "https://files.example/1")
    with_file = change("contact-replied", text="here", attachments=(invoice,))
    assert ask({"has_attachment": True}, SAM, with_file)
    assert ask({"has_attachment": False, "not_has_attachment": True}, SAM, change("contact-replied", text="none"))
    opening = {
        "update_id": 1,
        "by": {"type": "user", "id": 1},
        "message": {"text": "x", "attachments": [{"id": 1, "filename": "x.pdf", "url": "u"}]},
    }
    on = ticket(raw={"updates": [opening]})
    assert ask({"has_attachment": True}, on, change("status-changed"))
    assert ask({"has_attachment": False}, on, change("contact-replied", text="none"))
    assert ask({"has_attachment": True}, ticket(), change("status-changed")).reason == "attachment is no, expected yes"


def test_a_ticket_is_unresponded_or_not() -> None:
    assert ask({"unresponded": True}, ticket(unresponded=True))
    assert ask({"unresponded": False, "not_unresponded": True}, ticket(unresponded=False))


@pytest.mark.parametrize(
    ("sent", "breached"), [(2, True), (1, True), (0, False), (None, False), ("1", True), ([], False)]
)
def test_a_ticket_has_breached_its_sla_or_not(sent: object, breached: bool) -> None:
    on = ticket(raw={"sla_breaches": sent})
    assert bool(ask({"sla_breached": True}, on)) is breached
    assert bool(ask({"sla_breached": False}, on)) is not breached


def test_not_negates_a_whole_table() -> None:
    assert ask({"not": {"tag": "vip", "status": "Closed"}})
    assert not ask({"not": {"tag": "vip", "status": "New"}})
    assert ask({"tag": "vip", "not": {"any": [{"status": "Closed"}, {"priority": "Low"}]}})
    assert problems({"not": "vip"}) == ['rule 1: not is not a table with conditions; write it as { tag = "vip" }']
    assert problems({"not": {"tga": "x"}}) == ["rule 1, not: no condition 'tga'; did you mean 'tag'?"]


@pytest.mark.parametrize("key", ["automatic", "has_attachment", "unresponded", "sla_breached"])
def test_a_condition_that_is_true_or_false_takes_nothing_else(key: str) -> None:
    assert problems({key: "yes"}) == [f"rule 1: {key} is not true or false; write {key} = true"]
    assert problems({f"not_{key}": 1}) == [f"rule 1: not_{key} is not true or false; write not_{key} = true"]


def test_from_and_to_are_the_removed_and_added_tags() -> None:
    tags = change("tags-changed", added=frozenset({"a", "b"}), removed=frozenset({"c"}))
    assert ask({"to": "b", "from": "c"}, SAM, tags)
    assert not ask({"to": "c"}, SAM, tags)


def test_conditions_must_hold_for_the_same_change() -> None:
    ours = change("status-changed", actor=Actor("us"), new=Named(4, "Closed"))
    theirs = change("status-changed", actor=Actor("staff"), new=Named(1, "Open"))
    assert ask({"to": "Closed", "actor": "us"}, SAM, ours, theirs)
    assert not ask({"to": "Closed", "not_actor": "us"}, SAM, ours, theirs)
    assert ask({"not_actor": "us"}, SAM, ours, theirs)
    program = change("status-changed", actor=Actor("client", name="triage"), new=Named(4, "Closed"))
    assert ask({"actor": "client"}, SAM, program)
    assert not ask({"actor": "client"}, SAM, ours, theirs)


def test_rules_for_different_kinds_share_what_they_read() -> None:
    cache, moved, replied = ContextCache(), change("moved"), change("contact-replied", text="Hello")
    one, other = event(moved, replied), event(replied)
    both = cache.contexts(SAM, one, NOON)
    assert [each.change for each in both] == [replied, moved]
    assert cache.contexts(SAM, other, NOON)[0] is both[0]
    assert cache.contexts(SAM, one, NOON)[1] is both[1]
    assert cache.contexts(NOBODY, one, NOON)[0] is not both[0]


def test_no_condition_holds_without_a_matched_change() -> None:
    nothing = Event(account="test", kind="smart-rule", at=NOON, changes=(), matched=())
    assert not compile_condition({}, "test").holds(SAM, nothing, NOON)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"category": "Billing"}, "category is Orders, expected Billing"),
        ({"category": ["Billing", "Returns"]}, "category is Orders, expected Billing or Returns"),
        ({"not_category": ["Orders"]}, "category is Orders, which is excluded"),
        ({"category": "orders"}, "category is orders"),
        ({"contact_domain": "else.example"}, "contact's domain is not else.example"),
        ({"not_tag": "refund"}, "tag is not refund"),
        ({"assignee": ""}, "assignee is not none"),
        ({"text": "chargeback"}, "text does not match chargeback"),
        ({"subject": "printer", "tag": "vip"}, "tag is vip, subject matches 'printer'"),
        ({"fields": {"Count": 4}}, "field 'Count' is not 4"),
        ({"hours": "Tue 00:00-24:00 UTC"}, "the time is outside Tue 00:00-24:00 UTC"),
        ({"any": [{"tag": "a"}, {"tag": "b"}]}, "no alternative holds (tag is not a; tag is not b)"),
        ({}, "there is no condition"),
    ],
)
def test_the_reason_is_plain_text(table: dict[str, Any], reason: str) -> None:
    assert ask(table).reason == reason


def test_a_reason_does_not_quote_the_customer() -> None:
    secret = ticket(
        email="secret@secret.example",
        name="secret",
        subject="secret",
        text="secret",
        assignee="secret",
        tags=["secret"],
        fields={"Plan": "secret"},
        groups=["secret"],
    )
    reported = change(
        "field-changed", old=Named(None, "secret"), new=Named(None, "secret"), actor=Actor("contact", 1, "secret")
    )
    for key in KEYS:
        value: Any = {
            "fields": {"Plan": "x"},
            "any": [{"subject": "x"}],
            "hours": "Tue 00:00-24:00 UTC",
            "fresh": "1m",
            "contact_email": "x@x.example",
            "contact_fields": {"Plan": "x"},
            "not": {"subject": "x"},
            **dict.fromkeys(("automatic", "has_attachment", "unresponded", "sla_breached"), True),
        }.get(key, "x")
        if key == "actor":
            value = "staff"
        for written in (key, f"not_{key}"):
            assert "secret" not in ask({written: value}, secret, reported).reason


def test_a_slow_expression_is_ignored_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    hostile = ticket(text="a" * 60 + "b")
    evil = "(a|aa)+$"
    conditions: list[Condition] = [compile_condition({key: evil}, "rule 'evil'") for key in ("text", "not_text")]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            for condition in conditions:
                assert not condition.holds(hostile, event(change()), NOON)
    assert [vars(record)["reason"] for record in caplog.records] == [
        f"rule 'evil', {key}: {evil!r} took longer than 100 ms; make it simpler" for key in ("text", "not_text")
    ]
    assert not compile_condition({"not_any": [{"text": evil}]}, "test").holds(hostile, event(change()), NOON)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"categry": "x"}, "no condition 'categry'; did you mean 'category'?"),
        ({"not_tga": "x"}, "no condition 'not_tga'; did you mean 'not_tag'?"),
        ({"not_not_tag": "x"}, "no condition 'not_not_tag'; did you mean 'not_tag'?"),
        (
            {"text": "("},
            "text: the expression '(' is broken (missing ) at position 1); "
            "close it, or write \\( or \\) for one in the text",
        ),
        (
            {"text": r"\N{NOPE} a"},
            r"text: the expression '\\N{NOPE} a' is broken (undefined character name at position 8); correct it",
        ),
        ({"text": ""}, "text: an empty expression matches everything; write what to search for, or remove it"),
        (
            {"subject": "\brefund\b"},
            "subject: the expression contains a control character; write it in single quotes, '\\b' instead of \"\\b\"",
        ),
        ({"text": "a{1000000000}"}, "text: the expression repeats something more than 10000 times; write + or *"),
        ({"text": "(a{,999}){999}"}, "text: the expression repeats something more than 10000 times; write + or *"),
        (
            {"text": "x" * 10_001},
            "text: the expression is longer than 10000 characters; split it into a list of several",
        ),
        ({"text": 3}, 'text is not a text or a list of them; write it as text = "..."'),
        ({"status": 1.5}, 'status is not a text or a whole number or a list of them; write it as status = "..."'),
        ({"status": True}, "status: true is not a name; write a name in quotes, or a number as an id"),
        ({"status": ""}, "status: an empty text never holds; name one, or remove it"),
        ({"tag": []}, "tag is an empty list, which never holds; name one, or remove it"),
        ({"contact_domain": 3}, 'contact_domain is not a text or a list of them; write it as contact_domain = "..."'),
        ({"actor": "stafff"}, "actor: no actor 'stafff'; did you mean 'staff'?"),
        ({"fields": "x"}, 'fields is not a table; write fields."Name of the field" = "value"'),
        (
            {"fields": {"Plan": {}}},
            'fields.Plan is not a text, a number or a date or a list of them; write it as fields.Plan = "..."',
        ),
        ({"hours": "Mon 9"}, "hours: 'Mon 9' cannot be read as hours; write them as Mon-Fri 09:00-17:00 Europe/Berlin"),
        ({"fresh": "soon"}, "fresh: 'soon' is not an age; write it as 90s, 10m, 2h or 1d"),
        ({"fresh": 10}, 'fresh is not a text or a list of them; write it as fresh = "..."'),
        ({"any": []}, 'any is not a list of tables; write it as [{ tag = "vip" }, { status = "New" }]'),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_mistake_is_reported_with_a_fix(table: dict[str, Any], problem: str) -> None:
    assert problems(table) == [f"rule 1: {problem}"]


def test_all_mistakes_are_reported_including_those_in_any() -> None:
    assert problems({"categry": "x", "text": ["(", "ok", 3], "any": [{"tga": "x"}, {}, {"tag": "ok"}]}) == [
        "rule 1: no condition 'categry'; did you mean 'category'?",
        "rule 1: text: the expression '(' is broken (missing ) at position 1); "
        "close it, or write \\( or \\) for one in the text",
        'rule 1: text is not a text or a list of them; write it as text = "..."',
        "rule 1, any 1: no condition 'tga'; did you mean 'tag'?",
        'rule 1: any 2 is not a table with conditions; write it as { tag = "vip" }',
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
tables = st.dictionaries(st.sampled_from([*KEYS, *(f"not_{key}" for key in KEYS)]) | st.text(max_size=5), anything)


@given(tables)
def test_every_table_is_compiled_or_refused_with_problems(table: dict[str, Any]) -> None:
    try:
        condition = compile_condition(table, "test")
    except FitError as error:
        assert error.problems  # noqa: PT017
    else:
        assert condition.holds(SAM, event(change()), NOON).reason


@pytest.mark.parametrize(("limit", "holds"), [("2h", True), ("119m", False), (["1m", "3h"], True)])
def test_a_change_is_fresh_until_its_age_is_reached(limit: Any, holds: bool) -> None:
    condition = compile_condition({"fresh": limit}, "test")
    result = condition.holds(SAM, event(change()), NOON + timedelta(hours=2))
    assert result.holds is holds
    assert ("younger" if holds else "older") in result.reason
