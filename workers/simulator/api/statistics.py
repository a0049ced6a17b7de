"""What reports count about tickets, staff and contacts (KB 1088, 4 to 8). Times are averages in seconds (assumed)."""

from collections.abc import Callable, Sequence
from typing import Any

from workers.simulator.world import Json, Row, Ticket, World

HOURS_24, HOURS_2 = 24 * 3600, 2 * 3600


def response_stats(world: World, tickets: Sequence[Ticket]) -> list[Json]:
    """Four averages, each with three sentences of percentages over the waits they come from."""
    waits = [wait for ticket in tickets for wait in _waits(ticket)]
    first = [_waits(ticket)[0] for ticket in tickets if _waits(ticket)]
    counts = [len(_replies(ticket)) for ticket in tickets]
    closing = [len(_replies(ticket)) for ticket in tickets if world.completed(ticket.status)]
    return [
        _stat("average_first_response_time", first, first),
        _stat("average_response_time", waits, waits),
        _stat("average_no_of_replies", counts, waits),
        _stat("average_no_of_response_to_completed_state", closing, waits),
    ]


def staff_performance(world: World, tickets: Sequence[Ticket]) -> list[Json]:
    """For each staff member, averages over the tickets assigned to them."""
    rows = []
    for number, staff in world.staff.items():
        own = [ticket for ticket in tickets if ticket.assignee == number]
        closed = [ticket for ticket in own if ticket.closed_at is not None]
        row: Json = {
            "staff_id": number,
            "name": staff["name"],
            "average_time_spent": _mean([ticket.time_spent for ticket in own]),
            "average_no_of_responses": _mean([len(_replies(ticket, number)) for ticket in own]),
            "average_time_to_ticket_complete": _mean([(t.closed_at or 0) - t.created_at for t in closed]),
            "average_first_response_time": _mean([_waits(ticket)[0] for ticket in own if _waits(ticket)]),
            "average_response_time": _mean([wait for ticket in own for wait in _waits(ticket)]),
            "average_no_of_responses_for_completion": _mean([len(_replies(ticket)) for ticket in closed]),
        }
        rows.append(row)
    return rows


def staff_activity(world: World, tickets: Sequence[Ticket]) -> list[Json]:
    """For each staff member, what they did."""
    rows = []
    for number, staff in world.staff.items():
        own = [ticket for ticket in tickets if ticket.assignee == number]
        completed = sum(world.completed(ticket.status) for ticket in own)
        acted = [[row for row in ticket.rows if _by(row, "staff", number)] for ticket in tickets]
        row: Json = {
            "staff_id": number,
            "name": staff["name"],
            "assigned": len(own),
            "private_notes": sum(_is_note(row) for rows_ in acted for row in rows_),
            "no_of_replies": sum(len(_replies(ticket, number)) for ticket in tickets),
            "completed": completed,
            "time_spent": sum(row.shown["time_spent"] or 0 for rows_ in acted for row in rows_),
            "participated": sum(bool(rows_) for rows_ in acted),
            "pending": len(own) - completed,
        }
        rows.append(row)
    return rows


def contact_activity(world: World, tickets: Sequence[Ticket]) -> list[Json]:
    """For each contact with a ticket in the report."""
    rows = []
    for number in dict.fromkeys(ticket.contact for ticket in tickets):
        contact, own = world.contacts[number], [ticket for ticket in tickets if ticket.contact == number]
        completed = sum(world.completed(ticket.status) for ticket in own)
        row: Json = {
            "contact_id": number,
            "name": contact.name,
            "email": contact.email,
            "no_of_tickets": len(own),
            "pending_tickets": len(own) - completed,
            "completed_tickets": completed,
            "no_of_replies": sum(len([r for r in t.rows[1:] if _by(r, "user") and r.shown["message"]]) for t in own),
            "time_spent": sum(ticket.time_spent for ticket in own),
        }
        rows.append(row)
    return rows


def sla_entries(world: World, tickets: Sequence[Ticket]) -> list[Json]:
    """For each agreement, how many tickets broke it."""
    breached = sum(ticket.sla_breaches > 0 for ticket in tickets)
    kept = _percent(lambda ticket: ticket.sla_breaches == 0, tickets) if tickets else 100.0
    return [
        {
            "name": row["name"],
            "target": row["target"],
            "achieved": kept,
            "ticketsChecked": len(tickets),
            "ticketsBreached": breached,
        }
        for row in world.agreements.values()
    ]


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


def _replies(ticket: Ticket, staff: int | None = None) -> list[Row]:
    return [r for r in ticket.rows if _by(r, "staff", staff) and r.shown["message"] and not _is_note(r)]


def _waits(ticket: Ticket) -> list[float]:
    """Seconds from each message of a contact to the first reply after it."""
    waits, since = [], None
    for row in ticket.rows:
        if _by(row, "user") and row.shown["message"] and since is None:
            since = row.at
        elif row in _replies(ticket) and since is not None:
            waits.append(row.at - since)
            since = None
    return waits


def _by(row: Row, kind: str, number: int | None = None) -> bool:
    by = row.shown["by"]
    return bool(by["type"] == kind and number in (None, by["id"]))


def _is_note(row: Row) -> bool:
    message = row.shown["message"]
    return message is not None and message["message_type"] == "p"


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 2) if values else 0.0


def _percent(holds: Callable[[Any], bool], values: Sequence[Any]) -> float:
    return round(100 * sum(map(holds, values)) / len(values), 2) if values else 0.0
