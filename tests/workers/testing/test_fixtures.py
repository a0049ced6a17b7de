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


def test_pytest_finds_them_and_a_store_starts_only_for_a_test_that_needs_one(tmp_path: Path) -> None:
    told = pytest_in(tmp_path)
    assert "4 passed" in told
    assert told.count("SETUP    S foxhooks_store") == 1
    assert told.index("test_mine.py::test_plays") < told.index("SETUP    S foxhooks_store")


def test_they_can_be_left_out(tmp_path: Path) -> None:
    told = pytest_in(tmp_path, "-p", "no:foxhooks", "-k", "wants or works")
    assert "fixture 'desk' not found" in told
    assert "1 passed" in told
