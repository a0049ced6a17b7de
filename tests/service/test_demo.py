"""`foxhooks demo --once`: green when the tickets show every effect, red when the handlers are taken out."""

import subprocess
import sys
from pathlib import Path

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


def test_it_shows_every_effect_with_an_empty_home_whatever_a_person_has_set(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['foxhooks', 'demo', '--once']; from service.command import main; main()"
    foreign = {"HAPPYFOX_URL": "https://acme.example", "REDIS_URL": "redis://nowhere.example", "FOXHOOKS_DRY_RUN": "1"}
    shown = demo(tmp_path, code, **foreign)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for words in ("tag +refund", "private note", "status = In Progress", "assignee = Ada King", "reads and"):
        assert words in shown.stdout
    assert "✗" not in shown.stdout
    assert not list((tmp_path / "home").iterdir())


def test_it_fails_when_the_handlers_are_taken_out(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text('from workers import Router\nrouter = Router("idle")\n')
    code = "import sys; from service.demo.demo import run; sys.exit(run(True, 'handlers = [\"idle:router\"]\\n'))"
    shown = demo(tmp_path, code, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert shown.stdout.count("✗") >= 6
    assert "Not every effect arrived" in shown.stdout
