"""Endpoints of reports (KB 1088). Times are averages in seconds (assumed)."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from workers.simulator.account import Json, SimulatedAccount, StoredTicket, StoredUpdate
from workers.simulator.forms import Arguments, Outcome, get_or_404, page
from workers.simulator.search import sort_tickets, tickets_of_report
from workers.simulator.updates import is_note

HOURS_24, HOURS_2 = 24 * 3600, 2 * 3600
_SORT_CODES: Final = {
    "ticket": "ticketa",
    "status": "statusa",
    "created": "createa",
    "duedate": "due",
    "assigned": "assigneea",
}
"""Each sort key of a report, with the code of the ticket list for the same order."""


def list_reports(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /reports/."""
    listed = [{name: report[name] for name in ("id", "name", "description")} for report in account.reports.values()]
    return Outcome(_paged(account, listed, args, "rows"))


def summary(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/: counts over all tickets of the report, unfiltered."""
    tickets = tickets_of_report(account, get_or_404(account.reports, args.number), {})
    completed = _completed(account, tickets)
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


def tabular(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/tabulardata/."""
    key, direction = args.query.get("sort_key", "duedate"), _direction(args)
    if key not in _SORT_CODES:
        key = "duedate"
    tickets = sort_tickets(account, _tickets_of(account, args), _SORT_CODES[key])
    if direction == "d":
        tickets.reverse()
    shown = _paged(account, [_ticket_json(account, ticket) for ticket in tickets], args, "rows")
    return Outcome(shown | {"sort_key": key, "sort_order": direction})


def _ticket_json(account: SimulatedAccount, ticket: StoredTicket) -> Json:
    due = None if ticket.due_date is None else date.fromisoformat(ticket.due_date)
    return {
        "id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "status_id": ticket.status,
        "status_name": account.statuses[ticket.status]["name"],
        "assignee": account.assignee_name(ticket) or "-",
        "due_date": None if due is None else due.strftime("%d %b %Y"),
    }


def response_stats(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/responsestats/: averages, and the distribution of waits."""
    tickets = _tickets_of(account, args)
    waits = [wait for ticket in tickets for wait in _waits(ticket)]
    first = [_waits(ticket)[0] for ticket in tickets if _waits(ticket)]
    counts = [len(_replies(ticket)) for ticket in tickets]
    closing = [len(_replies(ticket)) for ticket in tickets if account.completed(ticket.status)]
    return Outcome(
        [
            _stat("average_first_response_time", first, first),
            _stat("average_response_time", waits, waits),
            _stat("average_no_of_replies", counts, waits),
            _stat("average_no_of_response_to_completed_state", closing, waits),
        ]
    )


def staff_performance(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/staffperformance/: averages over assigned tickets."""
    tickets = _tickets_of(account, args)
    entries: list[Json] = []
    for number, staff in account.staff.items():
        own = [ticket for ticket in tickets if ticket.assignee == number]
        closed = [ticket for ticket in own if ticket.closed_at is not None]
        entries.append(
            {
                "staff_id": number,
                "name": staff["name"],
                "average_time_spent": _mean([ticket.time_spent for ticket in own]),
                "average_no_of_responses": _mean([len(_replies(ticket, number)) for ticket in own]),
                "average_time_to_ticket_complete": _mean([(t.closed_at or 0) - t.created_at for t in closed]),
                "average_first_response_time": _mean([_waits(ticket)[0] for ticket in own if _waits(ticket)]),
                "average_response_time": _mean([wait for ticket in own for wait in _waits(ticket)]),
                "average_no_of_responses_for_completion": _mean([len(_replies(ticket)) for ticket in closed]),
            }
        )
    return _by_name(account, entries, args, "staff_performance")


def staff_activity(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/staffactivity/: what each staff member did."""
    tickets = _tickets_of(account, args)
    entries: list[Json] = []
    for number, staff in account.staff.items():
        own = [ticket for ticket in tickets if ticket.assignee == number]
        completed = _completed(account, own)
        acted = [[update for update in ticket.updates if _is_by(update, "staff", number)] for ticket in tickets]
        entries.append(
            {
                "staff_id": number,
                "name": staff["name"],
                "assigned": len(own),
                "private_notes": sum(is_note(update) for updates in acted for update in updates),
                "no_of_replies": sum(len(_replies(ticket, number)) for ticket in tickets),
                "completed": completed,
                "time_spent": sum(update.shown["time_spent"] or 0 for updates in acted for update in updates),
                "participated": sum(bool(updates) for updates in acted),
                "pending": len(own) - completed,
            }
        )
    return _by_name(account, entries, args, "staff_activity")


def contact_activity(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/customeractivity/: contacts with a ticket in the report."""
    tickets = _tickets_of(account, args)
    entries: list[Json] = []
    for number in dict.fromkeys(ticket.contact for ticket in tickets):
        contact, own = account.contacts[number], [ticket for ticket in tickets if ticket.contact == number]
        completed = _completed(account, own)
        later = [update for ticket in own for update in ticket.updates[1:]]
        entries.append(
            {
                "contact_id": number,
                "name": contact.name,
                "email": contact.email,
                "no_of_tickets": len(own),
                "pending_tickets": len(own) - completed,
                "completed_tickets": completed,
                "no_of_replies": sum(_is_by(update, "user") and bool(update.shown["message"]) for update in later),
                "time_spent": sum(ticket.time_spent for ticket in own),
            }
        )
    return _by_name(account, entries, args, "customer_activity")


def sla_entries(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /report/<id>/slaentries/: a bare list, the only one with camel case."""
    tickets = _tickets_of(account, args)
    breached = sum(ticket.sla_breaches > 0 for ticket in tickets)
    kept = _percent(lambda ticket: ticket.sla_breaches == 0, tickets) if tickets else 100.0
    return Outcome(
        [
            {
                "name": agreement["name"],
                "target": agreement["target"],
                "achieved": kept,
                "ticketsChecked": len(tickets),
                "ticketsBreached": breached,
            }
            for agreement in account.agreements.values()
        ]
    )


def _tickets_of(account: SimulatedAccount, args: Arguments) -> list[StoredTicket]:
    return tickets_of_report(account, get_or_404(account.reports, args.number), args.query)


def _direction(args: Arguments) -> str:
    return "d" if args.query.get("sort_dir") == "d" else "a"


def _by_name(account: SimulatedAccount, entries: list[Json], args: Arguments, key: str) -> Outcome:
    """Return a page of entries sorted by name, under the list's own key."""
    direction = _direction(args)
    entries = sorted(entries, key=lambda entry: entry["name"], reverse=direction == "d")
    return Outcome(_paged(account, entries, args, key) | {"sort_key": "name", "sort_order": direction})


def _paged(account: SimulatedAccount, entries: Sequence[Json], args: Arguments, key: str) -> Json:
    """Return a page with the members of `page_info` at the top level, without `count`."""
    shown, info = page(account, entries, args)
    return {key: shown} | {name: value for name, value in info.items() if name != "count"}


def _stat(name: str, values: Sequence[float], waits: Sequence[float]) -> Json:
    late = _percent(lambda wait: wait > HOURS_24, waits)
    within = _percent(lambda wait: HOURS_2 < wait <= HOURS_24, waits)
    soon = _percent(lambda wait: wait <= HOURS_2, waits)
    sentences = [
        f"{late}% responded after 24 hours",
        f"{within}% responded within 24 hours",
        f"{soon}% responded within first 2 hours",
    ]
    return {"avg": round(_mean(values)), "unit": "Responses", name: sentences}


def _completed(account: SimulatedAccount, tickets: Sequence[StoredTicket]) -> int:
    return sum(account.completed(ticket.status) for ticket in tickets)


def _replies(ticket: StoredTicket, staff: int | None = None) -> list[StoredUpdate]:
    return [u for u in ticket.updates if _is_by(u, "staff", staff) and u.shown["message"] and not is_note(u)]


def _waits(ticket: StoredTicket) -> list[float]:
    """Return the seconds from each message of a contact to the first reply after it."""
    waits, since, replies = [], None, _replies(ticket)
    for update in ticket.updates:
        if _is_by(update, "user") and update.shown["message"] and since is None:
            since = update.at
        elif update in replies and since is not None:
            waits.append(update.at - since)
            since = None
    return waits


def _is_by(update: StoredUpdate, kind: str, number: int | None = None) -> bool:
    by = update.shown["by"]
    return bool(by["type"] == kind and number in (None, by["id"]))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 2) if values else 0.0


def _percent(holds: Callable[[Any], bool], values: Sequence[Any]) -> float:
    return round(100 * sum(map(holds, values)) / len(values), 2) if values else 0.0
