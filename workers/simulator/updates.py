"""Contacts, tickets and updates as the API's JSON (tickets and contacts articles)."""

import re
from collections.abc import Iterable
from html import escape, unescape
from typing import Any, Final

from workers.simulator.account import Json, SimulatedAccount, StoredContact, StoredTicket, StoredUpdate, Table, stamp

_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BLOCK: Final = re.compile(
    r"</?(?:p|div|li|ul|ol|dl|dt|dd|tr|table|h[1-6]|hr|blockquote|pre|section|article|header|footer|address|form"
    r"|html|body)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[^<>]*>")
_HIDDEN: Final = re.compile(r"<(?:!--|(?:style|script|title)\b)", re.IGNORECASE)
_ENDS: Final = {name: re.compile(f"</{name}\\s*>", re.IGNORECASE) for name in ("style", "script", "title")} | {
    "!--": re.compile("-->")
}


def by_staff(account: SimulatedAccount, number: int) -> Json:
    """Return the `by` of a staff member's update."""
    staff = account.staff[number]
    return {"id": number, "name": staff["name"], "email": staff["email"], "type": "staff"}


def by_contact(contact: StoredContact) -> Json:
    """Return the `by` of a contact's update."""
    return {"id": contact.id, "name": contact.name, "email": contact.email, "type": "user"}


def by_rule(name: str) -> Json:
    """Return the `by` of a smart rule's update. It has only the rule's name."""
    return {"id": None, "name": name, "email": None, "type": "smartrule"}


def message(  # noqa: PLR0913  # one parameter for each member of a message
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
    """Return the `message` of an update, or None without text and attachments.

    `text` ends with two newlines. Plain text becomes a `<p>`.
    """
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


def is_note(update: StoredUpdate) -> bool:
    """Return whether an update is a private note."""
    message = update.shown["message"]
    return message is not None and message["message_type"] == "p"


def plain(html: str) -> str:
    """Return the text of a piece of HTML, in time proportional to its length.

    Each block is a line of its own; comments, styles and scripts are no text.
    """
    marked = _BLOCK.sub("\0", _BREAK.sub("\n", _without_hidden(html)))
    blocks = (block.strip() for block in _TAG.sub("", marked).split("\0"))
    text = "\n".join(block for block in blocks if block)
    try:
        return unescape(text).strip()
    except ValueError:  # a character reference of more than 4,300 digits
        return text.strip()


def _without_hidden(html: str) -> str:
    """Return the HTML without comments, styles, scripts and titles that are closed."""
    kept, at, unclosed = [], 0, set[str]()
    for start in _HIDDEN.finditer(html):
        name = start[0][1:].lower()
        if start.start() < at or name in unclosed:
            continue
        end = _ENDS[name].search(html, start.end())
        if end is None:
            unclosed.add(name)  # no other one is closed either
            continue
        kept.append(html[at : start.start()])
        at = end.end()
    return "".join([*kept, html[at:]])


def change(table: Table, new: int | None, old: int | None) -> Json:
    """Return a change object with ids and names."""
    return {
        "new": new,
        "new_name": None if new is None else table[new]["name"],
        "old": old,
        "old_name": None if old is None else table[old]["name"],
    }


def shown_value(definition: Json, stored: Any, *, as_list: bool = False) -> tuple[Any, Any]:
    """Return `value` and `value_id` of a stored custom field.

    Multiple choices become their labels, joined by commas or `as_list`, and a list of ids (assumed).
    """
    if stored is None or not definition["choices"]:
        return stored, None
    labels = {choice["id"]: choice["text"] for choice in definition["choices"]}
    if definition["type"] == "choice":
        return labels.get(stored), stored
    chosen = [labels[i] for i in stored if i in labels]
    return chosen if as_list else ", ".join(chosen), list(stored)


def contact_json(account: SimulatedAccount, contact: StoredContact) -> Json:
    """Return a contact as the API shows it."""
    primary = (phone for phone in contact.phones if phone["id"] == contact.primary)
    return {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "primary_phone": next(primary, contact.phones[0] if contact.phones else None),
        "phones": list(contact.phones),
        "created_at": stamp(contact.created_at),
        "updated_at": stamp(contact.updated_at),
        "tickets_count": account.tickets_of[contact.id],
        "pending_tickets_count": account.pending_of[contact.id],
        "contact_groups": [
            account.groups[i] | {"access_all_tickets_in_group": access} for i, access in contact.groups.items()
        ],
        "custom_fields": [
            _field_json(account, definition, contact.fields.get(number))
            for number, definition in account.contact_fields.items()
        ],
    }


def ticket_json(
    account: SimulatedAccount, ticket: StoredTicket, *, updates: bool = True, field_changes: bool = False
) -> Json:
    """Return a ticket as the API shows it now, without updates that are not visible yet."""
    now = account.now()
    visible = [update for update in ticket.updates if update.visible_at <= now]
    messages = [update.shown["message"] for update in visible if update.shown["message"] is not None]
    shown: Json = {
        "id": ticket.id,
        "display_id": ticket.display_id,
        "subject": ticket.subject,
        "first_message": ticket.first_message,
        "status": account.statuses[ticket.status],
        "priority": account.priorities[ticket.priority],
        "category": account.categories[ticket.category],
        "user": contact_json(account, account.contacts[ticket.contact]),
        "assigned_to": None if ticket.assignee is None else account.staff[ticket.assignee],
        "subscribers": [_subscriber(account.staff[number]) for number in ticket.subscribers],
        "created_at": stamp(ticket.created_at),
        "last_updated_at": stamp(ticket.updated_at),
        "last_modified": stamp(ticket.modified_at),
        "last_user_reply_at": stamp(ticket.contact_replied_at),
        "last_staff_reply_at": stamp(ticket.staff_replied_at),
        "due_date": ticket.due_date,
        "time_spent": ticket.time_spent,
        "messages_count": len(messages),
        "attachments_count": sum(len(message["attachments"]) for message in messages),
        "sla_breaches": ticket.sla_breaches,
        "tags": ",".join(ticket.tags),
        "custom_fields": [
            _field_json(account, definition, ticket.fields.get(definition["id"]), of_ticket=True)
            for definition in account.fields_of(ticket.category)
        ],
        "visible_only_staff": ticket.visible_only_staff,
        "unresponded": ticket.unresponded,
        "source": ticket.source,
        "merged_tickets": list(ticket.merged),  # numbers: assumed, KB 1039 shows none
        "merged_to": ticket.merged_to,
    }
    if updates:
        shown["updates"] = [update_json(account, update, field_changes=field_changes) for update in visible]
    return shown


def update_json(account: SimulatedAccount, update: StoredUpdate, *, field_changes: bool = False) -> Json:
    """Return an update, with fresh links to its attachments."""
    shown = update.shown
    if field_changes:
        shown = shown | {"custom_field_change": update.field_changes}
    message = shown["message"]
    if message is not None and message["attachments"]:
        links = [one | {"url": account.link(one["id"], one["filename"])} for one in message["attachments"]]
        shown = shown | {"message": message | {"attachments": links}}
    return shown


def _field_json(account: SimulatedAccount, definition: Json, stored: Any, *, of_ticket: bool = False) -> Json:
    value, value_id = shown_value(definition, stored, as_list=account.options.multiple_values == "list")
    shown = {
        "id": definition["id"],
        "name": definition["name"],
        "type": definition["type"],
        "value": value,
        "value_id": value_id,
    }
    if of_ticket:
        shown["compulsory_on_complete"] = definition["compulsory_on_completed"]
    return shown | {"visible_to_staff_only": definition["visible_to_staff_only"]}


def _subscriber(staff: Json) -> Json:
    first, _, last = staff["name"].partition(" ")
    return {"id": staff["id"], "first_name": first, "last_name": last, "email": staff["email"]}
