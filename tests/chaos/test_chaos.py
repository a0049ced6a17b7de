"""A short version of ``make chaos``: kill processes and the store, cut calls, repeat and reorder deliveries."""

import secrets
from pathlib import Path

import pytest

from tests.chaos.chaos import run

pytestmark = pytest.mark.timeout(400)


def test_nothing_is_lost_duplicated_or_out_of_order(tmp_path: Path) -> None:
    seed, logs = secrets.randbelow(1_000_000), tmp_path / "logs"
    report = run(seed, events=1200, tickets=150, feed=30, quiet=6, patience=120, logs=logs, replicated=False)
    text = "\n".join([*report.lines(), *(line for found in report.complaints.values() for line in found[:20])])
    print(text)
    assert not any(report.complaints.values()), f"{text}\nlogs: {logs}"
    assert min(report.faults.values()) > 0, text
