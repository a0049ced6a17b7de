import tomllib
from typing import Any

import pytest

from workers.rules.lines import Lines

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
def test_a_key_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(CONTENT)
    assert Lines(CONTENT).of(*path) == line


def test_every_key_of_a_file_has_a_line_that_holds_it() -> None:
    lines, rows = Lines(CONTENT), CONTENT.splitlines()

    def look(table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        for key, value in table.items():
            shown = key.replace("reason", "\\u0072eason")
            assert shown in rows[lines.of(*path, key) - 1]
            if isinstance(value, dict):
                look(value, (*path, key))

    for number, rule in enumerate(tomllib.loads(CONTENT)["rule"]):
        look(rule, ("rule", number))


@pytest.mark.parametrize("content", ["", "\n\n", "[[", "= =", '"', "'''", "[[rule", "a.b..c = 1", "x = [", "\x00"])
def test_what_is_no_toml_does_no_harm(content: str) -> None:
    assert Lines(content).of("rule", 0, "name") >= 1
