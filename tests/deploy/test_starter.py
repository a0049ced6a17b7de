"""A new project can be installed as its README says, offline but for its dependencies, and passes its own tests."""

import os
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


@pytest.mark.e2e
def test_a_new_project_installs_from_its_locked_requirements_and_passes_its_tests(tmp_path: Path) -> None:
    project = tmp_path / "project"
    run(sys.executable, "-m", "service", "new", "project", str(project), folder=ROOT)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(sys.executable, "-m", "venv", "--without-pip", ".venv", folder=project)
    python = project / ".venv" / "bin" / "python"
    # Its dependencies are this environment's own, so that no index is needed.
    [ours] = [line for line in (project / "requirements.txt").read_text().splitlines() if line.startswith("./wheels")]
    (project / "ours.txt").write_text(ours)
    install = ["install", "--no-index", "--no-deps", "--require-hashes", "-r", "ours.txt"]
    run(*pip, "--python", str(python), *install, folder=project)
    [packages] = (project / ".venv").glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    output = run(str(python.with_name("foxhooks")), "doctor", "--offline", folder=project, **SETTINGS)
    assert "acme runs in this order: vip, rules" in output
    assert "0 errors" in output
    assert "4 passed" in run(str(python), "-m", "pytest", "-q", folder=project)
    where = run(str(python), "-P", "-c", "import workers; print(workers.__file__)", folder=project)
    assert Path(where).is_relative_to(packages)
    run(str(python), "-m", "service", "new", "project", "second", folder=project)
    assert (project / "second" / "requirements.txt").read_text() == (project / "requirements.txt").read_text()
