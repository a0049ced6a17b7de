"""The starter project can be installed as its README says: from a wheel of this project in its folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "examples" / "starter"
SETTINGS = {
    "HAPPYFOX_URL": "https://acme.happyfox.example",
    "HAPPYFOX_ACCOUNT": "acme",
    "HAPPYFOX_STAFF_ID": "7",
    "HAPPYFOX_API_KEY": "test-key",
    "HAPPYFOX_AUTH_CODE": "test-code",
    "HAPPYFOX_WEBHOOK_SECRETS": "test-secret",
}


def run(*command: str, folder: Path, **environ: str) -> str:
    """Run a command and return what it prints; fail the test if the command fails."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout(folder: Path) -> Path:
    """Copy what a wheel is built from, because a build leaves files behind."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("service", "workers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.e2e
def test_the_starter_installs_from_its_wheel_and_passes_the_doctor(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(STARTER, project)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(project / "wheels"), "."]
    run(*pip, *build, folder=checkout(tmp_path / "checkout"))

    run(sys.executable, "-m", "venv", "--without-pip", ".venv", folder=project)
    python = project / ".venv" / "bin" / "python"
    # Its dependencies are this environment's own, so that no index is needed.
    run(*pip, "--python", str(python), "install", "--no-index", "--no-deps", "-r", "requirements.txt", folder=project)
    [packages] = (project / ".venv").glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    output = run(str(python.with_name("foxhooks")), "doctor", "--offline", folder=project, **SETTINGS)
    assert "acme runs in this order: vip, rules" in output
    assert "0 errors" in output
    where = run(str(python), "-P", "-c", "import workers; print(workers.__file__)", folder=project)
    assert Path(where).is_relative_to(packages)
