"""Reports (KB 1088): they are made by people in HappyFox and read here."""

from datetime import date
from typing import Literal, TypedDict, Unpack

from workers.errors import Unfit
from workers.happyfox.exchange import Request
from workers.happyfox.requests.members import known


class Period(TypedDict, total=False):
    """The time a report covers, and how it is sorted; without it HappyFox takes what the report was saved with."""

    period_type: Literal["cr", "as", "str", "cur", "prs", "srp", "cl"]
    """What has to lie in the period: creation, assignment, staff reply, contact reply, private note, staff reply or
    note, closing."""
    period: Literal["sr", "tod", "l7d", "mtd", "ytd", "pm"]
    """``sr`` with ``start`` and ``end``; today, the last 7 days, month to date, year to date, previous month."""
    start: date
    end: date
    sort_key: str
    """Tabular data: ``ticket``, ``status``, ``created``, ``duedate`` (default), ``assigned``; all others: ``name``."""
    sort_dir: Literal["a", "d"]


def reports(*, page: int = 1, size: int = 50) -> Request:
    """Reads a page of the reports there are."""
    return Request("GET", "/reports/", _pages(page, size))


def report(id: int) -> Request:
    """Reads the counts of a report; it takes no period."""
    return Request("GET", f"/report/{id}/")


def tabular_data(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads a page of the tickets of a report. An older name of the path is ``tabularview``."""
    return Request("GET", f"/report/{id}/tabulardata/", {**_pages(page, size), **_period(period)})


def response_stats(id: int, **period: Unpack[Period]) -> Request:
    """Reads how soon contacts were answered."""
    return Request("GET", f"/report/{id}/responsestats/", _period(period))


def staff_performance(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads averages for each staff member."""
    return Request("GET", f"/report/{id}/staffperformance/", {**_pages(page, size), **_period(period)})


def staff_activity(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads what each staff member did."""
    return Request("GET", f"/report/{id}/staffactivity/", {**_pages(page, size), **_period(period)})


def contact_activity(id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Request:
    """Reads what each contact did; the path calls them customers."""
    return Request("GET", f"/report/{id}/customeractivity/", {**_pages(page, size), **_period(period)})


def sla_entries(id: int, **period: Unpack[Period]) -> Request:
    """Reads how the service level agreements were kept."""
    return Request("GET", f"/report/{id}/slaentries/", _period(period))


def _pages(page: int, size: int) -> dict[str, str]:
    return {"size": str(size), "page": str(page)}


def _period(period: Period) -> dict[str, str]:
    known(period, Period)
    start, end = period.get("start"), period.get("end")
    if (start is None) != (end is None):
        raise Unfit("a period needs both its start and its end")
    kind = period.get("period") or ("sr" if start else None)
    said = {
        "period_type": period.get("period_type"),
        "period_date_range_type": kind,
        "period_start": None if start is None else f"{start:%Y-%m-%d}",
        "period_end": None if end is None else f"{end:%Y-%m-%d}",
        "sort_key": period.get("sort_key"),
        "sort_dir": period.get("sort_dir"),
    }
    return {name: value for name, value in said.items() if value is not None}
