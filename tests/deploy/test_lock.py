"""The locked requirements fit the project, are hashed, and name no index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
EXTRAS = PROJECT["optional-dependencies"]
DEVELOPMENT = [one for one in EXTRAS["dev"] if not one.startswith("foxhooks[")] + EXTRAS["mcp"] + EXTRAS["otel"]


def locked(name: str) -> dict[str, Requirement]:
    """Return the locked requirements by name, and check that each has hashes."""
    found: dict[str, Requirement] = {}
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        requirement, *hashes = line.split("--hash=")
        parsed = Requirement(requirement.strip())
        assert hashes, f"{parsed.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes)
        found[canonicalize_name(parsed.name)] = parsed
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["dependencies"] + BUILD),
        ("requirements-dev.txt", PROJECT["dependencies"] + BUILD + DEVELOPMENT),
    ],
)
def test_the_lock_satisfies_the_requirements_of_the_project(name: str, wanted: list[str]) -> None:
    lock = locked(name)
    for text in wanted:
        requirement = Requirement(text)
        [version] = [one.version for one in lock[canonicalize_name(requirement.name)].specifier]
        assert requirement.specifier.contains(version), f"{name} locks {version}, but {text} is required"


def test_both_locks_agree() -> None:
    runtime, development = locked("requirements.txt"), locked("requirements-dev.txt")
    assert {name: one.specifier for name, one in development.items() if name in runtime} == {
        name: one.specifier for name, one in runtime.items()
    }


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_lock_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted-host)", text)
