"""Silence and storms, judged by what the same hours of four weeks brought: with nights, weekends and a holiday."""

from datetime import UTC, datetime

import pytest
import redis

from workers.alerts.habits import ENOUGH, expected_since, is_storm
from workers.store.client import Store
from workers.store.keys import prefix

HOUR, DAY = 3_600_000, 86_400_000
#: A Tuesday at 14:30 UTC.
NOW = int(datetime(2026, 6, 30, 14, 30, tzinfo=UTC).timestamp() * 1000)
EPOCH = NOW - 60 * DAY
POSTS = 270


def is_work(at: int) -> bool:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.weekday() < 5 and 8 <= moment.hour < 18


@pytest.fixture(autouse=True)
def _weeks(store: redis.Redis) -> None:
    """Four weeks with 10 deliveries per working hour, none else, and a holiday a week ago."""
    with store.pipeline(transaction=False) as batch:
        for hour in range((NOW - 35 * DAY) // HOUR, NOW // HOUR):
            at = hour * HOUR
            holiday = (NOW - at) // DAY == 7
            if is_work(at) and not holiday:
                batch.hset(f"{prefix('acme')}stats:hour:{hour}", mapping={"in accepted": 8, "in duplicate": 2})
        batch.execute()


def expected(store: redis.Redis, last: int, now: int = NOW, epoch: int = EPOCH) -> float | None:
    with Store(store) as run:
        return expected_since(run, "acme", last, now, epoch)


def test_a_silent_working_hour_is_unusual_although_one_week_had_a_holiday(store: redis.Redis) -> None:
    assert expected(store, NOW - HOUR) == pytest.approx(30)


def test_a_few_minutes_without_deliveries_are_usual(store: redis.Redis) -> None:
    found = expected(store, NOW - HOUR // 6)
    assert found is not None
    assert found <= ENOUGH


def test_silent_nights_and_weekends_are_usual(store: redis.Redis) -> None:
    friday = NOW - 3 * DAY - 14 * HOUR + 18 * HOUR - HOUR // 2 - DAY
    assert datetime.fromtimestamp(friday / 1000, UTC).strftime("%a %H:%M") == "Fri 18:00"
    assert expected(store, friday, friday + 62 * HOUR) == 0
    found = expected(store, friday, friday + 64 * HOUR)
    assert found is not None
    assert found > ENOUGH


def test_less_than_a_week_teaches_nothing_and_one_week_counts_for_four(store: redis.Redis) -> None:
    assert expected(store, NOW - HOUR, epoch=NOW - 7 * DAY) is None
    assert expected(store, NOW - 14 * DAY - HOUR, NOW - 14 * DAY, epoch=NOW - 22 * DAY) == pytest.approx(40)


@pytest.mark.parametrize(("arrived", "is_one"), [(100, False), (136, True), (400, True)])
def test_a_storm_is_more_than_usual_and_more_than_half_of_the_writes(
    store: redis.Redis, arrived: int, is_one: bool
) -> None:
    store.hset(f"{prefix('acme')}stats:minute:{NOW // 60_000 - 1}", mapping={"in accepted": arrived, "in refused x": 9})
    with Store(store) as run:
        assert is_storm(run, "acme", NOW, POSTS) == (arrived if is_one else 0)


def test_what_is_usual_at_this_hour_is_no_storm(store: redis.Redis) -> None:
    for week in range(1, 5):
        store.hset(f"{prefix('acme')}stats:hour:{NOW // HOUR - 168 * week}", mapping={"in accepted": 6_000})
    store.hset(f"{prefix('acme')}stats:minute:{NOW // 60_000 - 1}", mapping={"in accepted": 400})
    with Store(store) as run:
        assert is_storm(run, "acme", NOW, POSTS) == 0
