"""docs/rules.md, the README and the starter describe rules correctly."""

import re
from pathlib import Path

import pytest

from workers.plugins.actions import PERMISSIONS
from workers.rules.actions import ACTIONS
from workers.rules.conditions import KEYS
from workers.rules.expectations import read_tests
from workers.rules.file import read
from workers.rules.variables import FILTERS, VARIABLES
from workers.settings import Grants
from workers.testing.rules import run_test
from workers.tickets.change import KINDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "rules.md").read_text()
OTHERS = "".join((ROOT / name).read_text() for name in ("README.md", "docs/tutorial.md"))
ALL = Grants(frozenset(("rules", each) for each in PERMISSIONS))
TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)
EXAMPLES = [
    *TOML.findall(PAGE),
    *(text for text in TOML.findall(OTHERS) if "[[rule]]" in text),
    (ROOT / "examples" / "starter" / "rules.toml").read_text(),
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_a_valid_rule(text: str) -> None:
    found = read(text, ALL)
    assert found.problems == ()
    assert len(found.rules) == 1


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "[[test]]" in text])
def test_the_tests_of_the_examples_pass(text: str) -> None:
    found = read_tests(text)
    assert found.problems == ()
    assert [line for test in found.tests for line in run_test(test, read(text, ALL).rules).lines()] == []


def test_the_first_example_has_eight_lines() -> None:
    assert len(EXAMPLES[0].strip().splitlines()) == 8


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_page_names_every_kind_condition_action_variable_and_filter() -> None:
    rule, conditions, actions, templates = map(section, ("A rule", "Conditions", "Actions", "Templates"))
    assert [kind for kind in KINDS if f"`{kind}`" not in rule] == []
    assert [key for key in KEYS if not re.search(rf"`(when\.)?{key}[`.]", conditions)] == []
    assert [key for key in ACTIONS if f"`{key}" not in actions] == []
    assert [grant for grant in PERMISSIONS.intersection(ACTIONS) if f"`rules:{grant}`" not in actions] == []
    assert [name for name in FILTERS if not re.search(rf"`{name}[`(]", templates)] == []
    for members in VARIABLES.values():
        assert [name for name in members if not re.search(rf"`{name}[`.\[]", templates)] == []


def test_the_actions_on_the_page_are_valid() -> None:
    cells = re.findall(r"^\| (`.*?`) \|", section("Actions"), re.MULTILINE)
    written = [code.replace("…", "x") for cell in cells for code in re.findall(r"`([^`]* = [^`]*)`", cell)]
    assert len(written) >= 8
    for code in written:
        text = f'[[rule]]\nname = "x"\non = "moved"\n{code}\n'
        assert read(text, ALL).problems == (), code
