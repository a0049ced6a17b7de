"""Tickets as HappyFox answers them, in short, for tests of changes."""

from typing import Any

from workers.models.ticket import TicketRead, read_ticket

BOT = {"type": "staff", "id": 7, "name": "Foxhooks Bot"}
ADA = {"type": "staff", "id": 1, "name": "Ada King"}
SAM = {"type": "user", "id": 5, "name": "Sam Reed"}
RULE = {"type": "smartrule", "id": None, "name": "Overdue"}


def row(number: int, by: dict[str, Any], text: str = "", *, note: bool = False, minute: int = 0, **more: Any) -> Any:
    """A row of a ticket's history; ``status=(old, new)`` and the like tell changes of properties."""
    message = {"text": text, "html": "", "message_type": "p" if note else None} if text else None
    changes = {f"{name}_change": {"old": old, "new": new} for name, (old, new) in more.items()}
    return {
        "update_id": number,
        "timestamp": f"2026-03-01 10:{minute:02}:00",
        "by": by,
        "message": message,
        **changes,
    }


def ticket(*rows: Any, tags: str = "", status: int = 1, fields: dict[int, str] | None = None) -> TicketRead:
    """A ticket with these rows behind the opening one, which is row 1."""
    opening = row(1, SAM, "Please help.")
    values = [{"id": number, "name": f"field {number}", "value": value} for number, value in (fields or {}).items()]
    return read_ticket(
        {
            "id": 9,
            "status": {"id": status, "name": f"status {status}"},
            "priority": {"id": 1, "name": "Medium"},
            "category": {"id": 1, "name": "Default"},
            "user": {"id": 5, "name": "Sam Reed", "email": "sam@bigcorp.example"},
            "tags": tags,
            "custom_fields": values,
            "updates": [opening, *rows],
        }
    )
