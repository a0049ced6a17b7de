"""Reports (KB 1088): people make them in HappyFox, here they are read.

The articles do not say in which unit times are. Sentences are HappyFox's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypedDict, Unpack, get_args

from workers.errors import Unfit
from workers.happyfox.base import BaseClient, Page, Resource
from workers.happyfox.messages import Request, day, given, known, one_of, paging, segment
from workers.tickets.model import Raw, items, mapping, number, reader, real, text

#: What the period selects by: creation, assignment, staff reply, contact reply, note, staff reply or note, closing.
PeriodType = Literal["cr", "as", "str", "cur", "prs", "srp", "cl"]

#: ``sr`` with ``start`` and ``end``; today, the last 7 days, month to date, year to date, previous month.
PeriodName = Literal["sr", "tod", "l7d", "mtd", "ytd", "pm"]

#: The members of the counts of a report.
COUNTS = {"tickets": "ticket_count"} | {
    name: f"{name}_count" for name in ("completed", "assigned", "pending", "unassigned")
}

#: The members with the id of a person.
PERSON_IDS = ("staff_id", "contact_id")

#: The sort keys of tabular data; all other reports have ``name`` only.
TABULAR = ("ticket", "status", "created", "duedate", "assigned")


class Period(TypedDict, total=False):
    """The time a report covers and its order; by default as the report was saved."""

    period_type: PeriodType
    period: PeriodName
    start: date
    end: date
    sort_key: str
    """Tabular data: ``ticket``, ``status``, ``created``, ``duedate`` (default), ``assigned``; all others: ``name``."""
    sort_dir: Literal["a", "d"]


@dataclass(frozen=True, kw_only=True)
class ReportRead(Resource):
    """A saved report."""

    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportCounts:
    """The number of tickets in a report."""

    tickets: int
    completed: int
    assigned: int
    pending: int
    unassigned: int
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportTicket:
    """A ticket of a report."""

    id: int
    display_id: str
    subject: str
    status_id: int | None
    status: str
    assignee: str
    """Empty if there is none."""
    due_date: date | None
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseStat:
    """One of four averages."""

    name: str
    """Such as ``average_response_time``."""
    average: float | None
    unit: str
    sentences: tuple[str, ...]
    """Percentages, in words."""
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPerson:
    """A staff member or contact in a report."""

    id: int | None
    name: str
    email: str
    numbers: dict[str, float]
    """What the report counts, by HappyFox's names."""
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlaEntry:
    """How one service level agreement was kept."""

    name: str
    target: float | None
    """Percent."""
    achieved: float | None
    """Percent."""
    tickets_checked: int | None
    tickets_breached: int | None
    raw: Raw = field(repr=False, compare=False)


class Reports(BaseClient):
    """The eight report calls, all read-only."""

    def reports(self, *, page: int = 1, size: int = 50) -> Page[ReportRead]:
        return self._page(Request("GET", "/reports/", paging(page, size)), page, read_report, "rows")

    def report(self, id: int) -> ReportCounts:
        """Read the counts of a report, which take no period."""
        return self._one(Request("GET", f"/report/{segment(id, 'the report')}/"), read_counts)

    def tabular_data(self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Page[ReportTicket]:
        """Read a page of the tickets of a report."""
        query = {**paging(page, size), **_period(period, TABULAR)}
        return self._page(_request(id, "tabulardata", query), page, read_report_ticket, "rows")

    def response_stats(self, id: int, **period: Unpack[Period]) -> list[ResponseStat]:
        """Read four averages of how soon and how often contacts were answered."""
        return self._list(_request(id, "responsestats", _period(period)), read_stat)

    def staff_performance(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[ReportPerson]:
        """Read averages for each staff member."""
        return self._people(id, "staff_performance", paging(page, size), period)

    def staff_activity(self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]) -> Page[ReportPerson]:
        return self._people(id, "staff_activity", paging(page, size), period)

    def contact_activity(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[ReportPerson]:
        return self._people(id, "customer_activity", paging(page, size), period)

    def sla_entries(self, id: int, **period: Unpack[Period]) -> list[SlaEntry]:
        return self._list(_request(id, "slaentries", _period(period)), read_sla)

    def _people(self, id: int, name: str, paging: dict[str, str], period: Period) -> Page[ReportPerson]:
        request = _request(id, name.replace("_", ""), {**paging, **_period(period)})
        return self._page(request, int(paging["page"]), read_person, name)


def _request(id: int, path: str, query: dict[str, str]) -> Request:
    return Request("GET", f"/report/{segment(id, 'the report')}/{path}/", query)


def _period(period: Period, keys: Sequence[str] = ("name",)) -> dict[str, str]:
    known(period, Period)
    start, end = period.get("start"), period.get("end")
    if (start is None) != (end is None):
        raise Unfit("a period needs both its start and its end; nothing was sent")
    kind = one_of(period.get("period"), get_args(PeriodName), "period") or (None if start is None else "sr")
    if (kind == "sr") != (start is not None):
        raise Unfit("start and end are for the period 'sr', and it needs them; nothing was sent")
    if start is not None and end is not None and end < start:
        raise Unfit(f"the period ends before it starts ({start} to {end}); nothing was sent")
    return given(
        period_type=one_of(period.get("period_type"), get_args(PeriodType), "period_type"),
        period_date_range_type=kind,
        period_start=None if start is None else day(start),
        period_end=None if end is None else day(end),
        sort_key=one_of(period.get("sort_key"), keys, "sort_key of this report"),
        sort_dir=one_of(period.get("sort_dir"), ("a", "d"), "sort_dir"),
    )


def read_counts(raw: object) -> ReportCounts | None:
    """Return a report's counts; None if there are none."""
    members = mapping(raw)
    counts = {name: number(members.get(key)) for name, key in COUNTS.items() if key in members}
    return ReportCounts(**{name: counts.get(name) or 0 for name in COUNTS}, raw=members) if counts else None


def _sentences(raw: Raw) -> str:
    """Return the name of an average, which is that of the member with its sentences."""
    return next((name for name, value in raw.items() if isinstance(value, list)), "")


read_report = reader(ReportRead)
read_report_ticket = reader(
    ReportTicket,
    status="status_name",
    assignee=lambda raw: "" if raw.get("assignee") == "-" else text(raw.get("assignee")),
    due_date=lambda raw: _day(raw.get("due_date")),
)
read_stat = reader(
    ResponseStat,
    name=_sentences,
    average="avg",
    sentences=lambda raw: tuple(map(text, items(raw.get(_sentences(raw))))),
)
read_person = reader(
    ReportPerson,
    id=lambda raw: number(raw.get("staff_id", raw.get("contact_id"))),
    numbers=lambda raw: {
        name: value for name, each in raw.items() if name not in PERSON_IDS and (value := real(each)) is not None
    },
)

read_sla = reader(SlaEntry, tickets_checked="ticketsChecked", tickets_breached="ticketsBreached")


def _day(value: object) -> date | None:
    """Return a day written as in reports, ``24 Apr 2019``, or as everywhere else."""
    for spelling in ("%d %b %Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text(value), spelling).date()
        except ValueError:
            continue
    return None
