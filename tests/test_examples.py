"""The examples: all of them in docs/examples.md, each with a test, each with settings that fit."""

import importlib
import re
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from workers import Router
from workers.plugins.loading import settings_of

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.name.startswith(("test_", "conftest")))


def test_the_page_lists_every_example_and_no_other() -> None:
    listed = re.findall(
        r"^\| \[(\w+\.py)\]\(\.\./examples/\1\)", (ROOT / "docs" / "examples.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_a_test_and_its_docstring_shows_valid_settings(path: Path) -> None:
    assert path.with_name(f"test_{path.name}").exists()
    module = importlib.import_module(path.stem)
    router: Any = getattr(module, "router", None)
    if not isinstance(router, Router):
        return
    shown = tomllib.loads(dedent("\n".join(re.findall(r"^(    .*|)$", module.__doc__ or "", re.MULTILINE))))
    assert not router.settings or router.name in shown["router"]
    settings_of(router, shown.get("router", {}).get(router.name, {}))
    assert set(shown.get("permissions", {})) <= {router.name}
