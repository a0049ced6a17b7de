"""Readers for single values as HappyFox writes them: lenient, because every member may be missing or null."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

Raw = Mapping[str, Any]

#: The spellings of a time that HappyFox's articles show; none carries a zone, all are UTC (KB 1039, KB 1201).
TIMES = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
)


def text(value: object) -> str:
    """Gives a text, empty when there is none; numbers become their digits."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """Gives an integer, also from a numeric string, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return None


def mapping(value: object) -> Raw:
    """Gives an object, empty when there is none."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """Gives a list, empty when there is none."""
    return value if isinstance(value, list) else []


def time(value: object) -> datetime | None:
    """Reads a time stamp as an aware time in UTC, or None when there is none that can be read."""
    if not isinstance(value, str) or not value:
        return None
    for spelling in TIMES:
        try:
            return datetime.strptime(value, spelling).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def day(value: object) -> date | None:
    """Reads a date written ``YYYY-MM-DD``, also from the beginning of a time stamp, or None."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def comma_list(value: object) -> list[str]:
    """Splits a comma string, as HappyFox writes tags, into trimmed, non-empty parts in order, each once."""
    parts = value if isinstance(value, list) else text(value).split(",")
    return list(dict.fromkeys(part.strip() for part in map(text, parts) if part.strip()))
