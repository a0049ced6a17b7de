"""Hours of a week in a time zone, as `Mon-Fri 09:00-17:00 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from workers.errors import suggest

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

FORM = re.compile(r"(?:([A-Za-z,\- ]+?)\s+)?(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)\s+(\S+)")

EXAMPLE = "write them as Mon-Fri 09:00-17:00 Europe/Berlin"


@dataclass(frozen=True, slots=True)
class Hours:
    """Days of the week (0 is Monday) and the minutes of a day from `start` until before `end`.

    An `end` that is not after `start` lies on the next day: Fri 22:00-06:00 lasts until Saturday morning.
    """

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def hold(self, now: datetime) -> bool:
        """Tells whether an aware time lies within these hours."""
        local = now.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def hours(text: str) -> Hours:
    """Reads hours; without days they are those of every day. Raises ValueError with "problem; cure"."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} cannot be read as hours; {EXAMPLE}")
    days, start, end = _days(found[1] or "mon-sun"), _minute(found[2]), _minute(found[3])
    if start == end or start == 24 * 60:
        raise ValueError(f"{text!r} is no span of time; a whole day is 00:00-24:00")
    return Hours(days, start, end, _zone(found[4]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = _day(first)
        days |= {(start + step) % 7 for step in range((_day(last or first) - start) % 7 + 1)}
    return frozenset(days)


def _day(text: str) -> int:
    name = text.strip().lower()
    for number, day in enumerate(DAYS):
        if len(name) >= 3 and day.startswith(name):
            return number
    raise ValueError(f"no day {text.strip()!r}; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"no time {text!r}; a day goes from 00:00 to 24:00")
    return hour * 60 + minute


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, as Europe
        cure = suggest(name, available_timezones(), "time zones have names such as Europe/Berlin or UTC")
        raise ValueError(f"no time zone {name!r}; {cure}") from None
