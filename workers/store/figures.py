"""Figures: how often what happened, by minute, by hour and since ever; see ``lua/figures.lua`` for how they are stored.

Whatever counts passes its figures as an argument to the script that does what is counted, packed by ``pack``. Whoever
reads asks for minutes, hours or the totals of an account and gets ``Figures``, for example

    [now] = read_hours(store, "acme", [hour_of(store_time(client))])
    now.sum("in", "accepted")                    deliveries of this hour
    now.sum("call", "get"), now.by("call")       reads; calls by method
    now.by("handler", "failed")                  failed runs by handler
    now.quantile(CALL, 0.95, "get")              seconds within which 95 of 100 reads were answered

A field is a family and its labels, with spaces between them; only the last label may contain spaces. ``FAMILIES`` lists
them. Labels come from closed lists or from the configuration, never from a ticket.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from workers.store.client import Store
from workers.store.scripts import Args, Script

#: The families, with the labels of their fields, in order. In a histogram, ``le`` is the upper limit of a bucket, which
#: is ``inf`` for the last one, or ``sum``: then the field is the sum of all values.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "in": (
        "outcome",
        "reason",
    ),  # deliveries: accepted, duplicate, quarantined, corrupt, refused; only these have a reason
    "ack_us": ("le",),  # from a delivery's first byte to its answer
    "lag_ms": ("le",),  # from the receipt of a delivery to the end of its turn
    "turn": ("end",),  # acted, no-action, nothing-new, parked
    "change": ("kind",),  # what happened to tickets, as handlers see it
    "handler": ("verdict", "handler"),  # runs of handlers: decided, retrying, dead
    "handler_ms": ("le", "handler"),  # how long they took
    "call": ("method", "outcome"),  # calls that left, by their permits' outcomes; unknown if the worker died
    "call_ms": ("le", "method"),
    "effect": ("kind", "end"),
    "write": ("router",),  # calls that effects of handlers have made, by the router of the first handler that asked
    "dead_letter": ("handler",),
    "loop_guard": (),  # how often it tripped
    "saved": (),  # calls that folding saved
}


class Histogram(NamedTuple):
    """A family of values, which are counted in buckets."""

    family: str
    unit: int
    """How many units of the stored values are a second."""
    limits: tuple[int, ...]
    """The upper limits of its buckets, in these units."""

    def observe(self, counted: dict[str, int], value: int, label: str = "") -> None:
        """Add a value to figures."""
        number = bisect_left(self.limits, value)
        bucket, total = _fields_of(self.family, self.limits[number] if number < len(self.limits) else None, label)
        counted[bucket] = counted.get(bucket, 0) + 1
        counted[total] = counted.get(total, 0) + max(0, value)


@lru_cache(2048)
def _fields_of(family: str, limit: int | None, label: str) -> tuple[str, str]:
    """Return the fields of a bucket and of the sum."""
    bucket, total = f"{family} {limit or 'inf'} {label}", f"{family} sum {label}"
    return bucket.rstrip(), total.rstrip()


ACK = Histogram(
    "ack_us", 1_000_000, (1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000)
)
LAG = Histogram(
    "lag_ms", 1000, (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)
)
HANDLER = Histogram("handler_ms", 1000, (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000))
CALL = Histogram("call_ms", 1000, (25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 15_000, 60_000))
HISTOGRAMS = {each.family: each for each in (ACK, LAG, HANDLER, CALL)}

#: How many hours are kept, and the outcome of a call that was refused because there were too many.
HOURS_KEPT, LIMITED = 35 * 24, "limited"

#: The outcomes of calls that have not left this process.
NOT_SENT = ("unsent", "unreachable")

_pack = msgspec.msgpack.Encoder().encode


def pack(counted: Mapping[str, int]) -> bytes:
    """Return figures as scripts take them."""
    return _pack(counted) if counted else b""


def count_call(method: str, outcome: str, took: int) -> bytes:
    """Return the figures of a call that took this many ms; whatever is not a GET counts as post."""
    if outcome in NOT_SENT:
        return b""
    kind = "get" if method.lower() == "get" else "post"
    counted = {f"call {kind} {outcome}": 1}
    CALL.observe(counted, took, kind)
    return pack(counted)


@lru_cache(64)
def count_turn(end: str) -> bytes:
    """Return the figures of a turn of which nothing but its end is counted."""
    return pack({f"turn {end}": 1})


class Figures:
    """What was counted in some time: sums by their fields."""

    def __init__(self, counted: Mapping[str, int] | None = None) -> None:
        self.counted = counted or {}

    def __bool__(self) -> bool:
        return bool(self.counted)

    def __add__(self, other: "Figures") -> "Figures":
        return add([self, other])

    def sum(self, family: str, *labels: str) -> int:
        """Return the sum of the fields of a family whose first labels are these."""
        return sum(n for _, n in self.fields(family, *labels))

    def by(self, family: str, *labels: str) -> dict[str, int]:
        """Return the sums of the fields of a family whose first labels are these, by the next label."""
        found: dict[str, int] = {}
        for values, n in self.fields(family, *labels):
            label = values[len(labels)] if len(values) > len(labels) else ""
            found[label] = found.get(label, 0) + n
        return found

    def fields(self, family: str, *labels: str) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the labels and the sum of each field of a family whose first labels are these."""
        names, length = FAMILIES[family], len(labels)
        for field, n in self.counted.items():
            found, *values = field.split(" ", len(names)) if names else [field]
            if found == family and tuple(values[:length]) == labels:
                yield tuple(values), n

    def buckets(self, histogram: Histogram, label: str = "") -> tuple[list[tuple[float, int]], float]:
        """Return how many values were within each limit (s), cumulative, the last limit infinite; and their sum (s)."""
        found: dict[str, int] = {}
        for (limit, *rest), n in self.fields(histogram.family):
            if not label or rest == [label]:
                found[limit] = found.get(limit, 0) + n
        total, result = 0, []
        for limit_ in (*histogram.limits, None):
            total += found.get(str(limit_ or "inf"), 0)
            result.append((limit_ / histogram.unit if limit_ else float("inf"), total))
        return result, found.get("sum", 0) / histogram.unit

    def quantile(self, histogram: Histogram, part: float, label: str = "") -> float | None:
        """Return the limit (s) of the bucket within which this part of the values is; None if there are none."""
        buckets, _ = self.buckets(histogram, label)
        count = buckets[-1][1]
        return next(limit for limit, n in buckets if n >= part * count) if count else None


def add(several: Iterable[Figures]) -> Figures:
    """Return the sum of figures."""
    sums: dict[str, int] = {}
    for each in several:
        for field, n in each.counted.items():
            sums[field] = sums.get(field, 0) + n
    return Figures(sums)


#: How many hashes one script reads at most.
AT_ONCE = 120

MINUTE, HOUR, WEEK = 60_000, 3_600_000, 604_800_000


def minute_of(now: int) -> int:
    """Return the number of the minute of a time (ms)."""
    return now // MINUTE


def hour_of(now: int) -> int:
    """Return the number of the hour of a time (ms)."""
    return now // HOUR


def read_minutes(store: Store, account: str, minutes: Sequence[int]) -> list[Figures]:
    """Return the figures of each of these minutes, kept for 26 hours."""
    return _read(store, account, [f"minute:{minute}" for minute in minutes])


def read_hours(store: Store, account: str, hours: Sequence[int]) -> list[Figures]:
    """Return the figures of each of these hours, kept for 35 days."""
    return _read(store, account, [f"hour:{hour}" for hour in hours])


def read_lockouts(store: Store, account: str, now: int) -> list[tuple[int, int]]:
    """Return the hours (ms) of the last 35 days in which HappyFox locked the account out, latest first.

    With each hour comes how many calls were refused in it because there were too many.
    """
    last = hour_of(now)
    hours = range(last, last - HOURS_KEPT, -1)
    refused = (
        sum(each.sum("call", method, LIMITED) for method in ("get", "post"))
        for each in read_hours(store, account, hours)
    )
    return [(hour * HOUR, count) for hour, count in zip(hours, refused, strict=True) if count]


def read_totals(store: Store, account: str) -> Figures:
    """Return what was counted since the store is in use; these sums never fall."""
    return _read(store, account, ["totals"])[0]


def read_same_hours(store: Store, account: str, now: int, weeks: int = 4) -> list[Figures]:
    """Return the figures of the same hour of each of the last weeks, the latest first."""
    return read_hours(store, account, [hour_of(now) - 7 * 24 * week for week in range(1, weeks + 1)])


def _read(store: Store, account: str, names: Sequence[str]) -> list[Figures]:
    found: list[Figures] = []
    for start in range(0, len(names), AT_ONCE):
        args: Args = [*names[start : start + AT_ONCE]]
        found += store.run(Script("read_figures", account, args, lambda raw: [*map(_figures, raw)]))
    return found


def _figures(raw: Sequence[bytes]) -> Figures:
    return Figures({field.decode(): int(n) for field, n in zip(raw[::2], raw[1::2], strict=True)})


#: Outcomes of deliveries that show that webhooks arrive.
ARRIVED = ("accepted", "duplicate", "quarantined")

#: The weeks from which silence is learned, and the longest silence (h) that is compared with them.
WEEKS, LONGEST_SILENCE = 4, 72


def expected_deliveries(store: Store, account: str, since: int, now: int, known_from: int) -> float | None:
    """Return how many deliveries came on average in the hours of the last weeks that match ``since`` to ``now`` (ms).

    None: the store has been in use for less than a week, since ``known_from``. Nights, weekends and quiet accounts
    expect few, so that the number can be compared with one limit.
    """
    weeks = range(1, min(WEEKS, (now - known_from) // WEEK) + 1)
    since = max(since, now - LONGEST_SILENCE * HOUR)
    hours = range(hour_of(since), hour_of(now) + 1)
    if not weeks:
        return None
    found = read_hours(store, account, [hour - week * 168 for week in weeks for hour in hours])
    parts = [(min(now, (hour + 1) * HOUR) - max(since, hour * HOUR)) / HOUR for hour in hours] * len(weeks)
    brought = (sum(each.sum("in", outcome) for outcome in ARRIVED) for each in found)
    return sum(part * n for part, n in zip(parts, brought, strict=True)) / len(weeks)
