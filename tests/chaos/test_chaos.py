"""Short versions of ``make chaos``: kill processes and the store, cut calls, repeat and reorder deliveries."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.chaos.chaos import Report, run
from tests.chaos.storm import EVERY, OUTAGES, REPLICATED, SIGNS, STRANGERS, SWITCHOVER

pytestmark = pytest.mark.timeout(400)

#: What happens outside of foxhooks and should not spread, and what kills a worker meanwhile.
OUTSIDE = {**dict.fromkeys([*OUTAGES, STRANGERS, SWITCHOVER], 20.0), "worker killed (kill -9)": 15.0}
INSIDE = {kind: seconds for kind, seconds in EVERY.items() if kind not in OUTSIDE or kind.startswith("worker")}
ONE_STORE = {kind: seconds for kind, seconds in INSIDE.items() if kind not in REPLICATED}


def attack(logs: Path, feed: float, every: Mapping[str, float]) -> Report:
    """Return the report of a short run in which no checker complains."""
    seed = secrets.randbelow(1_000_000)
    report = run(seed, events=600, tickets=100, feed=feed, quiet=6, patience=120, logs=logs, every=every)
    text = "\n".join([*report.lines(), *(line for found in report.complaints.values() for line in found[:20])])
    print(text)
    assert not any(report.complaints.values()), f"{text}\nlogs: {logs}"
    return report


@pytest.mark.parametrize("every", [ONE_STORE, pytest.param(INSIDE, marks=pytest.mark.e2e)], ids=["one", "replicated"])
def test_nothing_is_lost_duplicated_or_out_of_order(every: Mapping[str, float], tmp_path: Path) -> None:
    report = attack(tmp_path / "logs", 24, every)
    # A rare fault may meet no call in so short a run; `make chaos` fails if one kind never struck.
    assert sum(times == 0 for times in report.faults.values()) <= 2, "\n".join(report.lines())


@pytest.mark.e2e
def test_strangers_an_unreachable_happyfox_and_a_demoted_store_lose_nothing(tmp_path: Path) -> None:
    report = attack(tmp_path / "logs", 40, OUTSIDE)
    signs = {sign for kind in OUTSIDE for sign in SIGNS.get(kind, ())}
    missing = [name for name in (*OUTSIDE, *signs) if not report.faults[name]]
    assert missing == [], "\n".join(report.lines())
