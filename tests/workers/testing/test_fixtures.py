"""The fixtures as pytest finds them where foxhooks is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.e2e
def test_the_fixtures_can_be_disabled(tmp_path: Path) -> None:
    output = pytest_in(tmp_path, "-p", "no:foxhooks", "-k", "wants or works")
    assert "fixture 'desk' not found" in output
    assert "1 passed" in output


def test_pytest_runs_the_tests_in_rules_files_and_no_other_toml(tmp_path: Path) -> None:
    rules = '[[rule]]\nname = "it"\non = "moved"\nadd_tags = ["a"]\n'
    test = '[[test]]\nname = "{}"\nevent = "moved"\nexpect.add_tags = ["{}"]\n'
    (tmp_path / "rules.toml").write_text(rules + test.format("good", "a") + test.format("bad", "b"))
    (tmp_path / "broken.toml").write_text(rules + test.format("typo", "a").replace("event", "evnt"))
    (tmp_path / "other.toml").write_text(test.format("other", "a"))
    output = pytest_in(tmp_path, "--continue-on-collection-errors", "--deselect", "test_mine.py")
    assert "1 failed, 1 passed, 4 deselected, 1 error" in output
    assert (
        "rules.toml, line 9: bad (- is expected and missing, + is not expected)\n- add_tags b\n+ add_tags a\n" in output
    )
    assert "FAILED rules.toml::bad" in output
    assert "broken.toml, line 7, test 'typo': no key 'evnt'" in output
