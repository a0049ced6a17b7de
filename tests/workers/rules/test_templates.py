import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.events.change import Actor, Change, event_for
from workers.models.reference import Named
from workers.models.row import Attachment
from workers.models.ticket import TicketRead
from workers.rules.filters import FILTERS
from workers.rules.templates import LIMIT, Template, TemplateFault
from workers.rules.views import FIELDS, LIST, TIME, WORDS, View, views
from workers.testing import NOON, ticket

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


def words(on: TicketRead = SAM, change: Change = CHANGE) -> Mapping[str, View]:
    event = event_for("acme", frozenset({change.kind}), (change,))
    assert event
    return views(on, event, change)


def fill(source: str, on: TicketRead = SAM, change: Change = CHANGE) -> str:
    return Template(source).fill(words(on, change))


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
def test_words_filters_and_if_are_filled(source: str, text: str) -> None:
    assert fill(source) == text


@pytest.mark.parametrize(
    ("source", "problem", "cure"),
    [
        ("{{ 'a' * 10**9 }}", "arithmetic cannot stand in a template", "words, filters and if can"),
        ("{{ 9**9**9 }}", "arithmetic cannot stand in a template", ""),
        ("{{ -ticket.id }}", "arithmetic", ""),
        ("{{ ticket.subject ~ 'x' }}", "~ cannot", ""),
        ("{{ ticket.__class__ }}", "'__class__' cannot be reached", "remove it"),
        ("{{ ticket['__class__'] }}", "'__class__' cannot be reached", "remove it"),
        ("{{ ticket.fields.__init__.__globals__ }}", "'__init__' cannot be reached", ""),
        ("{{ ticket.subject.upper() }}", "a call cannot", ""),
        ("{{ range(9) }}", "a call cannot", ""),
        ("{% for tag in ticket.tags %}{{ tag }}{% endfor %}", "a loop cannot", ""),
        ("{% set x = 1 %}", "set cannot", ""),
        ("{% macro x() %}{% endmacro %}", "a macro cannot", ""),
        ("{% block x %}{% endblock %}", "a block cannot", ""),
        ("{% include 'x' %}", "include cannot", ""),
        ("{% import 'x' as y %}", "import cannot", ""),
        ("{% extends 'x' %}", "extends cannot", ""),
        ("{% filter upper %}x{% endfilter %}", "this cannot", ""),
        ("{% with x = 1 %}{% endwith %}", "this cannot", ""),
        ("{{ [1, 2] }}", "a list cannot", ""),
        ("{{ ticket.subject[1:2] }}", "takes a name", ""),
        ("{{ ticket is defined }}", "is cannot", ""),
        ("{{ ticket.id > 3 }}", "more and less cannot be asked", "there are ==, !=, in and not in"),
        ("{{ 3 in ticket.tags }}", "in looks for a text", ""),
        ("{{ tickt.id }}", "no word 'tickt'", "did you mean 'ticket'?"),
        ("{{ self }}", "no word 'self'", "there are: change, event, ticket"),
        ("{{ ticket.contact.nam }}", "ticket.contact has no 'nam'", "did you mean 'name'?"),
        ("{{ ticket.raw }}", "ticket has no 'raw'", ""),
        ("{{ ticket.subject.x }}", "ticket.subject is a text and has no 'x'", "write ticket.subject"),
        ("{{ ticket.status }}", "ticket.status is no text", "write ticket.status.name"),
        ("{{ ticket.fields }}", "ticket.fields is no text", 'write ticket.fields["Name of the field"]'),
        ("{{ ticket.assignee or 'nobody' }}", "it is no text", "write it.name"),
        ("{{ ticket.subject|uper }}", "no filter 'uper'", "did you mean 'upper'?"),
        ("{{ ticket.subject|safe }}", "no filter 'safe'", ""),
        ("{{ ticket.subject|replace('a', 'b') }}", "no filter 'replace'", ""),
        ("{{ ticket.tags|upper }}", "upper is for a text", "ticket.tags is a list"),
        ("{{ ticket.subject|truncate('x') }}", "truncate is not used rightly", "write it as |truncate(40)"),
        ("{{ ticket.subject|default }}", "default is not used rightly", 'write it as |default("there")'),
        ("{{ ticket.subject|join('x') }}", "join is for a list", ""),
        ("{{ 'a' if ticket.assignee }}", "an if without else", 'add else ""'),
        ("{{ none }}", "None is no word", ""),
        ("{{ ticket.id", "the template is broken", "words stand between {{ and }}"),
        ("{% if ticket %}", "the template is broken", ""),
        ("{{ " + "(" * 20_000 + " }}", "the template is nested too deeply", "make it simpler"),
        ("{{ " + "9" * 5_000 + " }}", "the template is nested too deeply, or has too long a number", ""),
        ("{{ ticket.id }}" + "x" * LIMIT, "the text is longer than 64 kB", "shorten it"),
    ],
    ids=lambda value: value[:40],
)
def test_anything_else_is_refused_when_it_is_loaded(source: str, problem: str, cure: str) -> None:
    with pytest.raises(TemplateFault) as raised:
        Template(source)
    told, told_cure = raised.value.problems[0]
    assert told.startswith(problem) or problem in told
    assert cure in told_cure


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(TemplateFault) as raised:
        Template("{{ a }}{% if b %}{{ c|d }}{% else %}{{ ticket.e }}{% endif %}{% for x in y %}{% endfor %}")
    assert len(raised.value.problems) == 6


def leaves(shape: Any, word: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        yield (f"{word}.Plan" if shape == FIELDS else word), shape
        return
    for name, inner in shape.items():
        yield from leaves(inner, f"{word}.{name}")


LEAVES = [leaf for name, shape in WORDS.items() for leaf in leaves(shape, name)]


@pytest.mark.parametrize(("word", "shape"), LEAVES, ids=str)
def test_no_word_fails_in_a_turn_whatever_is_missing(word: str, shape: str) -> None:
    used = [name for name, each in FILTERS.items() if shape in each.for_ and not each.needed]
    pieces = [f"{{{{ {word} }}}}", f"{{% if {word} %}}x{{% endif %}}", *(f"{{{{ {word}|{name} }}}}" for name in used)]
    if shape == LIST:
        pieces.append(f"{{{{ 'x' in {word} }}}}")
    for piece in pieces:
        for on, change in ((SAM, CHANGE), (NOBODY, BARE)):
            assert "object at" not in fill(piece, on, change)
    if shape == TIME:
        assert used == ["date", "time"]


def test_at_most_64_kb_come_out() -> None:
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


@given(st.lists(BITS, max_size=25).map(" ".join) | st.text(string.printable, max_size=60))
def test_no_template_crashes_the_loader_and_none_that_is_loaded_fails(source: str) -> None:
    try:
        template = Template(source)
    except TemplateFault as fault:
        assert fault.problems  # noqa: PT017
        return
    for each in (words(), words(NOBODY, BARE)):
        assert len(template.fill(each).encode()) <= LIMIT
