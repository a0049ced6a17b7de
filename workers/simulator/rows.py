"""How contacts, tickets and update rows look in the API's JSON (tickets and contacts articles)."""

import re
from collections.abc import Iterable
from html import escape, unescape
from typing import Any

from workers.simulator.world import Contact, Json, Row, Table, Ticket, World, stamp
from workers.simulator.world.links import link


def by_staff(world: World, number: int) -> Json:
    """The `by` of a staff member's row."""
    staff = world.staff[number]
    return {"id": number, "name": staff["name"], "email": staff["email"], "type": "staff"}


def by_contact(contact: Contact) -> Json:
    """The `by` of a contact's row."""
    return {"id": contact.id, "name": contact.name, "email": contact.email, "type": "user"}


def by_rule(name: str) -> Json:
    """The `by` of a smart rule's row: its name and little else."""
    return {"id": None, "name": name, "email": None, "type": "smartrule"}


def message(
    text: str | None,
    html: str | None,
    *,
    private: bool = False,
    subject: str = "",
    cc: str = "",
    bcc: str = "",
    forward: str | None = None,
    notified: bool = False,
    attachments: Iterable[Json] = (),
) -> Json | None:
    """The `message` of a row; None without words. `text` ends in two newlines, plain words become a `<p>`."""
    attached = list(attachments)
    if not text and not html and not attached:
        return None
    if not html:
        html = f"<p>{escape(text or '', quote=False)}</p>"
    return {
        "text": (text or plain(html)) + "\n\n",
        "html": html,
        "subject": subject,
        "cc_list": cc,
        "bcc_list": bcc,
        "forward_list": forward,
        "customer_updated": notified,
        "message_type": "p" if private else None,
        "attachments": attached,
    }


def plain(html: str) -> str:
    """The words of a piece of html."""
    return unescape(re.sub(r"<[^>]*>", "", re.sub(r"(?i)<br\s*/?>|</p>\s*(?=<p)", "\n", html))).strip()


def change(table: Table, new: int | None, old: int | None) -> Json:
    """A change object with ids and names."""
    return {
        "new": new,
        "new_name": None if new is None else table[new]["name"],
        "old": old,
        "old_name": None if old is None else table[old]["name"],
    }


def field_value(definition: Json, stored: Any, *, listed: bool = False) -> tuple[Any, Any]:
    """`value` and `value_id` of a stored field. Several choices: labels joined by commas or `listed`, and a list
    of ids (assumed; HappyFox does not say)."""
    if stored is None or not definition["choices"]:
        return stored, None
    labels = {choice["id"]: choice["text"] for choice in definition["choices"]}
    if definition["type"] == "choice":
        return labels.get(stored), stored
    chosen = [labels[i] for i in stored if i in labels]
    return chosen if listed else ", ".join(chosen), list(stored)


def primary_phone(contact: Contact) -> Json | None:
    """The phone marked as primary, or else the first one."""
    marked = (phone for phone in contact.phones if phone["id"] == contact.primary)
    return next(marked, contact.phones[0] if contact.phones else None)


def contact_json(world: World, contact: Contact) -> Json:
    """A contact as the API shows it."""
    listed = world.options.multiple_values == "list"
    fields = []
    for number, definition in world.contact_fields.items():
        value, value_id = field_value(definition, contact.fields.get(number), listed=listed)
        fields.append(
            {
                "id": number,
                "name": definition["name"],
                "type": definition["type"],
                "value": value,
                "value_id": value_id,
                "visible_to_staff_only": definition["visible_to_staff_only"],
            }
        )
    return {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "primary_phone": primary_phone(contact),
        "phones": list(contact.phones),
        "created_at": stamp(contact.created_at),
        "updated_at": stamp(contact.updated_at),
        "tickets_count": world.tickets_of[contact.id],
        "pending_tickets_count": world.pending_of[contact.id],
        "contact_groups": [
            world.groups[i] | {"access_all_tickets_in_group": access} for i, access in contact.groups.items()
        ],
        "custom_fields": fields,
    }


def ticket_json(world: World, ticket: Ticket, *, updates: bool = True, field_changes: bool = False) -> Json:
    """A ticket as the API shows it now; rows that are not visible yet are left out."""
    now = world.now()
    rows = [row for row in ticket.rows if row.visible_at <= now]
    words = [row.shown["message"] for row in rows if row.shown["message"] is not None]
    shown: Json = {
        "id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "first_message": ticket.first_message,
        "status": world.statuses[ticket.status],
        "priority": world.priorities[ticket.priority],
        "category": world.categories[ticket.category],
        "user": contact_json(world, world.contacts[ticket.contact]),
        "assigned_to": None if ticket.assignee is None else world.staff[ticket.assignee],
        "subscribers": [_subscriber(world.staff[number]) for number in ticket.subscribers],
        "created_at": stamp(ticket.created_at),
        "last_updated_at": stamp(ticket.updated_at),
        "last_modified": stamp(ticket.modified_at),
        "last_user_reply_at": stamp(ticket.contact_replied_at),
        "last_staff_reply_at": stamp(ticket.staff_replied_at),
        "due_date": ticket.due_date,
        "time_spent": ticket.time_spent,
        "messages_count": len(words),
        "attachments_count": sum(len(word["attachments"]) for word in words),
        "sla_breaches": ticket.sla_breaches,
        "tags": ",".join(ticket.tags),
        "custom_fields": ticket_fields_json(world, ticket),
        "visible_only_staff": ticket.visible_only_staff,
        "unresponded": ticket.unresponded,
        "source": ticket.source,
        "merged_tickets": list(ticket.merged),  # numbers: assumed, KB 1039 shows none
        "merged_to": ticket.merged_to,
    }
    if updates:
        shown["updates"] = [row_json(world, row, field_changes=field_changes) for row in rows]
    return shown


def row_json(world: World, row: Row, *, field_changes: bool = False) -> Json:
    """An update row, with fresh links to its attachments."""
    shown = row.shown
    if field_changes:
        shown = shown | {"custom_field_change": row.field_changes}
    message = shown["message"]
    if message is not None and message["attachments"]:
        links = [one | {"url": link(world, one["id"], one["filename"])} for one in message["attachments"]]
        shown = shown | {"message": message | {"attachments": links}}
    return shown


def ticket_fields_json(world: World, ticket: Ticket) -> list[Json]:
    """The values of the fields that the ticket's category has."""
    listed = world.options.multiple_values == "list"
    fields = []
    for definition in world.fields_of(ticket.category):
        value, value_id = field_value(definition, ticket.fields.get(definition["id"]), listed=listed)
        fields.append(
            {
                "id": definition["id"],
                "name": definition["name"],
                "type": definition["type"],
                "value": value,
                "value_id": value_id,
                "compulsory_on_complete": definition["compulsory_on_completed"],
                "visible_to_staff_only": definition["visible_to_staff_only"],
            }
        )
    return fields


def _subscriber(staff: Json) -> Json:
    first, _, last = staff["name"].partition(" ")
    return {"id": staff["id"], "first_name": first, "last_name": last, "email": staff["email"]}
