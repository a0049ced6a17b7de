"""What writes do to a ticket: the one way to open it and the one way to change it.

The API, people at work and smart rules all end here, so that each leaves the same row.
"""

from dataclasses import replace
from typing import Final

from workers.simulator import rows
from workers.simulator.world import Json, Row, Ticket, World, stamp
from workers.simulator.world.edits import Draft, Edit

DOCUMENT: Final = '<html><head><meta charset="utf-8"></head><body>{}</body></html>'


def open_ticket(world: World, draft: Draft) -> Ticket:
    """Open a ticket. Its first row, the contact's message, carries priority and status with no old value."""
    at = world.now() if draft.created_at is None else draft.created_at
    number = world.next("ticket")
    priority = world.default(world.priorities) if draft.priority is None else draft.priority
    status = world.default(world.statuses)
    shown = _row_json(world, at, rows.by_contact(draft.contact), draft.message)
    shown["priority_change"] = rows.change(world.priorities, priority, None)
    shown["status_change"] = rows.change(world.statuses, status, None)
    if draft.assignee is not None:
        shown["assignee_change"] = rows.change(world.staff, draft.assignee, None)
    if draft.due_date is not None:
        shown["due_date_change"] = {"new": draft.due_date, "old": None}
    return world.put(
        Ticket(
            id=number,
            display_id=f"#{world.prefixes[draft.category]}{number:08d}",
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
            rows=(Row(shown["update_id"], at, world.now() + draft.late, shown),),
        )
    )


def change_ticket(world: World, ticket: Ticket, by: Json, edit: Edit) -> Ticket:
    """Change a ticket and store it. Change objects appear only for real changes; the row always does."""
    now = world.now()
    shown = _row_json(world, now, by, edit.message) if edit.row else _no_row()
    shown["time_spent"] = edit.time_spent
    after = _properties(world, ticket, edit, shown)
    field_changes = {
        f"t-cf-{number}": {
            "name": world.ticket_fields[number]["name"],
            "old": ticket.fields.get(number),
            "new": new,
        }
        for number, new in edit.fields.items()
        if ticket.fields.get(number) != new
    }
    after = replace(
        after,
        tags=_tags(ticket.tags, edit),
        fields={**ticket.fields, **edit.fields} if edit.fields else ticket.fields,
        time_spent=ticket.time_spent + (edit.time_spent or 0),
        modified_at=now,
    )
    if edit.message is not None:
        after = _spoken(after, by, edit.message, now, notes=world.options.notes_count_as_replies)
    if edit.row:
        row = Row(shown["update_id"], now, now + edit.late, shown, field_changes or None)
        after = replace(after, rows=(*after.rows, row))
    return world.put(after)


def changes_nothing(ticket: Ticket, edit: Edit) -> bool:
    """Whether every value of a wordless edit is what the ticket already has."""
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


def last_staff_message(ticket: Ticket) -> int | None:
    """The update id of the last row in which staff said something."""
    said = (
        row.update_id for row in reversed(ticket.rows) if row.shown["message"] and row.shown["by"]["type"] == "staff"
    )
    return next(said, None)


def unfilled_on_completion(world: World, ticket: Ticket, edit: Edit) -> list[int]:
    """The fields that must be filled before this edit may complete the ticket."""
    if edit.status is None or not world.completed(edit.status) or world.completed(ticket.status):
        return []
    values = {**ticket.fields, **edit.fields}
    return [
        definition["id"]
        for definition in world.fields_of(ticket.category)
        if definition["compulsory_on_completed"] and values.get(definition["id"]) in (None, "", ())
    ]


def _row_json(world: World, at: float, by: Json, message: Json | None) -> Json:
    number = world.next("update")
    if message is not None and world.options.html_documents:
        message = message | {"html": DOCUMENT.format(message["html"])}
    if message is not None and world.options.message_ids:
        message = {"id": number, **message}  # the row's own: only that it rises is needed
    return _no_row() | {
        "update_id": number,
        "timestamp": stamp(at),
        "by": by,
        "message": message,
    }


def _no_row() -> Json:
    return {
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


def _properties(world: World, ticket: Ticket, edit: Edit, shown: Json) -> Ticket:
    """Set what the edit names, noting each real change in the row's JSON."""
    after = ticket
    if edit.status is not None and edit.status != ticket.status:
        shown["status_change"] = rows.change(world.statuses, edit.status, ticket.status)
        closed_at = world.now() if world.completed(edit.status) else ticket.closed_at
        after = replace(after, status=edit.status, closed_at=closed_at)
    if edit.priority is not None and edit.priority != ticket.priority:
        shown["priority_change"] = rows.change(world.priorities, edit.priority, ticket.priority)
        after = replace(after, priority=edit.priority)
    if edit.assignee != "keep" and edit.assignee != ticket.assignee:
        shown["assignee_change"] = rows.change(world.staff, edit.assignee, ticket.assignee)
        after = replace(after, assignee=edit.assignee)
    if edit.due_date != "keep" and edit.due_date != ticket.due_date:
        shown["due_date_change"] = {"new": edit.due_date, "old": ticket.due_date}
        after = replace(after, due_date=edit.due_date)
    if edit.category is not None and edit.category != ticket.category:
        shown["category_change"] = rows.change(world.categories, edit.category, ticket.category)
        after = replace(after, category=edit.category)
        if world.options.prefix_follows_category:
            after = replace(after, display_id=f"#{world.prefixes[edit.category]}{ticket.id:08d}")
    return after


def _spoken(ticket: Ticket, by: Json, message: Json, now: float, *, notes: bool) -> Ticket:
    if message["forward_list"]:
        return ticket
    if message["message_type"] == "p":
        return replace(ticket, staff_replied_at=now, updated_at=now) if notes and by["type"] == "staff" else ticket
    if by["type"] == "user":
        return replace(ticket, contact_replied_at=now, updated_at=now, unresponded=True)
    return replace(ticket, staff_replied_at=now, updated_at=now, unresponded=False)


def _tags(tags: tuple[str, ...], edit: Edit) -> tuple[str, ...]:
    kept = tags if edit.replace_tags is None else edit.replace_tags
    return tuple(dict.fromkeys(tag for tag in (*kept, *edit.add_tags) if tag not in edit.remove_tags))
