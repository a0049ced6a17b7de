"""The version is written in one place, and every file that must repeat it agrees."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from workers import __version__
from workers.happyfox.http import AGENT

ROOT = Path(__file__).parents[1]
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+)", re.MULTILINE)
# Files that cannot read the version, and how each one writes it.
REPEATED = {
    "deploy/Dockerfile": r"(?:foxhooks:|image\.version=)(\d+\.\d+\.\d+)",
    "docs/deploy.md": r"foxhooks:(\d+\.\d+\.\d+)",
    "deploy/kubernetes/base/kustomization.yaml": r"newTag: (\S+)",
    "deploy/kubernetes/components/dashboard/kustomization.yaml": r"newTag: (\S+)",
    "deploy/kubernetes/components/gateway/kustomization.yaml": r"newTag: (\S+)",
    "examples/starter/kustomization.yaml": r"newTag: (\S+)",
    "examples/starter/requirements.txt": r"foxhooks-(\d+\.\d+\.\d+)-py3",
}


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    assert RELEASE.findall((ROOT / "CHANGELOG.md").read_text())[0] == __version__


@pytest.mark.parametrize(("name", "pattern"), REPEATED.items())
def test_a_file_that_repeats_the_version_agrees(name: str, pattern: str) -> None:
    assert set(re.findall(pattern, (ROOT / name).read_text())) == {__version__}


def test_happyfox_sees_the_version() -> None:
    assert f"foxhooks/{__version__}" == AGENT


def test_the_command_shows_the_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"foxhooks {__version__}\n")
