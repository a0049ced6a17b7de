"""sweep: what a person and a program see of sweeps and of what they have found."""

import msgspec
import pytest
import redis

from tests.support.commands import KEYS, printed, refused, run, shown
from tests.support.stores import untyped
from workers.store.client import store_time
from workers.store.completeness import MissedChanges
from workers.store.keys import WORKERS
from workers.store.periodic import SWEEP, decode

pytestmark = pytest.mark.usefixtures("web_settings", "worker_settings")

HOUR = 3_600_000


def test_before_the_first_sweep_the_command_says_when_it_comes(store: redis.Redis) -> None:
    assert "none yet; the first one is 5 minutes after the store's first use" in run("sweep", "--show").stdout
    (report,) = shown("sweep", "--show")["accounts"]
    assert (report["sweep"]["minutes"], report["sweep"]["covered"]) == (5.0, 0)
    assert report["completeness"]["ratio"] is None


def test_without_a_worker_the_sweep_is_asked_for_and_the_command_says_so(store: redis.Redis) -> None:
    assert "no worker is alive; the sweep begins when one starts" in refused("sweep")
    state = decode(untyped(store).hget(KEYS.periodic_tasks, SWEEP))
    assert state.hurried


def test_sweeps_that_are_off_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOXHOOKS_SWEEP_MINUTES", "0")
    assert "sweeps of acme are off" in refused("sweep")
    assert "off: changes whose delivery is lost" in run("sweep", "--show").stdout


def test_a_running_sweep_shows_its_progress_and_why_it_waits(store: redis.Redis) -> None:
    now = store_time(store)
    state = {
        "scheduled_at": now,
        "period": 300_000,
        "phase": "search",
        "locked_until": now + 60_000,
        "page": 3,
        "found": 100,
        "enqueued": 4,
        "memo": '{"total":240}',
    }
    store.hset(KEYS.periodic_tasks, SWEEP, msgspec.json.encode(state))
    text = printed("sweep", "--show")
    assert "running since 0 s ago: 100 tickets of at most 240 compared, 4 to be read" in text
    store.hset(KEYS.periodic_tasks, SWEEP, msgspec.json.encode(state | {"why": "HappyFox could not be reached"}))
    assert "HappyFox could not be reached. Next attempt in" in printed("status")


def test_missed_changes_are_listed_and_counted(store: redis.Redis) -> None:
    now = store_time(store)
    day = now // 86_400_000
    store.hset(KEYS.learned, mapping={"delivery": 11, "sweep": 11, f"delivery@{day}": 19, f"sweep@{day}": 1})
    missed = MissedChanges(now - 60_000, now - 60_000 - 2 * HOUR, 17, "t1", ("contact-replied", "status-changed"))
    for _ in range(12):
        store.lpush(KEYS.missed, msgspec.json.encode(missed))
    text = printed("sweep", "--show")
    assert "95.0% on" in text
    assert "19 of 20 changes announced by a delivery first" in text
    assert "ticket 17: contact-replied, status-changed, 1 min ago, 2 h late" in text
    assert "2 more with changes that only a sweep has found" in text
    (account,) = shown("status")["accounts"]
    assert (account["completeness"]["ratio"], account["completeness"]["total"]) == (0.95, {"delivery": 30, "sweep": 12})
    assert len(account["completeness"]["missed"]) == 12


def test_a_sweep_that_no_worker_begins_is_not_waited_for_forever(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.hset(WORKERS, "desk-1", store_time(store))
    monkeypatch.setattr("service.commands.sweep.BEGINS", 0.0)
    assert "no worker has begun the sweep of acme: do its workers have handlers?" in refused("sweep")


def test_unknown_changes_are_shown_for_a_day(store: redis.Redis) -> None:
    now = store_time(store)
    for born, shown_there in ((now - HOUR, True), (now - 25 * HOUR, False)):
        state = {"scheduled_at": now, "period": 300_000, "phase": "done", "ended": now}
        memo = msgspec.json.encode({"covered": now, "unknown": 3, "born": born}).decode()
        store.hset(KEYS.periodic_tasks, SWEEP, msgspec.json.encode(state | {"memo": memo}))
        assert ("3 tickets changed within a day before" in printed("status")) is shown_there
