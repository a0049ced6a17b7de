"""What was counted in an account, in equal steps of time, for programs that draw charts."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from service.dashboard.reading import Reader
from workers.errors import seconds
from workers.store.figures import HOUR, MINUTE, add, read_hours, read_minutes

#: How long the figures of a minute and of an hour are kept (ms), and the most steps of one answer.
MINUTES_KEPT, HOURS_KEPT, STEPS = 26 * HOUR, 35 * 24 * HOUR, 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one step, by family and labels, such as `in accepted` or `call get done`."""

    at: int
    """When it begins (ms)."""
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Series:
    """What was counted, oldest step first; the last one may not be over."""

    begin: int
    """The first step's beginning (ms)."""
    end: int
    """The last step's end (ms)."""
    step_seconds: int
    items: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which steps to return (ms)."""

    begin: int
    end: int
    step: int


def choose(query: Mapping[str, str], now: int) -> Chosen:
    """Return what the parameters select; without them, each minute of the last hour."""
    begin, end = _time(query, "from", "1h", now), _time(query, "to", "0s", now)
    step = _duration(query, "step", "1m")
    if step < MINUTE or step % MINUTE:
        raise HTTPException(400, "step: give whole minutes or hours, such as 5m or 1h.")
    if begin > end:
        raise HTTPException(400, "from: give a time before `to`.")
    begin, end = begin // step * step, end // step * step + step
    if (end - begin) // step > STEPS:
        raise HTTPException(400, f"There are more than {STEPS:,} steps: give a longer step or a later beginning.")
    if step % HOUR and begin < now // step * step - MINUTES_KEPT:
        raise HTTPException(400, "Minutes are kept for 26 hours: give a step of whole hours, such as 1h.")
    if begin < now // step * step - HOURS_KEPT:
        raise HTTPException(400, "Hours are kept for 35 days: give a later beginning.")
    return Chosen(begin, end, step)


def _time(query: Mapping[str, str], name: str, usual: str, now: int) -> int:
    """Return a time (ms), given as such or as an age."""
    text = query.get(name, "").strip()
    if text.isdecimal() and len(text) >= 12:
        return min(now, int(text[:15]))
    return now - _duration(query, name, usual)


def _duration(query: Mapping[str, str], name: str, usual: str) -> int:
    try:
        return int(seconds(query.get(name, "").strip() or usual) * 1000)
    except ValueError as wrong:
        raise HTTPException(400, f"{name}: {wrong}.") from None


def read(reader: Reader, account: str, chosen: Chosen) -> Series:
    """Read the chosen steps, each the sum of its hours or of its minutes."""
    hourly = chosen.step % HOUR == 0
    unit, read_some = (HOUR, read_hours) if hourly else (MINUTE, read_minutes)
    found = read_some(reader.store, account, range(chosen.begin // unit, chosen.end // unit))
    width = chosen.step // unit
    items = (
        Step(chosen.begin + number * chosen.step, add(found[number * width : (number + 1) * width]).counted)
        for number in range((chosen.end - chosen.begin) // chosen.step)
    )
    return Series(chosen.begin, chosen.end, chosen.step // 1000, tuple(items))
