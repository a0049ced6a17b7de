"""Hours of the week in a time zone, `Mon-Fri 09:00-17:00 Europe/Berlin`, and ages: `10m`."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from workers.errors import LONGEST, seconds, suggest

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = re.compile(r"(?:([A-Za-z,\- ]+?)\s+)?(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Hours:
    """Days of the week (0 is Monday) and a span in minutes of the day, without `end` itself.

    If `end` is not after `start`, it is on the next day: Fri 22:00-06:00 ends on Saturday morning.
    """

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    @classmethod
    def from_settings(cls, value: Any, where: str) -> "Hours":
        """Read hours in a router's settings; ``where`` is the place in the file."""
        try:
            return hours(value)
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{where}: {error if isinstance(error, ValueError) else 'not a text'}") from None

    def __contains__(self, now: object) -> bool:
        return isinstance(now, datetime) and self.contain(now)

    def add(self, start: datetime, span: timedelta) -> datetime:
        """Return when this much time within the hours has passed since ``start``, in UTC; at most 100 years later."""
        left, day = span, start.astimezone(self.zone).date() - timedelta(days=1)
        for _ in range(36_525):
            if day.weekday() in self.days:
                begins, ends = self._at(day, self.start), self._at(day, self.end + (self.end <= self.start) * 1440)
                begins = max(begins, start.astimezone(UTC))
                if begins < ends and left <= ends - begins:
                    return begins + left
                left -= max(ends - begins, timedelta(0))
            day += timedelta(days=1)
        raise ValueError(f"{span} of these hours take more than 100 years; use a shorter time")

    def _at(self, day: date, minutes: int) -> datetime:
        """Return a minute of a day in UTC; those after 24:00 are on the next day."""
        local = datetime.combine(day + timedelta(days=minutes // 1440), time(), self.zone)
        return local.replace(hour=minutes % 1440 // 60, minute=minutes % 60).astimezone(UTC)

    def contain(self, now: datetime) -> bool:
        """Return whether a time is within the hours; ``now in hours`` is the same."""
        local = now.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def hours(text: str) -> Hours:
    """Parse hours; without days they apply to every day. Raise ValueError with "problem; fix"."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} cannot be read as hours; write them as Mon-Fri 09:00-17:00 Europe/Berlin")
    days, start, end = _days(found[1] or "mon-sun"), _minute(found[2]), _minute(found[3])
    if start in (end, 24 * 60):
        raise ValueError(f"{text!r} is an empty span of time; a whole day is 00:00-24:00")
    return Hours(days, start, end, zone(found[4]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start = _day(first)
        days |= {(start + step) % 7 for step in range((_day(last or first) - start) % 7 + 1)}
    return frozenset(days)


def _day(text: str) -> int:
    name = text.strip().lower()
    for number, day in enumerate(_DAYS):
        if len(name) >= 3 and day.startswith(name):
            return number
    raise ValueError(f"no day {text.strip()!r}; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"no time {text!r}; a day goes from 00:00 to 24:00")
    return hour * 60 + minute


#: A place for each common abbreviation that is no zone. Similar names are zones elsewhere: CEST is not EST.
ABBREVIATED = {
    "CEST": "Europe/Berlin",
    "BST": "Europe/London",
    "EEST": "Europe/Helsinki",
    "WEST": "Europe/Lisbon",
    "EDT": "America/New_York",
    "CDT": "America/Chicago",
    "CST": "America/Chicago",
    "MDT": "America/Denver",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "AKST": "America/Anchorage",
    "BRT": "America/Sao_Paulo",
    "IST": "Asia/Kolkata",
    "SGT": "Asia/Singapore",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "GST": "Asia/Dubai",
    "MSK": "Europe/Moscow",
    "SAST": "Africa/Johannesburg",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "AWST": "Australia/Perth",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
}


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name; raise ValueError with "problem; fix"."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, for example Europe
        if place := ABBREVIATED.get(name.upper()):
            raise ValueError(
                f"{name!r} is not a time zone but its abbreviation; write the zone, such as {place}"
            ) from None
        fix = suggest(name, available_timezones(), "time zones have names such as Europe/Berlin or UTC")
        raise ValueError(f"no time zone {name!r}; {fix}") from None


def age(text: str) -> timedelta:
    """Parse the age of a change; raise ValueError with "problem; fix"."""
    try:
        found = seconds(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= LONGEST:
        raise ValueError(f"{text!r} is not an age; write it as 90s, 10m, 2h or 1d")
    return timedelta(seconds=found)
