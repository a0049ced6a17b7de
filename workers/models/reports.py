"""Reports as HappyFox answers them (KB 1088). In which unit times are is not said; sentences are HappyFox's own."""

from dataclasses import dataclass, field
from datetime import date, datetime

from workers.models.lists import Entry
from workers.models.values import Raw, items, mapping, number, text


@dataclass(frozen=True, kw_only=True)
class ReportRead(Entry):
    """A saved report."""

    description: str


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """How many tickets a report holds."""

    tickets: int
    completed: int
    assigned: int
    pending: int
    unassigned: int
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ReportTicket:
    """A ticket of a report; ``assignee`` is empty when there is none."""

    id: int
    display_id: str
    subject: str
    status_id: int | None
    status: str
    assignee: str
    due_date: date | None
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ResponseStat:
    """One of four averages: ``name`` is such as ``average_response_time``, ``sentences`` tell percentages."""

    name: str
    average: float | None
    unit: str
    sentences: tuple[str, ...]
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ReportPerson:
    """A staff member or contact with what a report counts for them: ``numbers`` by HappyFox's names for them."""

    id: int | None
    name: str
    email: str
    numbers: dict[str, float]
    raw: Raw = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SlaEntry:
    """How one agreement was kept; ``target`` and ``achieved`` are percentages."""

    name: str
    target: float | None
    achieved: float | None
    tickets_checked: int | None
    tickets_breached: int | None
    raw: Raw = field(repr=False, compare=False)


def read_report(raw: object) -> ReportRead | None:
    """Reads a report's entry in the list; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    return ReportRead(
        id=identity, name=text(members.get("name")), description=text(members.get("description")), raw=members
    )


def read_counts(raw: object) -> ReportCounts | None:
    """Reads a report's summary; None for something else."""
    members = mapping(raw)
    names = ("ticket_count", "completed_count", "assigned_count", "pending_count", "unassigned_count")
    if not any(name in members for name in names):
        return None
    tickets, completed, assigned, pending, unassigned = (number(members.get(name)) or 0 for name in names)
    return ReportCounts(tickets, completed, assigned, pending, unassigned, members)


def read_report_ticket(raw: object) -> ReportTicket | None:
    """Reads a row of tabular data; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    assignee = text(members.get("assignee"))
    return ReportTicket(
        id=identity,
        display_id=text(members.get("display_id")),
        subject=text(members.get("subject")),
        status_id=number(members.get("status_id")),
        status=text(members.get("status_name")),
        assignee="" if assignee == "-" else assignee,
        due_date=_day(members.get("due_date")),
        raw=members,
    )


def read_stat(raw: object) -> ResponseStat | None:
    """Reads one average; its sentences stand under its name."""
    members = mapping(raw)
    name = next((key for key, value in members.items() if isinstance(value, list)), "")
    if not members:
        return None
    sentences = tuple(map(text, items(members.get(name))))
    return ResponseStat(name, _float(members.get("avg")), text(members.get("unit")), sentences, members)


def read_person(raw: object) -> ReportPerson | None:
    """Reads a row about a staff member or contact."""
    members = mapping(raw)
    identity = number(members.get("staff_id", members.get("contact_id")))
    told = {key: _float(value) for key, value in members.items() if key not in ("staff_id", "contact_id")}
    numbers = {key: value for key, value in told.items() if value is not None}
    return ReportPerson(identity, text(members.get("name")), text(members.get("email")), numbers, members)


def read_sla(raw: object) -> SlaEntry | None:
    """Reads an agreement's row, the only one written in camel case."""
    members = mapping(raw)
    return SlaEntry(
        name=text(members.get("name")),
        target=_float(members.get("target")),
        achieved=_float(members.get("achieved")),
        tickets_checked=number(members.get("ticketsChecked")),
        tickets_breached=number(members.get("ticketsBreached")),
        raw=members,
    )


def _float(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value.strip().rstrip("%")) if isinstance(value, str) else None
    except ValueError:
        return None


def _day(value: object) -> date | None:
    """Reads a day as reports write it, ``24 Apr 2019``, or as all else does."""
    for spelling in ("%d %b %Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text(value), spelling).date()
        except ValueError:
            continue
    return None
