"""The fixtures as pytest finds them where foxhooks is installed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = """
from workers import Router
from workers.testing import Desk, run, ticket

def test_wants():
    assert run(Router("empty"), ticket(), "ticket-created").actions == ()

def test_plays(simulator, clock):
    simulator.create_ticket()
    clock.advance("2h")

def test_works(desk: Desk):
    desk.use(Router("empty"))

def test_empty(desk: Desk, simulator):
    assert desk.simulator is simulator
    assert not simulator.account.tickets
"""


def pytest_in(folder: Path, *options: str) -> str:
    (folder / "test_mine.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--setup-show", *options],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_pytest_finds_the_fixtures_and_starts_a_store_only_if_needed(tmp_path: Path) -> None:
    output = pytest_in(tmp_path)
    assert "4 passed" in output
    assert output.count("SETUP    S foxhooks_store") == 1
    assert output.index("test_mine.py::test_plays") < output.index("SETUP    S foxhooks_store")


def test_the_fixtures_can_be_disabled(tmp_path: Path) -> None:
    output = pytest_in(tmp_path, "-p", "no:foxhooks", "-k", "wants or works")
    assert "fixture 'desk' not found" in output
    assert "1 passed" in output
