"""The memory of the store: used, limit, and the days that are left."""

import pytest
import redis

from tests.support.stores import running, untyped
from workers.store.client import connect, store_time
from workers.store.keys import MEMORY_USED
from workers.store.usage import DAY, HOUR, KEPT, Usage, describe_usage, note_usage, read_usage

MB = 1_000_000


def grow(store: redis.Redis, hours: int, per_day: float) -> None:
    """Note how much memory was used in the last hours."""
    now = store_time(store) // HOUR
    notes = {str(now - ago): round(100 * MB - ago * per_day / 24) for ago in range(hours + 1)}
    store.hset(MEMORY_USED, mapping=notes)  # type: ignore[arg-type]


def test_the_memory_is_noted_once_an_hour_and_for_some_days(store: redis.Redis) -> None:
    old = store_time(store) // HOUR - KEPT // HOUR - 2
    store.hset(MEMORY_USED, str(old), 1)
    note_usage(store)
    noted = untyped(store).hgetall(MEMORY_USED)
    note_usage(store)
    assert untyped(store).hgetall(MEMORY_USED) == noted
    assert len(noted) == 1
    assert int(*noted.values()) > 100_000
    assert 0 < untyped(store).pttl(MEMORY_USED) <= KEPT


@pytest.mark.parametrize(("hours", "known"), [(0, False), (23, False), (24, True), (100, True)])
def test_the_rate_is_known_after_a_day(store: redis.Redis, hours: int, known: bool) -> None:
    grow(store, hours, 5 * MB)
    usage = read_usage(store)
    assert usage.measured == hours * HOUR
    assert usage.growth == (pytest.approx(5 * MB, rel=0.01) if known else None)


def test_the_limit_of_the_server_is_read() -> None:
    with running("valkey", "--maxmemory", "64mb") as url, connect(url) as client:
        usage = read_usage(client)
    assert usage.limit == 64 * 1024 * 1024
    assert usage.used


def test_a_server_without_a_limit_says_so(store: redis.Redis) -> None:
    usage = read_usage(store)
    assert usage.limit is None
    assert not usage.is_scarce
    assert "has no limit (maxmemory)" in describe_usage(usage)


def test_a_server_that_hides_its_memory_is_not_guessed(store: redis.Redis, valkey_url: str) -> None:
    untyped(store).acl_setuser("quiet", enabled=True, passwords=["+x"], commands=["+@all", "-info"], keys=["*"])
    with redis.Redis(unix_socket_path=valkey_url.removeprefix("unix://"), username="quiet", password="x") as client:
        note_usage(client)
        usage = read_usage(client)
    untyped(store).acl_deluser("quiet")
    assert (usage.used, usage.limit, usage.days_left, usage.is_scarce) == (None, None, None, False)
    assert describe_usage(usage) == "its memory cannot be read: its user may not run INFO, or the server hides it"
    assert not store.exists(MEMORY_USED)


@pytest.mark.parametrize(
    ("usage", "days", "scarce", "text"),
    [
        (Usage(100 * MB, 500 * MB, 5.0 * MB, 5 * DAY), 80, False, "full in 80 days"),
        (Usage(100 * MB, 500 * MB, 50.0 * MB, 5 * DAY), 8, True, "50 MB per day over the last 5 d"),
        (Usage(450 * MB, 500 * MB, 0.0, 5 * DAY), None, True, "50 MB left; it did not grow over the last 5 d"),
        (Usage(600 * MB, 500 * MB, 1.0, 5 * DAY), 0, True, "0 kB left"),
        (Usage(100 * MB, 500 * MB, -1.0, 5 * DAY), None, False, "did not grow"),
        (Usage(100 * MB, 1500 * MB, None, 3 * HOUR), None, False, "of 1.5 GB of memory, 1.4 GB left; how long"),
    ],
)
def test_what_is_left_is_described(usage: Usage, days: float | None, scarce: bool, text: str) -> None:
    assert usage.days_left == days
    assert usage.is_scarce == scarce
    assert text in describe_usage(usage)
