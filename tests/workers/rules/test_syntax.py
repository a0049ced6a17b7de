"""A rules file that is not TOML: the line, the place, the likely mistake, and the line as TOML has it."""

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.rules.file import read
from workers.rules.rule import RuleProblem
from workers.settings import Grants

HEAD = '[[rule]]\nname = "it"\non = "ticket-created"\n'


def found(body: str) -> list[RuleProblem]:
    return list(read(f"{HEAD}{body}\n", Grants()).problems)


#: Each with the likely mistake, the character at the caret, and the correction.
MISTAKES = [
    ("status: Open", "this line is YAML or JSON", ":", 'write status = "Open"'),
    ('note: "x"', "this line is YAML or JSON", ":", 'write note = "x"'),
    ('"note": "x",', "this line is YAML or JSON", '"', 'write note = "x"'),
    ("once: yes", "this line is YAML or JSON", ":", "write once = true"),
    ("add_tags: [vip, slow]", "this line is YAML or JSON", ":", 'write add_tags = ["vip", "slow"]'),
    ("add_tags:\n  - vip\n  - slow", "this line is YAML or JSON", ":", 'write add_tags = ["vip", "slow"]'),
    ("when:\n  text: refund", "this line is YAML or JSON", "w", 'write when.text = "refund", without a line when:'),
    (
        "note: |\n  Hello\n  there",
        "this line is YAML or JSON",
        ":",
        'write note = """ before the text, and """ after it',
    ),
    ("note = \u201chello\u201d", "typographic quotes", "\u201c", 'write note = "hello"'),
    ("note = \u2018hello\u2019", "typographic quotes", "\u2018", "write note = 'hello'"),
    ("note = hello there", "a text needs quotes", "h", 'write note = "hello there"'),
    ("add_tags = [vip, slow]", "a text needs quotes", "v", 'write add_tags = ["vip", "slow"]'),
    ("older_than = 14d", "a duration such as 14d needs quotes", "1", 'write older_than = "14d"'),
    ("set.due_date = 31.12.2030", "a text needs quotes", "3", "write set.due_date = 2030-12-31"),
    ("note\u00a0= 'x'", "an invisible character", "\u00a0", "write note = 'x'"),
    ("note = 'x' // why", "a comment begins with #", "/", "write note = 'x' # why"),
    ("-- why", "a comment begins with #", "-", "write # why"),
    ("once = True", "True is no value in TOML", "T", "write once = true"),
    ("set.assignee = null", "null is no value in TOML; an empty text means none", "n", 'write set.assignee = ""'),
    ("once == true", "not ==", "=", "write once = true"),
    ('when.status != "Open"', "not_ before a condition negates it", "s", 'write when.not_status = "Open"'),
    ("when.text =~ 'x'", "not =~", "~", "write when.text = 'x'"),
    ("note = 'don't'", "cannot contain an apostrophe", "'", 'write note = "don\'t"'),
    ('note = "say "hi" now"', "contains a double quote", '"', "write note = 'say \"hi\" now'"),
    ('when.text = "\\d+"', "unescaped '\\' in a string", '"', "single quotes: when.text = '\\d+'"),
    ('note = "one\ntwo"', "several lines needs three quotes", "o", 'write """ in place of " at both ends of the text'),
    ('note = """\nHello', 'the text after """ does not end', '"', 'write """ after its last line'),
    ('add tags = ["x"]', "a key without quotes cannot have blanks", " ", 'write add_tags = ["x"]'),
    ('when text = "x"', "a key without quotes cannot have blanks", " ", 'write when.text = "x"'),
    ('set.fields.Due on = "x"', "cannot have blanks", "D", 'write set.fields."Due on" = "x"'),
    ('set.fields.Größe = "x"', "cannot have this character", "G", 'write set.fields."Größe" = "x"'),
    ('note "x"', "= is missing after the key", '"', 'write note = "x"'),
    ("note =", "the value is missing", "", "write a value after =, or remove the line"),
    ('note = "x', "a quote is missing", "", 'write note = "x"'),
    ('note = x"', "a quote is missing", "x", 'write note = "x"'),
    ("note = 'x\"", "the quotes at both ends differ", '"', "write note = 'x'"),
    ('add_tags = ["x", "y]', "a quote is missing", "]", 'write add_tags = ["x", "y"]'),
    ('add_tags = ["x", "y"', "a bracket is missing", "", 'write add_tags = ["x", "y"]'),
    ('add_tags = "x", "y"', "a list is written in square brackets", '"', 'write add_tags = ["x", "y"]'),
    ('add_tags = ("x", "y")', "a list is written in square brackets", "(", 'write add_tags = ["x", "y"]'),
    ('add_tags = ["x" "y"]', "a comma is missing", " ", 'write add_tags = ["x", "y"]'),
    ('when.any = [{ tag: "x" }]', "has = after each key", ":", 'write when.any = [{ tag = "x" }]'),
    ('when.any = [{ tag = "x", }]', "has no comma at its end", ",", 'write when.any = [{ tag = "x" }]'),
    ('when.any = [{ tag = "x" ]', "a bracket is missing", "]", 'write when.any = [{ tag = "x" }]'),
    ('move = {\n  category = "x"\n}', "a table in braces is on one line", "", 'write move = { category = "x" }'),
    ('note = "x";', "something follows the value", ";", 'write note = "x"'),
    ('note = "x" once = true', "two keys are on one line", " ", "write each key on a line of its own"),
    ("if status then close", "a rule has no if", "", 'write each condition as when.status = "New"'),
]


@pytest.mark.parametrize(("body", "mistake", "at", "correction"), MISTAKES, ids=[repr(each[0]) for each in MISTAKES])
@pytest.mark.parametrize("after", ["", 'remove_tags = ["z"]'])
def test_the_likely_mistake_its_place_and_the_correction_are_shown(
    body: str, mistake: str, at: str, correction: str, after: str
) -> None:
    (problem,) = found(f"{body}\n{after}")
    assert problem.line == 4
    assert problem.problem.startswith("is not valid TOML: ")
    assert mistake in problem.problem
    assert correction in problem.fix
    assert problem.source == body.partition("\n")[0]
    if at or not problem.source[problem.column - 1 :]:
        assert problem.source[problem.column - 1 : problem.column] == at
    if problem.fix == correction and re.fullmatch(r"write [\w.]+ = [^,]*", correction) and '"""' not in correction:
        tomllib.loads(correction.removeprefix("write "))


@pytest.mark.parametrize(
    ("text", "line", "correction"),
    [
        (HEAD.replace("[[rule]]", "[[rule]") + "note = 'x'\n", 1, "write [[rule]]"),
        (HEAD.replace("[[rule]]", "rule:") + "note = 'x'\n", 1, "write [[rule]]"),
        ("[rule]\nname = 'a'\n[rule]\nname = 'b'\n", 3, "write [[rule]] in place of each [rule]"),
        ("[rule]\nname = 'a'\n", 1, "write [[rule]], with two pairs of brackets"),
        ("- name: refunds\n  on: moved\n", 1, '[[rule]] on a line of its own, and below it name = "refunds"'),
        (f"{HEAD}note = 'x'\nnote = 'y'\n", 5, "a rule has the same key twice"),
        (f"{HEAD}when = {{ tag = 'x' }}\nwhen.text = 'y'\n", 5, "write every key below when as when.text = ..."),
        (
            f"{HEAD}set.status = 'x'\nset = {{ priority = 'y' }}\n",
            5,
            "on a line of its own, such as set.priority = ...",
        ),
        (
            f"{HEAD}[rule.when]\ntag = 'a'\n[rule.when]\ntag = 'b'\n",
            6,
            "write [[rule]] above it if it belongs",
        ),
        (
            "[[rule]] name = 'a'\non = 'moved'\nnote = 'x'\n",
            1,
            "write [[rule]] on a line of its own, and below",
        ),
        (f'{HEAD}when.tag = "vip" and when.status = "New"\n', 4, "write each key on a line of its own"),
        (f'{HEAD}when.tag = "vip" or when.status = "New"\n', 4, "write when.any = [{"),
        (f'{HEAD}note = "x" set.status = "New"\n', 4, "write each key on a line of its own"),
        (f'{HEAD}note = "x",\n', 4, 'write note = "x"'),
        (f"{HEAD}/* why */\nnote = 'x'\n", 4, "write # why"),
        ("- name: a\n  on: moved\n  actions:\n    note: x\n", 1, "write [[rule]] on a line of its own"),
    ],
)
def test_mistakes_in_headers_and_keys_are_explained(text: str, line: int, correction: str) -> None:
    problem = read(text, Grants()).problems[0]
    assert problem.line == line
    assert correction in problem.fix


def test_nested_yaml_and_json_are_answered_with_toml() -> None:
    problems = read("- name: a\n  on: moved\n  actions:\n    note: x\n", Grants()).problems
    assert [each.fix.partition(",")[0] for each in problems[2:]] == [
        "write each action as a key of the rule",
        'write note = "x"',
    ]
    text = '{\n "rule": [\n  { "name": "a", "when": { "tag": ["b"] }, "note": "x" }\n ]\n}\n'
    fixes = [each.fix for each in read(text, Grants()).problems]
    assert fixes[2].endswith('below it, each on its own, name = "a", then when.tag = ["b"], then note = "x"')
    assert all("correct this line" not in each for each in fixes)


def test_one_mistake_does_not_hide_the_next() -> None:
    problems = found("note = hello\nonce = True\nadd_tags = ['x'")
    assert [problem.line for problem in problems] == [4, 5, 6]


def test_the_place_in_a_long_line_is_shown_with_its_surroundings() -> None:
    (problem,) = found(f"note = '{'word ' * 100}' // why")
    assert problem.excerpt
    shown, caret = problem.excerpt
    assert len(shown) <= 100
    assert shown[caret.index("^")] == "/"


LINES = st.sampled_from([line for body, *_ in MISTAKES for line in body.split("\n")])


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_any_mixture_of_mistakes_is_reported(body: str) -> None:
    for problem in found(body):
        assert 1 <= problem.line <= f"{HEAD}{body}\n".count("\n") + 1
        assert problem.fix
