"""Hours in conditions."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.errors import seconds
from workers.tickets.hours import Hours, hours

OFFICE = hours("Mon-Fri 09:00-17:00 Europe/Berlin")
NIGHT = hours("Fri 22:00-06:00 UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "within"),
    [
        ("2026-01-05 08:00", True),  # Monday, 09:00 in Berlin
        ("2026-01-05 07:59", False),
        ("2026-01-05 15:59", True),
        ("2026-01-05 16:00", False),
        ("2026-01-04 12:00", False),  # Sunday
        ("2026-07-06 07:00", True),  # 09:00 in Berlin's summer
    ],
)
def test_hours_use_their_time_zone_and_exclude_the_end(now: str, within: bool) -> None:
    assert OFFICE.contain(at(now)) is within


@pytest.mark.parametrize(
    ("now", "within"),
    [
        ("2026-01-09 22:00", True),  # Friday
        ("2026-01-10 05:59", True),
        ("2026-01-10 06:00", False),
        ("2026-01-10 22:00", False),
        ("2026-01-09 05:00", False),
    ],
)
def test_hours_past_midnight_belong_to_the_day_they_start(now: str, within: bool) -> None:
    assert NIGHT.contain(at(now)) is within


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("00:00-24:00 UTC", {0, 1, 2, 3, 4, 5, 6}),
        ("Mon,Wed 09:00-12:00 UTC", {0, 2}),
        ("Mon-Wed, Sat 09:00-12:00 UTC", {0, 1, 2, 5}),
        ("Fri-Mon 09:00-12:00 UTC", {4, 5, 6, 0}),
        ("monday - friday 9:00 - 12:00 UTC", {0, 1, 2, 3, 4}),
    ],
)
def test_days_can_be_ranges_lists_and_full_names(text: str, days: set[int]) -> None:
    assert hours(text).days == days


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write them as Mon-Fri"),
        ("Mon-Fri 09:00-17:00", "write them as Mon-Fri"),
        ("Mon 9-17 Europe/Berlin", "write them as Mon-Fri"),
        ("Mun-Fri 09:00-17:00 UTC", "no day 'Mun'"),
        ("Monkey 09:00-17:00 UTC", "no day 'Monkey'"),
        ("Mon-Fri 09:60-17:00 UTC", "no time '09:60'"),
        ("Mon-Fri 09:00-25:00 UTC", "no time '25:00'"),
        ("Mon-Fri 09:00-09:00 UTC", "an empty span of time; a whole day is 00:00-24:00"),
        ("Mon-Fri 24:00-06:00 UTC", "an empty span of time"),
        ("Mon-Fri 09:00-17:00 Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("Mon-Fri 09:00-17:00 Europe", "no time zone 'Europe'"),
        ("Mon-Fri 09:00-17:00 CEST", "not a time zone but its abbreviation; write the zone, such as Europe/Berlin"),
        ("Mon-Fri 09:00-17:00 pst", "such as America/Los_Angeles"),
        ("Mon-Fri 09:00-17:00 ../../etc/passwd", "no time zone"),
    ],
)
def test_invalid_hours_are_reported_with_a_fix(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="; ") as raised:
        hours(text)
    assert says in str(raised.value)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "span", "due"),
    [
        ("2026-01-05 08:00", "2h", "2026-01-05 10:00"),  # Monday, 09:00 in Berlin
        ("2026-01-05 06:00", "2h", "2026-01-05 10:00"),  # before opening
        ("2026-01-09 15:00", "2h", "2026-01-12 09:00"),  # from Friday 16:00 to Monday 10:00
        ("2026-01-10 12:00", "1m", "2026-01-12 08:01"),  # on a Saturday
        ("2026-01-05 08:00", "8h", "2026-01-05 16:00"),  # to the very end of a day
        ("2026-01-05 08:00", "3d", "2026-01-15 16:00"),  # nine days of eight hours
        ("2026-03-27 15:00", "2h", "2026-03-30 08:00"),  # across the change to summer time
    ],
)
def test_time_within_hours_is_added(start: str, span: str, due: str) -> None:
    assert OFFICE.add(utc(start), timedelta(seconds=seconds(span))) == utc(due)


def test_time_is_added_across_midnight() -> None:
    assert NIGHT.add(utc("2026-01-09 23:00"), timedelta(hours=3)) == utc("2026-01-10 02:00")
    assert NIGHT.add(utc("2026-01-10 03:00"), timedelta(hours=4)) == utc("2026-01-16 23:00")
    assert utc("2026-01-10 03:00") in NIGHT
    assert utc("2026-01-10 07:00") not in NIGHT


def test_a_router_can_have_hours_as_a_setting() -> None:
    assert Hours.from_settings("Mon-Fri 09:00-17:00 Europe/Berlin", "x") == OFFICE
    for wrong in ("Mon-Fri", 9, None):
        with pytest.raises(ValueError, match=r"router\.vip, open: "):
            Hours.from_settings(wrong, "router.vip, open")
