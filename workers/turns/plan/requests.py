"""Effects as calls: the one place that knows which endpoint carries which effect."""

from datetime import date
from typing import Any

from workers.happyfox import tickets
from workers.happyfox.messages import UNSET, Request
from workers.turns.plan.effects import Effect


def request(effect: Effect, ticket: int, staff: int) -> Request:
    """Gives the call that performs an effect on a ticket, written as a staff member."""
    if effect.sort == "tags":
        return tickets.update_tags(ticket, effect.add, effect.remove, staff)
    if effect.sort == "note":
        return tickets.private_note(
            ticket, staff=staff, html=effect.html, alert=_alert(effect.alert), **_properties(effect)
        )
    if effect.sort == "reply":
        return tickets.staff_update(
            ticket,
            staff=staff,
            html=effect.html,
            update_customer=effect.notify,
            cc=effect.cc,
            bcc=effect.bcc,
            last_staff_message=effect.last_staff_message,
            **_properties(effect),
        )
    if effect.sort == "properties":
        return tickets.staff_update(ticket, staff=staff, **_properties(effect))
    if effect.sort == "forward":
        return tickets.forward(ticket, staff_id=staff, to=effect.to, subject=effect.subject, message=effect.html)
    if effect.sort == "subscribe":
        return tickets.subscribe(ticket, staff_id=staff, others=effect.staff)
    if effect.sort == "create":
        return tickets.create_ticket(_draft(effect))
    if effect.sort == "move":
        return tickets.move(ticket, staff_id=staff, target_category_id=effect.category, note=effect.html)
    return tickets.delete(ticket, staff_id=staff)


def _draft(effect: Effect) -> dict[str, Any]:
    draft = {**effect.draft, "subject": effect.subject, "html": effect.html, "category": effect.category}
    values = draft.pop("fields", {})
    return {**draft, "fields": {tickets.ticket_field(int(identity)): value for identity, value in values.items()}}


def _properties(effect: Effect) -> dict[str, Any]:
    due = effect.set.get("due_date", UNSET)
    return {
        "status": effect.set.get("status"),
        "priority": effect.set.get("priority"),
        "assignee": effect.set.get("assignee", UNSET),
        "due_date": date.fromisoformat(due) if isinstance(due, str) else due,
        "fields": {tickets.ticket_field(int(identity)): value for identity, value in effect.fields.items()},
    }


def _alert(alert: int | str | None) -> Any:
    """Passes on ``s``, ``c`` or a staff id, which is all that is left after folding."""
    return alert
