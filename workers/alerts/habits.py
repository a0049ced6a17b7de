"""What usually comes in: learned from the same hours of the last four weeks, so that nights and weekends are known."""

from collections.abc import Sequence

from workers.store.client import Store
from workers.store.figures import Figures, hour_of, read_hours, read_minutes, read_same_hours

#: What is learned from, and how much of it: more than this came in these hours of four weeks together.
WEEKS, ENOUGH = 4, 8

HOUR, WEEK = 3_600_000, 7 * 86_400_000

#: How many times more than usual is a storm.
STORM = 5


def expected_since(store: Store, account: str, last: int, now: int, epoch: int) -> float | None:
    """Return how many deliveries came in the same hours of four weeks, between ``last`` and ``now`` (ms).

    The store knows the account since ``epoch``; None if that is less than a week before ``last``. With fewer than four
    weeks, those that are known count for the others. More than a week back, nothing more is learned.
    """
    weeks = min(WEEKS, (last - epoch) // WEEK) if epoch else 0
    if weeks < 1:
        return None
    begin = max(last, now - WEEK)
    hours = range(hour_of(begin), hour_of(now) + 1)
    found = 0.0
    for week in range(1, weeks + 1):
        counted = read_hours(store, account, [hour - week * WEEK // HOUR for hour in hours])
        found += sum(_part(hour, begin, now) * deliveries(each) for hour, each in zip(hours, counted, strict=True))
    return found * WEEKS / weeks


def _part(hour: int, begin: int, end: int) -> float:
    """Return which part of an hour is between two times."""
    return max(0, min(end, (hour + 1) * HOUR) - max(begin, hour * HOUR)) / HOUR


def is_storm(store: Store, account: str, now: int, posts: float) -> int:
    """Return the deliveries of the last full minute if they are a storm, else 0.

    They are one if they are many times what this hour of the last weeks brought per minute, and more than half of the
    ``posts`` that are allowed in a minute.
    """
    [minute] = read_minutes(store, account, [now // 60_000 - 1])
    arrived, usual = deliveries(minute), _mean(read_same_hours(store, account, now)) / 60
    return arrived if arrived > max(STORM * usual, posts / 2) else 0


def _mean(hours: Sequence[Figures]) -> float:
    known = [deliveries(each) for each in hours if each]
    return sum(known) / len(known) if known else 0.0


def deliveries(counted: Figures) -> int:
    """Return how many deliveries HappyFox has made."""
    return counted.sum("in") - counted.sum("in", "refused")
