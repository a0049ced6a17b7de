"""docs/testing.md describes the whole test kit."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from workers.testing import Desk, Result, fixtures, run

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
RUN, DESK = PAGE.partition("## `desk`")[::2]


@pytest.mark.parametrize(
    "name", [*inspect.signature(run).parameters, *(each.name for each in dataclasses.fields(Result))]
)
def test_the_page_lists_the_parameters_and_the_result_of_run(name: str) -> None:
    assert re.search(rf"^\| [^|]*`{name}`", RUN, re.MULTILINE)


@pytest.mark.parametrize("name", ["desk", "simulator", "clock"])
def test_the_page_names_the_fixtures(name: str) -> None:
    assert hasattr(fixtures, name)
    assert f"| `{name}` |" in DESK


@pytest.mark.parametrize("name", [name for name in vars(Desk) if not name.startswith("_")])
def test_the_page_lists_the_attributes_of_a_desk(name: str) -> None:
    assert f"`desk.{name}" in DESK


def test_the_examples_on_the_page_run(desk: Desk) -> None:
    ran = []
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        names: dict[str, object] = {}
        exec(block, names)
        for name, test in names.items():
            if name.startswith("test_") and callable(test):
                test(desk)
                ran.append(name)
    assert ran == ["test_a_vip_is_greeted_once"]
