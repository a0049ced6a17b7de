"""Reports (KB 1088): they are made by people in HappyFox and read here."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, TypedDict, Unpack, get_args

from workers.errors import Unfit
from workers.happyfox.exchange import Request
from workers.happyfox.requests.members import known, one_of, pages, segment

Looked = Literal["cr", "as", "str", "cur", "prs", "srp", "cl"]
Named = Literal["sr", "tod", "l7d", "mtd", "ytd", "pm"]

#: What tabular data can be sorted by; all other reports go by ``name`` alone.
TABULAR = ("ticket", "status", "created", "duedate", "assigned")


class Period(TypedDict, total=False):
    """The time a report covers, and how it is sorted; without it HappyFox takes what the report was saved with."""

    period_type: Looked
    """What has to lie in the period: creation, assignment, staff reply, contact reply, private note, staff reply or
    note, closing."""
    period: Named
    """``sr`` with ``start`` and ``end``; today, the last 7 days, month to date, year to date, previous month."""
    start: date
    end: date
    sort_key: str
    """Tabular data: ``ticket``, ``status``, ``created``, ``duedate`` (default), ``assigned``; all others: ``name``."""
    sort_dir: Literal["a", "d"]


def reports(*, page: int = 1, size: int = 50) -> Request:
    """Reads a page of the reports there are."""
    return Request("GET", "/reports/", pages(page, size))


def report(id: int) -> Request:
    """Reads the counts of a report; it takes no period."""
    return Request("GET", f"/report/{segment(id)}/")


def tabular_data(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads a page of the tickets of a report. An older name of the path is ``tabularview``."""
    return Request("GET", f"/report/{segment(id)}/tabulardata/", {**pages(page, size), **_period(period, TABULAR)})


def response_stats(id: int, **period: Unpack[Period]) -> Request:
    """Reads how soon contacts were answered."""
    return Request("GET", f"/report/{segment(id)}/responsestats/", _period(period))


def staff_performance(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads averages for each staff member."""
    return Request("GET", f"/report/{segment(id)}/staffperformance/", {**pages(page, size), **_period(period)})


def staff_activity(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads what each staff member did."""
    return Request("GET", f"/report/{segment(id)}/staffactivity/", {**pages(page, size), **_period(period)})


def contact_activity(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads what each contact did; the path calls them customers."""
    return Request("GET", f"/report/{segment(id)}/customeractivity/", {**pages(page, size), **_period(period)})


def sla_entries(id: int, **period: Unpack[Period]) -> Request:
    """Reads how the service level agreements were kept."""
    return Request("GET", f"/report/{segment(id)}/slaentries/", _period(period))


def _period(period: Period, keys: Sequence[str] = ("name",)) -> dict[str, str]:
    known(period, Period)
    start, end = period.get("start"), period.get("end")
    if (start is None) != (end is None):
        raise Unfit("a period needs both its start and its end; nothing was sent")
    kind = one_of(period.get("period"), get_args(Named), "period") or (None if start is None else "sr")
    if (kind == "sr") != (start is not None):
        raise Unfit("start and end are for the period 'sr', and it needs them; nothing was sent")
    if start is not None and end is not None and end < start:
        raise Unfit(f"the period ends before it starts ({start} to {end}); nothing was sent")
    said = {
        "period_type": one_of(period.get("period_type"), get_args(Looked), "period_type"),
        "period_date_range_type": kind,
        "period_start": None if start is None else f"{start:%Y-%m-%d}",
        "period_end": None if end is None else f"{end:%Y-%m-%d}",
        "sort_key": one_of(period.get("sort_key"), keys, "sort_key of this report"),
        "sort_dir": one_of(period.get("sort_dir"), ("a", "d"), "sort_dir"),
    }
    return {name: value for name, value in said.items() if value is not None}
