"""Open and change tickets.

The API, people and smart rules all use this module, so that they leave the same kind of update.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from workers.simulator import updates
from workers.simulator.account import Json, SimulatedAccount, StoredContact, StoredTicket, StoredUpdate, stamp

DOCUMENT: Final = '<html><head><meta charset="utf-8"></head><body>{}</body></html>'
BLANK_UPDATE: Final[Json] = {
    "update_id": None,
    "timestamp": None,
    "by": None,
    "time_spent": None,
    "message": None,
    "status_change": None,
    "priority_change": None,
    "assignee_change": None,
    "category_change": None,
    "due_date_change": None,
    "custom_field_change": None,
    "satisfaction_survey": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDraft:
    """A ticket about to be opened."""

    contact: StoredContact
    subject: str
    message: Json
    """The JSON of the opening message."""
    category: int
    priority: int | None = None
    assignee: int | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[int, Any] = field(default_factory=dict)
    due_date: str | None = None
    created_at: float | None = None
    visible_only_staff: bool = False
    source: str = "TKT_CREATION_API"
    late: float = 0.0
    """Seconds until reads see the ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEdit:
    """Changes to one ticket that make one update. Defaults change nothing."""

    message: Json | None = None
    status: int | None = None
    priority: int | None = None
    category: int | None = None
    assignee: int | Literal["keep"] | None = "keep"
    """None removes the assignee."""
    due_date: str | Literal["keep"] | None = "keep"
    """None removes the due date."""
    time_spent: int | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    replace_tags: tuple[str, ...] | None = None
    fields: Mapping[int, Any] = field(default_factory=dict)
    survey: Json | None = None
    """The contact's answer to a survey."""
    late: float = 0.0
    """Seconds until reads see the update."""
    leaves_update: bool = True


def open_ticket(account: SimulatedAccount, draft: TicketDraft) -> StoredTicket:
    """Open a ticket. In its first update, priority and status have no old value."""
    at = account.now() if draft.created_at is None else draft.created_at
    number = account.next("ticket")
    priority = account.default(account.priorities) if draft.priority is None else draft.priority
    status = account.default(account.statuses)
    shown = _update_json(account, at, updates.by_contact(draft.contact), draft.message)
    shown["priority_change"] = updates.change(account.priorities, priority, None)
    shown["status_change"] = updates.change(account.statuses, status, None)
    if draft.assignee is not None:
        shown["assignee_change"] = updates.change(account.staff, draft.assignee, None)
    if draft.due_date is not None:
        shown["due_date_change"] = {"new": draft.due_date, "old": None}
    opening = StoredUpdate(update_id=shown["update_id"], at=at, visible_at=account.now() + draft.late, shown=shown)
    return account.put(
        StoredTicket(
            id=number,
            display_id=_display_id(account, draft.category, number),
            subject=draft.subject,
            first_message=draft.message["text"],
            contact=draft.contact.id,
            category=draft.category,
            status=status,
            priority=priority,
            created_at=at,
            updated_at=at,
            modified_at=at,
            assignee=draft.assignee,
            tags=draft.tags,
            fields=dict(draft.fields),
            contact_replied_at=at,
            due_date=draft.due_date,
            visible_only_staff=draft.visible_only_staff,
            source=draft.source,
            updates=(opening,),
        )
    )


def change_ticket(account: SimulatedAccount, ticket: StoredTicket, by: Json, edit: TicketEdit) -> StoredTicket:
    """Change a ticket and store it. Values that stay the same have no change object."""
    now = account.now()
    shown = _update_json(account, now, by, edit.message) if edit.leaves_update else dict(BLANK_UPDATE)
    shown["time_spent"] = edit.time_spent
    shown["satisfaction_survey"] = edit.survey
    field_changes = {
        f"t-cf-{number}": {
            "name": account.ticket_fields[number]["name"],
            "old": ticket.fields.get(number),
            "new": new,
        }
        for number, new in edit.fields.items()
        if ticket.fields.get(number) != new
    }
    after = replace(
        _set_properties(account, ticket, edit, shown),
        tags=_tags(ticket.tags, edit),
        fields={**ticket.fields, **edit.fields} if edit.fields else ticket.fields,
        time_spent=ticket.time_spent + (edit.time_spent or 0),
        modified_at=now,
    )
    if edit.message is not None:
        after = _replied(after, by, edit.message, now, notes_count=account.options.notes_count_as_replies)
    if edit.leaves_update:
        update = StoredUpdate(
            update_id=shown["update_id"],
            at=now,
            visible_at=now + edit.late,
            shown=shown,
            field_changes=field_changes or None,
        )
        after = replace(after, updates=(*after.updates, update))
    return account.put(after)


def changes_nothing(ticket: StoredTicket, edit: TicketEdit) -> bool:
    """Return whether an edit has no message and the ticket already has its values."""
    return (
        edit.message is None
        and not edit.time_spent
        and edit.status in (None, ticket.status)
        and edit.priority in (None, ticket.priority)
        and edit.assignee in ("keep", ticket.assignee)
        and edit.due_date in ("keep", ticket.due_date)
        and _tags(ticket.tags, edit) == ticket.tags
        and all(ticket.fields.get(number) == value for number, value in edit.fields.items())
    )


def last_staff_message(ticket: StoredTicket) -> int | None:
    """Return the id of the last update in which staff wrote a message."""
    for update in reversed(ticket.updates):
        if update.shown["message"] and update.shown["by"]["type"] == "staff":
            return update.update_id
    return None


def unfilled_on_completion(account: SimulatedAccount, ticket: StoredTicket, edit: TicketEdit) -> list[int]:
    """Return the fields that must be filled in before this edit may close the ticket."""
    if edit.status is None or not account.completed(edit.status) or account.completed(ticket.status):
        return []
    values = {**ticket.fields, **edit.fields}
    return [
        definition["id"]
        for definition in account.fields_of(ticket.category)
        if definition["compulsory_on_completed"] and values.get(definition["id"]) in (None, "", ())
    ]


def _display_id(account: SimulatedAccount, category: int, number: int) -> str:
    return f"#{account.prefixes[category]}{number:08d}"


def _update_json(account: SimulatedAccount, at: float, by: Json, message: Json | None) -> Json:
    number = account.next("update")
    if message is not None and account.options.html_documents:
        message = message | {"html": DOCUMENT.format(message["html"])}
    if message is not None and account.options.message_ids:
        message = {"id": number, **message}  # the id of the update will do: ids only have to increase
    return BLANK_UPDATE | {"update_id": number, "timestamp": stamp(at), "by": by, "message": message}


def _set_properties(account: SimulatedAccount, ticket: StoredTicket, edit: TicketEdit, shown: Json) -> StoredTicket:
    """Set the properties of an edit and add each real change to the update's JSON."""
    after = ticket
    if edit.status is not None and edit.status != ticket.status:
        shown["status_change"] = updates.change(account.statuses, edit.status, ticket.status)
        closed_at = account.now() if account.completed(edit.status) else ticket.closed_at
        after = replace(after, status=edit.status, closed_at=closed_at)
    if edit.priority is not None and edit.priority != ticket.priority:
        shown["priority_change"] = updates.change(account.priorities, edit.priority, ticket.priority)
        after = replace(after, priority=edit.priority)
    assignee = ticket.assignee if edit.assignee == "keep" else edit.assignee
    if assignee != ticket.assignee:
        shown["assignee_change"] = updates.change(account.staff, assignee, ticket.assignee)
        after = replace(after, assignee=assignee)
    due_date = ticket.due_date if edit.due_date == "keep" else edit.due_date
    if due_date != ticket.due_date:
        shown["due_date_change"] = {"new": due_date, "old": ticket.due_date}
        after = replace(after, due_date=due_date)
    if edit.category is not None and edit.category != ticket.category:
        shown["category_change"] = updates.change(account.categories, edit.category, ticket.category)
        after = replace(after, category=edit.category)
        if account.options.prefix_follows_category:
            after = replace(after, display_id=_display_id(account, edit.category, ticket.id))
    return after


def _replied(ticket: StoredTicket, by: Json, message: Json, now: float, *, notes_count: bool) -> StoredTicket:
    """Set the times that a message changes."""
    if message["forward_list"]:
        return ticket
    if message["message_type"] == "p":
        counts = notes_count and by["type"] == "staff"
        return replace(ticket, staff_replied_at=now, updated_at=now) if counts else ticket
    if by["type"] == "user":
        return replace(ticket, contact_replied_at=now, updated_at=now, unresponded=True)
    return replace(ticket, staff_replied_at=now, updated_at=now, unresponded=False)


def _tags(tags: tuple[str, ...], edit: TicketEdit) -> tuple[str, ...]:
    kept = tags if edit.replace_tags is None else edit.replace_tags
    return tuple(dict.fromkeys(tag for tag in (*kept, *edit.add_tags) if tag not in edit.remove_tags))
