"""The eight report calls (KB 1088), computed from the tickets there are."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from workers.simulator.api import statistics
from workers.simulator.api.forms import RefusedError
from workers.simulator.api.paging import NOT_FOUND, page
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.search.period import covered
from workers.simulator.world import Json, Ticket, World

_KEYS: Final[dict[str, Callable[[World, Ticket], Any]]] = {
    "ticket": lambda w, t: t.id,
    "status": lambda w, t: w.statuses[t.status]["order"],
    "created": lambda w, t: t.created_at,
    "duedate": lambda w, t: t.due_date or "9999",
    "assigned": lambda w, t: "" if t.assignee is None else w.staff[t.assignee]["name"],
}


def reports(world: World, arguments: Arguments) -> Outcome:
    """GET /reports/."""
    listed = [{name: row[name] for name in ("id", "name", "description")} for row in world.reports.values()]
    return Outcome(_paged(world, listed, arguments, "rows"))


def summary(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/: counts over all tickets of the report; takes no filter."""
    tickets = covered(world, _report(world, arguments), {})
    completed = sum(world.completed(ticket.status) for ticket in tickets)
    assigned = sum(ticket.assignee is not None for ticket in tickets)
    return Outcome(
        {
            "ticket_count": len(tickets),
            "completed_count": completed,
            "assigned_count": assigned,
            "pending_count": len(tickets) - completed,
            "unassigned_count": len(tickets) - assigned,
        }
    )


def tabular(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/tabulardata/."""
    key, direction = arguments.query.get("sort_key", "duedate"), _direction(arguments)
    sort = _KEYS.get(key, _KEYS["duedate"])
    tickets = sorted(_covered(world, arguments), key=lambda t: (sort(world, t), t.id), reverse=direction == "d")
    shown = _paged(world, [_row(world, ticket) for ticket in tickets], arguments, "rows")
    return Outcome(shown | {"sort_key": key if key in _KEYS else "duedate", "sort_order": direction})


def response_stats(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/responsestats/."""
    return Outcome(statistics.response_stats(world, _covered(world, arguments)))


def staff_performance(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/staffperformance/."""
    rows = statistics.staff_performance(world, _covered(world, arguments))
    return _named(world, rows, arguments, "staff_performance")


def staff_activity(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/staffactivity/."""
    return _named(world, statistics.staff_activity(world, _covered(world, arguments)), arguments, "staff_activity")


def contact_activity(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/customeractivity/."""
    rows = statistics.contact_activity(world, _covered(world, arguments))
    return _named(world, rows, arguments, "customer_activity")


def sla_entries(world: World, arguments: Arguments) -> Outcome:
    """GET /report/<id>/slaentries/: a bare list, the only place with camel case."""
    return Outcome(statistics.sla_entries(world, _covered(world, arguments)))


def _report(world: World, arguments: Arguments) -> Json:
    found = world.reports.get(arguments.number)
    if found is None:
        raise RefusedError(404, NOT_FOUND)
    return found


def _covered(world: World, arguments: Arguments) -> list[Ticket]:
    return covered(world, _report(world, arguments), arguments.query)


def _direction(arguments: Arguments) -> str:
    return "d" if arguments.query.get("sort_dir") == "d" else "a"


def _named(world: World, rows: list[Json], arguments: Arguments, name: str) -> Outcome:
    """Rows by name, under the name of the list."""
    direction = _direction(arguments)
    rows = sorted(rows, key=lambda row: row["name"], reverse=direction == "d")
    return Outcome(_paged(world, rows, arguments, name) | {"sort_key": "name", "sort_order": direction})


def _paged(world: World, rows: Sequence[Json], arguments: Arguments, name: str) -> Json:
    """A page with its numbers at the top level, `count` left out."""
    shown, info = page(world, rows, arguments)
    return {name: shown} | {key: value for key, value in info.items() if key != "count"}


def _row(world: World, ticket: Ticket) -> Json:
    due = None if ticket.due_date is None else date.fromisoformat(ticket.due_date)
    return {
        "id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "status_id": ticket.status,
        "status_name": world.statuses[ticket.status]["name"],
        "assignee": "-" if ticket.assignee is None else world.staff[ticket.assignee]["name"],
        "due_date": None if due is None else due.strftime("%d %b %Y"),
    }
