"""The documentation site builds without a warning, and generated pages are up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_page import PAGE, page

ROOT = Path(__file__).parents[1]


def test_the_page_of_commands_equals_the_commands() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m tests.support.command_page"


def test_the_site_lists_every_page() -> None:
    listed = re.findall(r"(?m)^\s+- (\w+\.md)$", (ROOT / "mkdocs.yml").read_text())
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md")), "add it to nav in mkdocs.yml"


@pytest.mark.e2e
def test_the_site_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").glob("*.md")))
    for built in pages:
        text = built.read_text()
        assert 'src="http' not in text, built
        assert 'rel="stylesheet" href="http' not in text, built
