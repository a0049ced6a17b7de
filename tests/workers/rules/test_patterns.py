"""Values that are written for another kind of search are reported with the condition that was meant."""

import pytest

from workers.rules.conditions import compile_condition
from workers.rules.file import read
from workers.rules.rule import RuleProblem
from workers.settings import Grants


def problems(condition: str) -> tuple[RuleProblem, ...]:
    return read(f'[[rule]]\nname = "it"\non = "moved"\nadd_tags = ["x"]\n{condition}\n', Grants()).problems


#: Expressions with the expression that was probably meant.
EXPRESSIONS = [
    ("'refund OR return'", "write 'refund|return'"),
    ("'(refund OR return)'", "write 'refund|return'"),
    ("'refund AND order'", "write '^(?=.*refund)(?=.*order)'"),
    ("'a && b'", "write '^(?=.*a)(?=.*b)'"),
    ("'refund AND NOT test'", "write when.text = 'refund' and when.not_text = 'test'"),
    ("'refund NOT test'", "write when.text = 'refund' and when.not_text = 'test'"),
    ("'refund, chargeback'", "write 'refund|chargeback'"),
    ("'refund; charge back, return'", "write 'refund|charge back|return'"),
    ("'\"refund\"'", "write 'refund'"),
    ('\'"refund" or "return"\'', "write 'refund|return'"),
    ("'%refund%'", "write 'refund'"),
    ("'/refund/i'", "write 'refund'"),
    ("'refund*'", "write 'refund'"),
    ("'C++'", r"write 'C\+\+'"),
    ("'$50'", r"write '\$50'"),
]


@pytest.mark.parametrize(("written", "fix"), EXPRESSIONS)
@pytest.mark.parametrize("key", ["text", "subject", "not_whole_text"])
def test_text_that_is_not_meant_as_a_regular_expression_is_a_warning(key: str, written: str, fix: str) -> None:
    (found,) = problems(f"when.{key} = {written}")
    name = key.removeprefix("not_")
    assert fix.replace("when.text", f"when.{name}").replace("when.not_text", f"when.not_{name}") in found.fix
    assert found.problem.startswith(f"when.{key}: ")
    assert (found.line, found.warning) == (5, True)


def test_the_suggested_expression_matches_what_was_meant() -> None:
    both = read("[[rule]]\nname='x'\non='moved'\nnote='x'\nwhen.text='order AND refund'", Grants()).problems[0].fix
    pattern = both.split("'")[1]
    check = compile_condition({"text": pattern}, "it").check.checks[0]
    (expression,) = check.expressions  # type: ignore[attr-defined]
    assert expression.matches("a refund of\nan order", "a refund of an order")
    assert not expression.matches("a refund", "a refund")


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("'refund||return'", "write 'refund|return'"),
        ("'refund || return'", "write 'refund|return'"),
        ("'refund|'", "write 'refund'"),
        ("'|'", "write 'refund|return'"),
        ("'*refund*'", "write 'refund'"),
        ("'*@x.com'", r"write '@x\.com$'"),
    ],
)
def test_an_expression_that_matches_everything_or_nothing_is_a_mistake(written: str, fix: str) -> None:
    (found,) = problems(f"when.text = {written}")
    assert found.fix == fix
    assert not found.warning


@pytest.mark.parametrize(
    "written",
    [
        "'refund|chargeback'",
        "'terms and conditions'",
        "'this or that'",
        r"'\bAND\b'",
        "'Dear customer, thank you for your order'",
        "'colou?r'",
        "'no+w'",
        r"'C\+\+'",
        "'refunds?$'",
        r"'(a|)b'",
        r"'\|'",
        "'[|]'",
        "'re.*fund'",
        "'50%'",
        "'AT&T'",
    ],
)
def test_regular_expressions_and_phrases_are_accepted(written: str) -> None:
    assert problems(f"when.text = {written}") == ()


#: Addresses and domains that no contact has.
ADDRESSES = [
    ('contact_email = "*@x.com"', r"when.contact_email_matches = '@x\.com$'"),
    ('contact_email = "noreply@*"', "when.contact_email_matches = '^noreply@'"),
    ('contact_email = "%foo%"', "when.contact_email_matches = 'foo'"),
    (r"contact_email = '.*@x\.com'", r"when.contact_email_matches = '.*@x\.com'"),
    ("contact_email = '^sam'", "when.contact_email_matches = '^sam'"),
    ('contact_email = "@x.com"', 'when.contact_domain = "x.com"'),
    ('contact_email = "x.com"', 'when.contact_domain = "x.com"'),
    ('contact_email = "Sam King"', '"sam@bigcorp.example"'),
    ('contact_email = "a@x.com, b@x.com"', "several in a list"),
    ('contact_domain = "*.x.com"', r"when.contact_email_matches = '\.x\.com$'"),
    ('contact_domain = "bigcorp.*"', "when.contact_email_matches = '@bigcorp.*'"),
    ('contact_domain = "www.x.com"', 'when.contact_domain = "x.com"'),
    ('contact_domain = "https://x.com/"', 'when.contact_domain = "x.com"'),
    ('contact_domain = "sam@x.com"', 'when.contact_email = "sam@x.com"'),
    ('contact_domain = "x.com, y.com"', "several in a list"),
]


@pytest.mark.parametrize(("condition", "fix"), ADDRESSES)
@pytest.mark.parametrize("prefix", ["", "not_"])
def test_an_address_that_no_contact_has_is_a_mistake(prefix: str, condition: str, fix: str) -> None:
    (found,) = problems(f"when.{prefix}{condition}")
    assert fix in found.fix
    assert not found.warning


#: Other conditions, which compare the whole value.
COMPARED = [
    ("priority = '>= High'", 'write each value in a list: when.priority = ["...", "..."]'),
    ("fields.Amount = '> 100'", 'write each value in a list: when.fields."Amount" = ["...", "..."]'),
    ('status = "New|Open"', 'when.status = ["New", "Open"]'),
    ('not_status = "New OR Open"', 'when.not_status = ["New", "Open"]'),
    ('tag = "vip, slow"', 'when.tag = ["vip", "slow"]'),
    ('tag = "vip*"', 'when.tag = ["...", "..."]'),
    ('contact_group = "%corp%"', 'when.contact_group = ["...", "..."]'),
    ("source = '^mail'", 'when.source = ["...", "..."]'),
    ('status = "!Closed"', 'when.not_status = "Closed"'),
    ('status = "not Closed"', 'when.not_status = "Closed"'),
    ('fields.Plan = "Gold|Free"', 'when.fields."Plan" = ["Gold", "Free"]'),
    ('contact_fields.Plan = "Go.*"', 'when.contact_fields."Plan" = ["...", "..."]'),
    ('category = "{{ change.new.name }}"', "write the value itself"),
    ('any = [{ tag = "vip*" }]', 'when.tag = ["...", "..."]'),
]


@pytest.mark.parametrize(("condition", "fix"), COMPARED)
def test_a_pattern_where_the_whole_value_is_compared_is_a_warning(condition: str, fix: str) -> None:
    (found,) = problems(f"when.{condition}")
    assert fix in found.fix
    assert (found.line, found.warning) == (5, True)


@pytest.mark.parametrize(
    "condition",
    [
        'contact_email = "sam+x@bigcorp.example"',
        'contact_domain = ["@bigcorp.example", "mail.x.com"]',
        'contact_email = ""',
        'status = "On Hold (EU)"',
        'category = "Sales, EU"',
        'tag = "c++"',
        'fields.Question = "Where?"',
        'assignee = ["Ada King", "ada@desk.example"]',
    ],
)
def test_plain_values_are_accepted(condition: str) -> None:
    assert problems(f"when.{condition}") == ()
