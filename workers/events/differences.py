"""Differences: what changed on a ticket without a row of its own, by the snapshot that was last seen. Pure."""

from datetime import datetime

from workers.events.change import Actor, Change
from workers.events.last_seen import LastSeen, properties
from workers.events.words import same_value
from workers.models.fields import readable
from workers.models.reference import Named
from workers.models.row import Row
from workers.models.ticket import TicketRead

#: The kind of change that each property makes.
KIND_OF = {
    "status": "status-changed",
    "priority": "priority-changed",
    "assignee": "assigned",
    "category": "moved",
    "due_date": "due-date-changed",
}


def _teller(ticket: TicketRead, bare: list[Row], now: datetime) -> tuple[datetime, int | None, Actor]:
    """Who changed what has no row of its own: the author of the last row that says nothing, if there is one."""
    if not bare:
        return ticket.modified_at or now, None, Actor("unknown")
    row = bare[-1]
    return row.at or now, row.id, Actor(row.author, row.author_id, row.author_name)


def tag_changes(ticket: TicketRead, seen: LastSeen, bare: list[Row], now: datetime) -> list[Change]:
    """Tells the tags that were added and removed; ``bare`` are the new rows that say nothing themselves."""
    added, removed = ticket.tags - set(seen.tags), frozenset(seen.tags) - ticket.tags
    if not added and not removed:
        return []
    at, row, actor = _teller(ticket, bare, now)
    return [Change(kind="tags-changed", at=at, update_id=row, actor=actor, added=added, removed=removed)]


def field_changes(ticket: TicketRead, seen: LastSeen, bare: list[Row], now: datetime) -> list[Change]:
    """Tells the custom fields that hold something else; what we sent ourselves is held against what HappyFox shows."""
    at, row, actor = _teller(ticket, bare, now)
    found = []
    for field in ticket.field_values:
        old = seen.fields.get(str(field.id), "")
        changed = old != field.value
        if str(field.id) in seen.unread:
            sent = seen.unread[str(field.id)]
            old, changed = readable(sent), same_value(sent, field.told) is False
        if changed:
            found.append(
                Change(
                    kind="field-changed",
                    at=at,
                    update_id=row,
                    actor=actor,
                    field=field.name,
                    old=Named(None, old) if old else None,
                    new=Named(None, field.value) if field.value else None,
                )
            )
    return found


def property_changes(ticket: TicketRead, seen: LastSeen, now: datetime) -> list[Change]:
    """Tells the properties that differ; used only when the read shows no new row, since rows tell more."""
    names = labels(ticket)
    found = []
    for name, new in properties(ticket).items():
        old = seen.properties.get(name, new)
        if old != new:
            found.append(
                Change(
                    kind=KIND_OF[name],
                    at=ticket.modified_at or now,
                    old=named(name, old, ""),
                    new=named(name, new, names[name]),
                )
            )
    return found


def labels(ticket: TicketRead) -> dict[str, str]:
    """Gives the names of status, priority, assignee and category, and the due date, empty when there is none."""
    return {
        "status": ticket.status.name,
        "priority": ticket.priority.name,
        "assignee": ticket.assignee.name if ticket.assignee else "",
        "category": ticket.category.name,
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def named(name: str, value: str, label: str) -> Named | None:
    """Makes the value of a property, an id or a day as text and what it is called, into one side of its change."""
    if not value:
        return None
    return Named(None, value) if name == "due_date" else Named(int(value), label)
