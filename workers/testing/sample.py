"""Samples: tickets made by hand, as HappyFox would answer them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from workers.models.ticket import TicketRead, read_ticket

#: The time in tests unless another is given: noon of a Monday, UTC.
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def ticket(
    *,
    id: int = 1,
    email: str = "sam@example.com",
    name: str = "Sam Doe",
    subject: str = "Help",
    text: str = "Please help.",
    status: str = "New",
    closed: bool | None = None,
    priority: str = "Medium",
    category: str = "Support",
    assignee: str | None = None,
    tags: Iterable[str] = (),
    fields: Mapping[str, Any] | None = None,
    groups: Iterable[str] = (),
    due_date: date | str | None = None,
    source: str = "TKT_CREATION_API",
    unresponded: bool = True,
    raw: Mapping[str, Any] | None = None,
) -> TicketRead:
    """Makes a ticket as HappyFox would answer it; `raw` holds members of that answer (KB 1039) that win.

    Statuses, priorities and so on have a name and no id here, the contact's is 1.
    `closed` tells the behaviour of the status; without it
    the status is closed when it is called Closed or Solved.
    """
    if closed is None:
        closed = status.casefold() in ("closed", "solved")
    created = NOON.strftime("%Y-%m-%d %H:%M:%S")
    answer = {
        "id": id,
        "display_id": f"HF{id:08}",
        "subject": subject,
        "first_message": text,
        "status": {"name": status, "behavior": "completed" if closed else "pending"},
        "priority": {"name": priority},
        "category": {"name": category},
        "assigned_to": {"name": assignee} if assignee else None,
        "user": {
            "id": 1,
            "name": name,
            "email": email,
            "contact_groups": [{"name": group} for group in ([groups] if isinstance(groups, str) else groups)],
        },
        "tags": tags if isinstance(tags, str) else ", ".join(tags),
        "custom_fields": [
            {"id": number, "name": key, "value": value} for number, (key, value) in enumerate((fields or {}).items(), 1)
        ],
        "due_date": str(due_date) if due_date else None,
        "created_at": created,
        "last_modified": created,
        "source": source,
        "unresponded": unresponded,
        "updates": [],
    }
    return read_ticket({**answer, **(raw or {})}, "https://example.happyfox.com")
