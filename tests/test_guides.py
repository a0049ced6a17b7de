"""The how-to guides: their settings fit the examples that they use."""

import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.commands import run
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "guides.md").read_text()
GUIDES = dict(re.findall(r"(?ms)^## (.+?)\n(.+?)(?=^## |\Z)", PAGE))
SETTINGS = re.compile(r"(?ms)^ *```toml\n(.+?)^ *```$")
[BASE] = SETTINGS.findall(PAGE.partition("\n## ")[0])


@pytest.mark.parametrize("guide", [name for name, text in GUIDES.items() if SETTINGS.search(text)])
def test_the_settings_of_a_guide_are_valid(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDES[guide]
    for example in re.findall(r"\.\./examples/(\w+\.py)", text):
        shutil.copy(ROOT / "examples" / example, tmp_path)
    settings = "\n".join([*map(dedent, SETTINGS.findall(text)), BASE])
    (tmp_path / "foxhooks.toml").write_text(settings)
    for name in re.findall(r'"env:(\w+)"', settings):
        monkeypatch.setenv(name, f"a-value-of-{name.lower()}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = " ".join(run("doctor", "--offline").stdout.split())
    assert "0 errors" in shown
    for router in re.findall(r"\[router\.(.+?)\]", settings):
        assert f"acme runs in this order: {router}" in shown
