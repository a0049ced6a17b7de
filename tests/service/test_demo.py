"""`foxhooks demo --once`: passes if the tickets show every effect, fails without the handlers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean


def demo(folder: Path, code: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    home = folder / "home"
    home.mkdir()
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        cwd=folder,
        env=clean(HOME=str(home), **environ),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.e2e
def test_it_shows_every_effect_with_an_empty_home_and_foreign_settings(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['foxhooks', 'demo', '--once']; from service.cli import main; main()"
    foreign = {"HAPPYFOX_URL": "https://acme.example", "REDIS_URL": "redis://nowhere.example", "FOXHOOKS_DRY_RUN": "1"}
    shown = demo(tmp_path, code, **foreign)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for words in ("tag +refund", "private note", "status = In Progress", "assignee = Ada King", "reads, "):
        assert words in shown.stdout
    assert "✗" not in shown.stdout
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.e2e
def test_it_fails_without_the_handlers(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text('from workers import Router\nrouter = Router("idle")\n')
    code = "import sys; from service.demo import run; sys.exit(run(True, 'handlers = [\"idle:router\"]\\n'))"
    shown = demo(tmp_path, code, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert shown.stdout.count("✗") >= 6
    assert "Some effects are missing" in shown.stdout
