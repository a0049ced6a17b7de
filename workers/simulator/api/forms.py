"""Validation with HappyFox's own words: system fields end with a full stop, custom fields do not."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from workers.simulator.world import split

REQUIRED = "This field is required."
REQUIRED_FIELD = "This field is required"
NOT_A_CHOICE = "Select a valid choice. That choice is not one of the available choices."
UNFILLED = "This field should be filled before marking this ticket as completed"


class RefusedError(Exception):
    """A call that is answered with an error: the status, and what stands in the body."""

    def __init__(self, status: int, payload: Any) -> None:
        super().__init__(status, payload)
        self.status = status
        self.payload = payload


class InvalidError(RefusedError):
    """A call refused by validation."""


class Form:
    """The members of a request body, read one by one; all complaints are made at once by `refuse_if_wrong`.

    An empty string is the same as an absent member, since forms cannot leave one out (assumed).
    """

    def __init__(self, members: Any) -> None:
        if not isinstance(members, Mapping):
            raise RefusedError(400, {"error": "The body must be an object."})
        self.members: Mapping[str, Any] = members
        self.errors: dict[str, list[str]] = {}

    def complain(self, name: str, text: str) -> None:
        """Add an error to a field."""
        self.errors.setdefault(name, []).append(text)

    def refuse_if_wrong(self) -> None:
        """Raise a 400 in the shape of the tickets article if anything was wrong."""
        if self.errors:
            listed = [{"field": name, "errors": texts} for name, texts in self.errors.items()]
            raise InvalidError(400, {"error": listed})

    def given(self, name: str) -> bool:
        """Whether the member is there, be it null."""
        return name in self.members

    def text(self, name: str, *, required: bool = False) -> str:
        """A string, empty when absent."""
        value = self.members.get(name)
        if value in (None, ""):
            if required:
                self.complain(name, REQUIRED)
            return ""
        return value if isinstance(value, str) else str(value)

    def integer(self, name: str) -> int | None:
        """A whole number, as such or as digits."""
        value = self.members.get(name)
        if value in (None, ""):
            return None
        number = whole(value)
        if number is None:
            self.complain(name, "Enter a whole number.")
        return number

    def boolean(self, name: str) -> bool:
        """A boolean, as such or as `true` in any case."""
        value = self.members.get(name)
        return value is True or str(value).lower() in ("true", "1")

    def needed(self, name: str, table: Mapping[int, Any]) -> int:
        """The id of a member of a table that has to be given; 0 after a complaint."""
        if self.members.get(name) in (None, ""):
            self.complain(name, REQUIRED)
        return self.choice(name, table) or 0

    def choice(self, name: str, table: Mapping[int, Any]) -> int | None:
        """The id of a member of a table."""
        value = self.members.get(name)
        if value in (None, ""):
            return None
        number = whole(value)
        if number is None or number not in table:
            self.complain(name, NOT_A_CHOICE)
            return None
        return number

    def choices(self, name: str, table: Mapping[int, Any]) -> list[int]:
        """The ids in a list, or in a form's single member."""
        value = self.members.get(name)
        given = value if isinstance(value, list) else [] if value in (None, "") else [value]
        numbers = [number for number in map(whole, given) if number is not None and number in table]
        if len(numbers) < len(given):
            self.complain(name, NOT_A_CHOICE)
        return numbers

    def tags(self, name: str) -> tuple[str, ...]:
        """The members of a comma-separated string."""
        return tuple(split(self.text(name)))

    def date(self, name: str) -> str | None:
        """A day as `yyyy-mm-dd` or `dd/mm/yyyy`, returned in the first form."""
        value = self.text(name)
        day = None if not value else read_date(value)
        if value and day is None:
            self.complain(name, "Enter a valid date.")
        return day

    def time(self, name: str) -> float | None:
        """A time as `yyyy-mm-ddThh:mm:ss[.ms]`, UTC, in epoch seconds."""
        value = self.text(name)
        if not value:
            return None
        try:
            return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
        except ValueError:
            self.complain(name, "Enter a valid date/time.")
            return None


def whole(value: Any) -> int | None:
    """A whole number from a number or digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,15}\s*", value):
        return int(value)
    return None


def read_date(value: str) -> str | None:
    """A day as `yyyy-mm-dd`, read from that form or `dd/mm/yyyy`."""
    try:
        if "/" in value:
            day, month, year = value.split("/")
            return date(int(year), int(month), int(day)).isoformat()
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None
