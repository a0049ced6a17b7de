"""Deliveries as HappyFox would send them, for `foxhooks send --sample`.

Flat is the shape a receiver in production has seen; rest and wrapped are others that public sources describe.
"""

import json
from typing import Any, Literal

Sample = Literal["created", "reply", "rule"]
Shape = Literal["flat", "rest", "wrapped"]
Json = dict[str, Any]

CONTACT = {"name": "Sam Reed", "email": "sam@bigcorp.example"}
SUBJECT = "A delivery by foxhooks send"
RULE = "Unresponded for 60 min"

#: Who did what, in the words of the flat shape.
UPDATES: dict[Sample, Json | None] = {
    "created": None,
    "reply": {"message_type": "Client Reply", "by": {"type": "user", "name": CONTACT["name"]}},
    "rule": {"by": {"type": "smartrule", "name": RULE}},
}


def body(sample: Sample, ticket: int, shape: Shape) -> bytes:
    """Writes the body of a delivery about a ticket; what matters of it is the ticket's number."""
    update = UPDATES[sample]
    label = "ticket-updated" if update else "ticket-created"
    written = {"flat": _flat, "rest": _rest, "wrapped": _wrapped}[shape](label, ticket, update)
    return json.dumps(written, ensure_ascii=False).encode()


def _display(ticket: int) -> str:
    return f"#DC{ticket:08}"


def _flat(label: str, ticket: int, update: Json | None) -> Json:
    return {
        "event_type": label,
        "ticket_id": ticket,
        "display_id": _display(ticket),
        "subject": SUBJECT,
        "priority_name": "Medium",
        "assignee_name": None,
        "client_details": CONTACT,
        "update": update,
    }


def _rest(label: str, ticket: int, update: Json | None) -> Json:
    rows = [{"by": update["by"], "message": {"text": SUBJECT, "message_type": None}}] if update else []
    return {
        "event_type": label,
        "id": ticket,
        "display_id": _display(ticket),
        "subject": SUBJECT,
        "status": {"id": 1, "name": "New"},
        "user": CONTACT,
        "updates": rows,
    }


def _wrapped(label: str, ticket: int, update: Json | None) -> Json:
    inner: Json = {"id": ticket, "subject": SUBJECT, "status": {"id": 1, "name": "New"}, "user": CONTACT}
    if update:
        inner["update"] = update
    return {"event": label.replace("-", "_"), "ticket": inner}
