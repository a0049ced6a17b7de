"""Filters: what may stand behind a word of a template and a |, as {{ ticket.subject|upper }}."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from workers.rules.views import FLAG, LIST, NUMBER, TEXT, TIME


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: what it is for, what it may be given behind its name, what it gives."""

    for_: frozenset[str]
    run: Callable[..., Any]
    takes: tuple[type, ...] = ()
    needed: int = 0
    gives: str = TEXT

    def example(self, name: str) -> str:
        """Shows how it is written."""
        examples = ("40" if kind is int else '"there"' if name == "default" else '", "' for kind in self.takes)
        return f"|{name}({', '.join(examples)})" if self.takes else f"|{name}"


LEAVES = frozenset({TEXT, NUMBER, FLAG, TIME, LIST})
FILTERS: Mapping[str, Filter] = {
    "upper": Filter(frozenset({TEXT}), str.upper),
    "lower": Filter(frozenset({TEXT}), str.lower),
    "capitalize": Filter(frozenset({TEXT}), str.capitalize),
    "title": Filter(frozenset({TEXT}), str.title),
    "trim": Filter(frozenset({TEXT}), str.strip),
    "truncate": Filter(frozenset({TEXT}), lambda text, most=255: _truncate(text, most), (int,)),
    "default": Filter(LEAVES, lambda value, other: other if value in ("", ()) else value, (str,), 1),
    "join": Filter(frozenset({LIST}), lambda values, between=", ": between.join(map(str, values)), (str,)),
    "first": Filter(frozenset({LIST}), lambda values: values[0] if values else ""),
    "last": Filter(frozenset({LIST}), lambda values: values[-1] if values else ""),
    "length": Filter(frozenset({LIST, TEXT}), len, gives=NUMBER),
    "date": Filter(frozenset({TIME}), lambda at: f"{at:%Y-%m-%d}" if isinstance(at, date) else ""),
    "time": Filter(frozenset({TIME}), lambda at: f"{at:%H:%M}" if isinstance(at, datetime) else ""),
}


def _truncate(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)].rstrip()}…"
