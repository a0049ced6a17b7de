"""What `make` says if Python is missing or too old."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run `make check` on an empty checkout with a Python that is this shell script."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "requirements-dev.txt"):
        (folder / name).touch()
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{python}\n")
    script.chmod(0o755)
    command = ["make", "check", f"PYTHON={script}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_an_old_python_is_refused_with_a_fix(tmp_path: Path) -> None:
    done = make(tmp_path, "exit 1")
    assert done.returncode != 0
    assert "foxhooks needs Python 3.11 or newer; name one with: make PYTHON=" in done.stderr


def test_a_python_without_venv_is_refused_with_the_cure(tmp_path: Path) -> None:
    done = make(tmp_path, 'case "$*" in *ensurepip*) exit 1 ;; esac')
    assert done.returncode != 0
    assert "install python3-venv (Debian: apt-get install python3-venv)" in done.stderr
    assert not (tmp_path / ".venv").exists()
