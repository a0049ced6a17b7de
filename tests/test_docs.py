"""The documentation site builds without a warning, and generated pages are up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command_page, license_page

ROOT = Path(__file__).parents[1]


def test_the_page_of_commands_equals_the_commands() -> None:
    written = command_page.PAGE.read_text()
    assert written == command_page.page(), "write it again: python -m tests.support.command_page"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other packages")
def test_the_page_of_licenses_equals_the_installed_packages() -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"(?m)^\| [a-z].*$", text))

    assert names(license_page.page()) <= names(license_page.PAGE.read_text()), "python -m tests.support.license_page"


def test_no_package_has_a_license_that_would_bind_those_who_use_foxhooks() -> None:
    allowed = {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "MPL-2.0", "CNRI-Python"}
    allowed.add("LGPL-3.0-or-later")  # Dramatiq, which is imported and not changed
    found = {part for text in license_page.licenses().values() for part in re.split(r" AND | OR ", text)}
    assert found <= allowed


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
