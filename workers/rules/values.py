"""Compare values as what they are: texts folded, numbers as numbers, dates as dates, several choices one by one.

Two values are equal if they have a key in common. What a rule expects and what a ticket has get their keys separately,
because `"1.10"` in a rule is a number only if the field holds numbers.
"""

import re
from collections.abc import Hashable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from workers.tickets.fields import FieldValue
from workers.tickets.folding import fold
from workers.tickets.model import Named, day

#: What a rule can compare with.
Expected = str | int | float | date

_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")


def expected_keys(value: Expected) -> frozenset[Hashable]:
    """Return the keys of a value in a rule; `date` includes times, of which only the day counts."""
    if isinstance(value, bool):
        return frozenset([str(value).lower()])
    if isinstance(value, date):
        return frozenset([value.date() if isinstance(value, datetime) else value])
    if not isinstance(value, str):
        return frozenset([Decimal(str(value))])
    typed = ((kind, read) for kind, read in (("number", _number(value)), ("date", _day(value))) if read is not None)
    return frozenset([fold(value), *typed])


def keys_of(value: Named | FieldValue) -> frozenset[Hashable]:
    """Return the keys of a value on a ticket."""
    if isinstance(value, Named):
        return frozenset([fold(value.name)] if value.id is None else [fold(value.name), value.id])
    keys: list[Hashable] = [fold(value.value), *map(fold, value.choices), *value.choice_ids]
    if value.choices:
        keys.append(fold(", ".join(value.choices)))
    for kind, read in (("number", _number(value.value)), ("date", _day(value.value))):
        if read is not None:
            keys += [read, (kind, read)] if value.kind == kind else [read]
    return frozenset(keys)


def _number(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) else None


def _day(text: str) -> date | None:
    """Return a day in the forms of HappyFox; a time after it does not matter."""
    return day(text.strip()) if text.strip()[4:5] == "-" else None
