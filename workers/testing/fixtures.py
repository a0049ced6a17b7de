"""What pytest finds wherever foxhooks is installed: fixtures for plug-ins, and the tests in rules files.

No fixture runs unless a test requests it, and only files with rules and tests are collected; `-p no:foxhooks` disables
both. Only this module needs pytest.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from workers.plugins.jobs import discard_waiting, disconnect, ensure_broker
from workers.plugins.loading import LoadError
from workers.rules.expectations import RuleTest
from workers.rules.rule import Rule
from workers.simulator import Simulator
from workers.store.client import connect
from workers.store.embedded import running, valkey
from workers.testing.desk import Clock, Desk
from workers.testing.handlers import NOON
from workers.testing.rules import load_tests, run_test

_TABLES = [re.compile(rf"^\s*\[\[\s*{name}\s*\]\]", re.MULTILINE) for name in ("rule", "test")]


def pytest_configure() -> None:
    """Let plug-ins declare Dramatiq actors before a fixture runs."""
    ensure_broker()


@pytest.fixture(scope="session")
def foxhooks_store() -> Iterator[str]:
    """Yield the URL of a store, which runs from the first test that needs it to the last."""
    with running(valkey()) as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    """Return a clock at noon of a Monday, 2026-01-05 UTC, that only moves with `clock.advance("2h")`."""
    return Clock(NOON)


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    """Return a simulated HappyFox on that clock, in memory: tickets, contacts, staff, and what they do."""
    return Simulator(clock.seconds)


@pytest.fixture
def desk(foxhooks_store: str, clock: Clock, simulator: Simulator) -> Iterator[Desk]:
    """Yield a help desk: the real engine on an empty store, with that simulator and that clock."""
    with connect(foxhooks_store) as client:
        client.flushall()
        yield Desk(client, clock, simulator)
        discard_waiting()
        disconnect()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the `[[test]]` tables of a TOML file that has `[[rule]]` tables, too."""
    if file_path.suffix != ".toml":
        return None
    try:
        text = file_path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not ours to report: pytest visits every file
        return None
    if not all(table.search(text) for table in _TABLES):
        return None
    return RulesFileTests.from_parent(parent, path=file_path)


class RulesFileTests(pytest.File):
    """A rules file, of which each `[[test]]` is a test."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            loaded = load_tests(self.path)
        except LoadError as error:
            raise self.CollectError(str(error)) from None
        for test in loaded.tests:
            yield RuleTestItem.from_parent(self, name=test.name, test=test, rules=loaded.rules)


class RuleTestItem(pytest.Item):
    """One `[[test]]`."""

    def __init__(self, *, test: RuleTest, rules: Sequence[Rule], **options: Any) -> None:
        super().__init__(**options)
        self._test, self._rules = test, rules

    def runtest(self) -> None:
        """Fail with the differences, without a traceback."""
        report = run_test(self._test, self._rules)
        if not report.passed:
            legend = "- is expected and missing, + is not expected"
            where = f"{self.path.name}, line {self._test.line}: {self.name} ({legend})"
            pytest.fail("\n".join([where, *report.lines()]), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the test is, with the line counted from 0."""
        return self.path, self._test.line - 1, self.name
