"""The Dockerfile has no lint errors, and its lines install what they should."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.deploy import DOCKERFILE, copied, instructions
from tests.support.processes import ROOT


def test_hadolint_reports_nothing() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_copied_source_exists_and_is_not_ignored() -> None:
    sources = {name for names, _ in copied() for name in names}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == allowed
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert not any(fnmatch(name, "**/__pycache__") for name in sources)


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    last = [arguments for name, arguments in instructions() if name == "USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last)


def test_the_base_image_is_pinned_to_the_python_that_heroku_runs() -> None:
    wanted = f"python:{(ROOT / '.python-version').read_text().strip()}-slim"
    assert [arguments for name, arguments in instructions() if name == "ARG"] == [f"BASE={wanted}"]
    assert {arguments.split()[0] for name, arguments in instructions() if name == "FROM"} == {"${BASE}"}


@pytest.mark.timeout(600)
def test_the_install_lines_leave_foxhooks_and_no_build_tools(image: Path, tmp_path: Path) -> None:
    program = """
import importlib.metadata, importlib.util, service, workers
from importlib.resources import files
print(*sorted(found.name.lower() for found in importlib.metadata.distributions()))
print((files("workers.store") / "lua" / "claims.lua").is_file())
"""
    done = subprocess.run([image / "python", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    names, has_scripts = done.stdout.splitlines()
    assert "foxhooks" in names.split()
    assert not {"pip", "pytest", "setuptools", "wheel"} & set(names.split())
    assert has_scripts == "True"


@pytest.mark.timeout(600)
def test_the_image_has_the_command(image: Path, tmp_path: Path) -> None:
    done = subprocess.run([image / "foxhooks", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "worker" in done.stdout
