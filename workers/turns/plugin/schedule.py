"""Schedules: how often a search runs, for which tickets. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.errors import seconds
from workers.models.ticket import TicketRead

#: The shortest and the longest period (s): a search costs calls, and what comes once in a year nobody waits for.
SHORTEST, LONGEST = 60.0, 366 * 86_400.0

#: How many characters a search may have: it stands in an address.
LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A search that runs every ``period`` ms and finds the tickets that nobody has changed for ``older_than`` ms."""

    period: int
    find: str
    older_than: int = 0

    @property
    def words(self) -> str:
        """Says how often it searches, and for what."""
        age = f", older than {_told(timedelta(milliseconds=self.older_than))}" if self.older_than else ""
        return f"{_told(timedelta(milliseconds=self.period))}: {self.find}{age}"

    def query(self, now: int) -> str:
        """Gives the search as HappyFox takes it at ``now`` (ms).

        It compares whole days in a time zone that is not documented: a day more lets none slip through, and
        ``refusal`` looks at the time of each ticket.
        """
        if not self.older_than:
            return self.find
        day = datetime.fromtimestamp((now - self.older_than) / 1000, UTC) + timedelta(days=1)
        return f'{self.find} last-modified-on-or-before:"{day:%Y/%m/%d}"'

    def refusal(self, ticket: TicketRead, now: datetime) -> str:
        """Tells why the ticket, as read, is not meant; empty when it is."""
        if not self.older_than or ticket.modified_at is None:
            return ""
        age = now - ticket.modified_at
        if age >= timedelta(milliseconds=self.older_than):
            return ""
        return f"the ticket was changed {_told(age)} ago, wanted {_told(timedelta(milliseconds=self.older_than))}"


def schedule(period: Any, find: object, older_than: Any = None) -> Schedule:
    """Makes a schedule of what a handler or a rule gives. Raises ValueError: what is wrong; the cure."""
    if not isinstance(find, str) or not find.strip():
        raise ValueError("find is empty; write a search, as find='status:\"On Hold\"'")
    if not find.strip().isprintable() or len(find) > LARGEST:
        raise ValueError(f"find: a search has one line, of {LARGEST} characters at most; correct it")
    given = _duration("a period", period)
    if not SHORTEST <= given <= LONGEST:
        raise ValueError(f"a period of {period!r} cannot be; it is 1m at least and 366d at most")
    age = 0.0 if older_than is None else _duration("older_than:", older_than)
    if not 0 <= age <= 100 * LONGEST:
        raise ValueError(f"older_than: {older_than!r} cannot be; write it as 14d")
    return Schedule(round(given * 1000), find.strip(), round(age * 1000))


def _duration(what: str, given: Any) -> float:
    try:
        return seconds(given)
    except ValueError:
        raise ValueError(f"{what} {given!r} cannot be read; write it as 30m, 1h or 14d") from None


def _told(age: timedelta) -> str:
    whole = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
