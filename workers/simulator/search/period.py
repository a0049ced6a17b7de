"""Which tickets a report covers: its own conditions, and the period asked for (KB 1088, 9)."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from workers.simulator.world import Json, Ticket, World

_KINDS: Final[dict[str, set[tuple[str, str | None]]]] = {
    "str": {("staff", None)},
    "cur": {("user", None)},
    "prs": {("staff", "p")},
    "srp": {("staff", None), ("staff", "p")},
}
_TIMES: Final[dict[str, Callable[[Ticket], list[float]]]] = {
    "cr": lambda ticket: [ticket.created_at],
    "as": lambda ticket: [row.at for row in ticket.rows if row.shown["assignee_change"]],
    "cl": lambda ticket: [] if ticket.closed_at is None else [ticket.closed_at],
}


def covered(world: World, report: Json, query: Mapping[str, str]) -> list[Ticket]:
    """The tickets of a report, in order of number; without a period, all of them."""
    only: Mapping[str, Any] = report["only"]
    found = [
        ticket
        for ticket in world.tickets.values()
        if world.visible(ticket) and all(getattr(ticket, name) == value for name, value in only.items())
    ]
    span = _span(world, query)
    if span is None:
        return found
    kind = query.get("period_type", "cr")
    return [ticket for ticket in found if any(span[0] <= _day(world, at) <= span[1] for at in _times(ticket, kind))]


def _times(ticket: Ticket, kind: str) -> list[float]:
    if kind not in _KINDS:
        return _TIMES.get(kind, _TIMES["cr"])(ticket)
    said = [row for row in ticket.rows if row.shown["message"]]
    return [row.at for row in said if (row.shown["by"]["type"], row.shown["message"]["message_type"]) in _KINDS[kind]]


def _span(world: World, query: Mapping[str, str]) -> tuple[date, date] | None:
    today = _day(world, world.now())
    first = today.replace(day=1)
    spans = {
        "tod": (today, today),
        "l7d": (today - timedelta(6), today),
        "mtd": (first, today),
        "ytd": (today.replace(month=1, day=1), today),
        "pm": ((first - timedelta(1)).replace(day=1), first - timedelta(1)),
    }
    kind = query.get("period_date_range_type", "")
    if kind != "sr":
        return spans.get(kind)
    try:
        return date.fromisoformat(query["period_start"]), date.fromisoformat(query["period_end"])
    except (KeyError, ValueError):
        return None


def _day(world: World, at: float) -> date:
    return datetime.fromtimestamp(at + world.options.day_offset, UTC).date()
