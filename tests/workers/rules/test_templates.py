import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import AmbiguousField
from workers.rules.templates import LIMIT, InvalidTemplateError, Template
from workers.rules.variables import FIELDS, FILTERS, LIST, TIME, VARIABLES, TemplateView, views
from workers.testing import NOON, ticket
from workers.tickets.change import Actor, Change, event_for
from workers.tickets.model import Attachment, Named, TicketRead

SAM = ticket(
    name="Sam <b>Doe</b>",
    email="sam@bigcorp.example",
    subject="Help",
    tags=["vip", "eu"],
    fields={"Refund reason": "late"},
    due_date=date(2030, 1, 2),
)
CHANGE = Change(
    kind="status-changed",
    at=NOON,
    actor=Actor("staff", 7, "Ada"),
    old=Named(1, "New"),
    new=Named(2, "Closed"),
    added=frozenset({"b", "a"}),
    attachments=(Attachment(1, "x.pdf", ""),),
)
BARE = Change(kind="ticket-created", at=NOON)
NOBODY = replace(
    ticket(name="", email="", subject="", text="", source=""), assignee=None, created_at=None, modified_at=None
)


def variables(on: TicketRead = SAM, change: Change = CHANGE) -> Mapping[str, TemplateView]:
    event = event_for("acme", frozenset({change.kind}), (change,))
    assert event
    return views(on, event, change)


def fill(source: str, on: TicketRead = SAM, change: Change = CHANGE) -> str:
    return Template(source).render(variables(on, change))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain < text", "plain < text"),
        ("{{ ticket.contact.name }}", "Sam <b>Doe</b>"),
        ("{{ ticket.tags }}, {{ ticket.tags|join(' and ') }}, {{ ticket.tags|first }}", "eu, vip, eu and vip, eu"),
        ("{{ ticket.fields['refund REASON'] }}{{ ticket.fields.Nothing }}", "late"),
        ('{{ ticket.fields["items"] }}{{ ticket.fields.items }}', ""),
        ("{{ ticket.due_date }} {{ ticket.created_at }}", "2030-01-02 2026-01-05 12:00 UTC"),
        ("{{ ticket.created_at|date }} {{ ticket.created_at|time }}", "2026-01-05 12:00"),
        (
            '{{ ticket.created_at|date("Europe/Berlin") }} {{ ticket.created_at|time("Asia/Kolkata") }}',
            "2026-01-05 17:30",
        ),
        (
            '{{ change.at|date("Pacific/Auckland") }} {{ ticket.due_date|date("Pacific/Auckland") }}',
            "2026-01-06 2030-01-02",
        ),
        ("{{ ticket.contact.first_name }}, {{ change.actor.first_name }}{{ ticket.assignee.first_name }}", "Sam, Ada"),
        ("{{ ticket.status.closed }}{{ ticket.unresponded }}", "noyes"),
        ("{{ ticket.assignee.name|default('nobody') }}", "nobody"),
        ("{{ ticket.assignee.name or 'nobody' }}", "nobody"),
        ("{% if ticket.assignee %}a{% elif 'vip' in ticket.tags %}b{% else %}c{% endif %}", "b"),
        ("{{ 'late' if ticket.fields['Refund reason'] == 'late' else '' }}", "late"),
        ("{{ change.old.name }} to {{ change.new.name }} by {{ change.actor.name }}", "New to Closed by Ada"),
        ("{{ change.added }} {{ change.attachments }}", "a, b x.pdf"),
        ("{{ event.kind }} {{ event.account }}", "status-changed acme"),
        ("{{ ticket.subject|upper|truncate(3) }}", "HE…"),
        ("{{ ticket.tags|length }}", "2"),
        ("{# said to nobody #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{% if ticket.assignee %}\na\n{% else %}\nb\n{% endif %}\nc", "b\nc"),
    ],
)
def test_variables_filters_and_if_are_rendered(source: str, text: str) -> None:
    assert fill(source) == text


@pytest.mark.parametrize(
    ("source", "problem", "fix"),
    [
        ("{{ 'a' * 10**9 }}", "arithmetic is not allowed in a template", "use variables, filters and if"),
        ("{{ 9**9**9 }}", "arithmetic is not allowed in a template", ""),
        ("{{ -ticket.id }}", "arithmetic", ""),
        ("{{ ticket.subject ~ 'x' }}", "~ is not allowed", ""),
        ("{{ ticket.__class__ }}", "'__class__' cannot be used", "remove it"),
        ("{{ ticket['__class__'] }}", "'__class__' cannot be used", "remove it"),
        ("{{ ticket.fields.__init__.__globals__ }}", "'__init__' cannot be used", ""),
        ("{{ ticket.subject.upper() }}", "a call is not allowed", ""),
        ("{{ range(9) }}", "a call is not allowed", ""),
        ("{% for tag in ticket.tags %}{{ tag }}{% endfor %}", "a loop is not allowed", ""),
        ("{% set x = 1 %}", "set is not allowed", ""),
        ("{% macro x() %}{% endmacro %}", "a macro is not allowed", ""),
        ("{% block x %}{% endblock %}", "a block is not allowed", ""),
        ("{% include 'x' %}", "include is not allowed", ""),
        ("{% import 'x' as y %}", "import is not allowed", ""),
        ("{% extends 'x' %}", "extends is not allowed", ""),
        ("{% filter upper %}x{% endfilter %}", "this is not allowed", ""),
        ("{% with x = 1 %}{% endwith %}", "this is not allowed", ""),
        ("{{ [1, 2] }}", "a list is not allowed", ""),
        ("{{ ticket.subject[1:2] }}", "takes a name", ""),
        ("{{ ticket is defined }}", "is is not allowed", ""),
        ("{{ ticket.id > 3 }}", "< and > are not allowed", "use ==, !=, in or not in"),
        ("{{ 3 in ticket.tags }}", "in searches for a text", ""),
        (
            '{{ ticket.created_at|date("Europe/Berln") }}',
            "no time zone 'Europe/Berln'",
            "did you mean 'Europe/Berlin'?",
        ),
        ("{{ ticket.created_at|date(ticket.subject) }}", "date has invalid arguments", '|date("Europe/Berlin")'),
        ('{{ ticket.subject|date("Europe/Berlin") }}', "date is for a time", ""),
        ("{{ tickt.id }}", "no variable 'tickt'", "did you mean 'ticket'?"),
        ("{{ self }}", "no variable 'self'", "there are: change, event, ticket"),
        ("{{ ticket.contact.nam }}", "ticket.contact has no 'nam'", "did you mean 'name'?"),
        ("{{ ticket.raw }}", "ticket has no 'raw'", ""),
        ("{{ ticket.subject.x }}", "ticket.subject is a text and has no 'x'", "write ticket.subject"),
        ("{{ ticket.status }}", "ticket.status is not a text", "write ticket.status.name"),
        ("{{ ticket.fields }}", "ticket.fields is not a text", 'write ticket.fields["Name of the field"]'),
        ("{{ ticket.assignee or 'nobody' }}", "ticket.assignee is not a text", "write ticket.assignee.name"),
        ("{{ ticket.subject|uper }}", "no filter 'uper'", "did you mean 'upper'?"),
        ("{{ ticket.subject|safe }}", "no filter 'safe'", ""),
        ("{{ ticket.subject|replace('a', 'b') }}", "no filter 'replace'", ""),
        ("{{ ticket.tags|upper }}", "upper is for a text", "ticket.tags is a list"),
        ("{{ ticket.subject|truncate('x') }}", "truncate has invalid arguments", "write it as |truncate(40)"),
        ("{{ ticket.subject|default }}", "default has invalid arguments", 'write it as |default("there")'),
        ("{{ ticket.subject|join('x') }}", "join is for a list", ""),
        ("{{ 'a' if ticket.assignee }}", "an if without else", 'add else ""'),
        ("{{ none }}", "None is not allowed", ""),
        ("{{ ticket.id", "the template is broken", "write values as {{ ... }}"),
        ("{% if ticket %}", "the template is broken: an if does not end", "write {% endif %} after it"),
        ("{% if ticket.subject = 'x' %}{% endif %}", "the template is broken: = is no comparison", "write =="),
        ("{% endfor %}", "the template is broken: this is no word of a template", "only if, elif, else and endif"),
        ("{% if ticket.tags %}x{% end %}", "an if ends with endif", "write {% endif %}"),
        ("{% if ticket.tags %}x{% elseif ticket.id %}{% endif %}", "else if is one word", "write {% elif"),
        ("{% if ticket.tags %}x{% else if ticket.id %}{% endif %}", "else if is one word", "write {% elif"),
        ("{{#if ticket.tags}}x{{/if}}", "if is written between {% and %}", "write {% if"),
        ("{{ if ticket.tags }}x{{ end }}", "if is written between {% and %}", "write {% if"),
        ("{{ ticket.fields.Order number }}", "a name with blanks needs quotes", 'ticket.fields["Order number"]'),
        ("{% if ticket.subject contains 'x' %}{% endif %}", "contains is no operator", 'write "refund" in'),
        ("{% if ticket.tags && ticket.id %}{% endif %}", "&& and || are no operators", "write and, or"),
        ("{% if ticket.tags || ticket.id %}{% endif %}", "&& and || are no operators", "write and, or"),
        ("{{ ticket.subject|default: 'x' }}", "a filter has its argument in brackets", 'write |default("there")'),
        ("{% if ticket.subject in ['a'] %}{% endif %}", "a list is not allowed", "compare with each"),
        (
            "{% if ticket.status == 'New' %}x{% endif %}",
            "ticket.status is an object, which never equals a text",
            "write ticket.status.name",
        ),
        ("{% if ticket.assignee == '' %}x{% endif %}", "ticket.assignee is an object", "write if not ticket.assignee"),
        ("{% if 'vip' != ticket.tags %}x{% endif %}", "ticket.tags is a list", 'write "vip" in ticket.tags'),
        ("{% if ticket.tags == '' %}x{% endif %}", "ticket.tags is a list", "write if not ticket.tags"),
        (
            "{% if ticket.due_date == '2030-01-02' %}x{% endif %}",
            "ticket.due_date is a time",
            "ticket.due_date|date ==",
        ),
        ("{% if ticket.fields['A'] == 5 %}x{% endif %}", "ticket.fields['A'] is a text", 'write "5", in quotes'),
        ("{% if ticket.id == '5' %}x{% endif %}", "ticket.id is a number", "write ticket.id == 5, without quotes"),
        (
            "{% if ticket.unresponded == 'yes' %}x{% endif %}",
            "ticket.unresponded is yes or no",
            "if ticket.unresponded",
        ),
        ("{{ " + "(" * 51 + "1" + ")" * 51 + " }}", "the template is nested too deeply", "make it simpler"),
        ("{{ " + "(" * 20_000 + " }}", "is broken (unexpected '}', expected ')')", ""),
        ("{{ " + "9" * 5_000 + " }}", "the template is nested too deeply, or has too long a number", ""),
        ("{{ ticket.id }}" + "x" * LIMIT, "the text is longer than 64 kB", "shorten it"),
    ],
    ids=lambda value: value[:40],
)
def test_anything_else_is_refused_when_the_template_is_loaded(source: str, problem: str, fix: str) -> None:
    with pytest.raises(InvalidTemplateError) as raised:
        Template(source)
    reported, reported_fix = raised.value.problems[0]
    assert reported.startswith(problem) or problem in reported
    assert fix in reported_fix


@pytest.mark.parametrize(
    "condition",
    [
        "ticket.fields['Refund reason'] == 'LATE'",
        "'VIP' in ticket.tags",
        "'DOE' in ticket.contact.name",
        "change.new.name in 'closed, solved'",
        "ticket.due_date != ''",
        "change.update_id == ''",
    ],
)
def test_comparisons_ignore_case_and_an_empty_text_is_no_value(condition: str) -> None:
    assert fill(f"{{% if {condition} %}}yes{{% endif %}}") == "yes"
    assert fill(f"{{% if not ({condition}) %}}yes{{% endif %}}") == ""


@pytest.mark.parametrize(
    "source",
    [
        "{% if 'vip' in ticket.tags and event.replay %}{{ ticket.tags|upper }}{% endif %}",
        "{% if not ticket.subject and ticket.due_date|upper == 'X' %}x{% endif %}",
        "{% if false %}{% elif false %}{{ ticket.nothing }}{% endif %}",
        "{{ 'x' or ticket.due_date|lower }}",
        "{% if ticket.id in ticket.tags %}x{% endif %}",
    ],
)
def test_a_mistake_in_a_rarely_taken_branch_is_found(source: str) -> None:
    with pytest.raises(InvalidTemplateError):
        Template(source)


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(InvalidTemplateError) as raised:
        Template("{{ a }}{% if b %}{{ c|d }}{% else %}{{ ticket.e }}{% endif %}{% for x in y %}{% endfor %}")
    assert len(raised.value.problems) == 6


def leaves(shape: Any, word: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        yield (f"{word}.Plan" if shape == FIELDS else word), shape
        return
    for name, inner in shape.items():
        yield from leaves(inner, f"{word}.{name}")


LEAVES = [leaf for name, shape in VARIABLES.items() for leaf in leaves(shape, name)]


@pytest.mark.parametrize(("word", "shape"), LEAVES, ids=str)
def test_no_variable_fails_if_its_value_is_missing(word: str, shape: str) -> None:
    used = [name for name, each in FILTERS.items() if shape in each.accepts and not each.required]
    pieces = [f"{{{{ {word} }}}}", f"{{% if {word} %}}x{{% endif %}}", *(f"{{{{ {word}|{name} }}}}" for name in used)]
    if shape == LIST:
        pieces.append(f"{{{{ 'x' in {word} }}}}")
    for piece in pieces:
        for on, change in ((SAM, CHANGE), (NOBODY, BARE)):
            assert "object at" not in fill(piece, on, change)
    if shape == TIME:
        assert used == ["date", "time"]


def test_rendered_text_has_at_most_64_kb() -> None:
    long = ticket(text="é" * LIMIT)
    assert len(fill("{{ ticket.first_message }}{{ ticket.first_message }}", long).encode()) == LIMIT


BITS = st.sampled_from(
    [
        *("{{", "}}", "{{", "}}", "{%", "%}", "{#", "#}", ".", "|", "(", ")", "[", "]", "'", '"', ",", ":", "\n", "é"),
        *("ticket", "event", "change", "subject", "contact", "name", "fields", "tags", "assignee", "__class__", "none"),
        *("if", "else", "elif", "endif", "for", "in", "not", "and", "or", "set", "is", "true", "raw", "endraw"),
        *("upper", "default", "truncate", "'a'", "1", "9999", "*", "**", "-", "~", "==", "<"),
    ]
)


def test_the_name_of_two_fields_is_an_error_that_names_both() -> None:
    cities = [{"id": 12, "name": "City", "value": "Berlin"}, {"id": 15, "name": "City", "value": "Paris"}]
    on = ticket(raw={"custom_fields": cities})
    assert fill("{{ ticket.fields['15'] }}", on) == "Paris"
    with pytest.raises(AmbiguousField, match="12 and 15"):
        fill("{{ ticket.fields['City'] }}", on)


@given(st.lists(BITS, max_size=25).map(" ".join) | st.text(string.printable, max_size=60))
def test_no_template_crashes_the_loader_and_valid_ones_render(source: str) -> None:
    try:
        template = Template(source)
    except InvalidTemplateError as error:
        assert error.problems  # noqa: PT017
        return
    for each in (variables(), variables(NOBODY, BARE)):
        assert len(template.render(each).encode()) <= LIMIT
