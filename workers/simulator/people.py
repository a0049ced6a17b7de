"""What people and smart rules do in HappyFox itself, without API calls.

Statuses, priorities, categories, staff and ticket fields can be given by id or by name, in any case. All functions
raise LookupError for a name or ticket that does not exist, and ValueError for a value that a field does not accept.
`late` is the number of seconds until the API shows the new ticket or update; webhooks report it at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from workers.simulator import edits, updates
from workers.simulator.account import Json, SimulatedAccount, StoredTicket, Table
from workers.simulator.edits import TicketDraft, TicketEdit
from workers.simulator.forms import field_value, read_date
from workers.simulator.ticket_endpoints import status_after_reply

Name = int | str


def create_ticket(  # noqa: PLR0913  # one parameter for each value a ticket can have
    account: SimulatedAccount,
    email: str,
    *,
    name: str = "",
    subject: str = "Help",
    text: str = "Please help.",
    html: str | None = None,
    category: Name = 1,
    priority: Name | None = None,
    assignee: Name | None = None,
    tags: tuple[str, ...] | list[str] = (),
    fields: Mapping[Name, Any] | None = None,
    due_date: str | None = None,
    late: float = 0.0,
) -> StoredTicket:
    """Open a ticket as the contact with this address, who is created if necessary."""
    message = updates.message(text, html)
    if message is None:
        raise ValueError("A ticket needs a message: set text or html.")
    draft = TicketDraft(
        subject=subject,
        message=message,
        category=account.find(account.categories, category),
        priority=_id(account, account.priorities, priority),
        assignee=_id(account, account.staff, assignee),
        tags=tuple(tags),
        fields=_fields(account, fields),
        due_date=due_date,
        source="TKT_CREATION_EMAIL",  # assumed; only ..._ADMIN_PANEL and ..._API have been seen
        late=late,
        contact=account.contact_by_email(email)  # last, so that an unknown name above creates no contact
        or account.new_contact(name or email.partition("@")[0].title(), email),
    )
    return edits.open_ticket(account, draft)


def contact_replies(
    account: SimulatedAccount,
    ticket: int,
    text: str,
    html: str | None = None,
    *,
    email: str | None = None,
    late: float = 0.0,
) -> StoredTicket:
    """Reply as the ticket's contact, or as another contact of the account."""
    before = ticket_of(account, ticket)
    contact = account.contacts[before.contact] if email is None else account.contact_by_email(email)
    if contact is None:
        raise LookupError(f"No contact has the address {email}.")
    edit = TicketEdit(message=updates.message(text, html), status=status_after_reply(account, before), late=late)
    return edits.change_ticket(account, before, updates.by_contact(contact), edit)


def staff_updates(  # noqa: PLR0913 - a keyword for each part of an update
    account: SimulatedAccount,
    ticket: int,
    staff: Name,
    *,
    text: str = "",
    html: str | None = None,
    private: bool = False,
    subject: str = "",
    cc: str = "",
    due_date: str | Literal["keep"] | None = "keep",
    fields: Mapping[Name, Any] | None = None,
    **properties: Any,
) -> StoredTicket:
    """Change a ticket as staff: a reply, with ``subject`` and ``cc``, or a note, and any properties, in one update.

    `properties` are `status`, `priority`, `category`, `assignee`, `add_tags`, `remove_tags` and `late`.
    """
    if due_date not in (None, "keep") and read_date(due_date) is None:
        raise ValueError(f"{due_date!r} is not a date; write yyyy-mm-dd.")
    message = updates.message(text, html, private=private, subject=subject, cc=cc)
    edit = _edit(account, message, **properties)
    edit = replace(edit, due_date=due_date, fields=_fields(account, fields))
    by = updates.by_staff(account, account.find(account.staff, staff))
    return edits.change_ticket(account, ticket_of(account, ticket), by, edit)


def fire_rule(account: SimulatedAccount, ticket: int, name: str, *, note: str = "", **properties: Any) -> StoredTicket:
    """Fire a smart rule on a ticket, with properties as in `staff_updates`."""
    edit = _edit(account, updates.message(note, None, private=True), **properties)
    return edits.change_ticket(account, ticket_of(account, ticket), updates.by_rule(name), edit)


def answer_survey(account: SimulatedAccount, ticket: int, rating: str, comment: str = "") -> StoredTicket:
    """Answer a satisfaction survey as the ticket's contact. No article shows its members, so these are assumed."""
    before = ticket_of(account, ticket)
    edit = TicketEdit(survey={"rating": rating, "comment": comment})
    return edits.change_ticket(account, before, updates.by_contact(account.contacts[before.contact]), edit)


def breach(account: SimulatedAccount, ticket: int, count: int = 1) -> StoredTicket:
    """Add `count` breaches of service-level agreements to a ticket."""
    before = ticket_of(account, ticket)
    return account.put(replace(before, sla_breaches=before.sla_breaches + count))


def merge(account: SimulatedAccount, ticket: int, into: int) -> StoredTicket:
    """Merge a ticket into another, which then shows the updates of both (assumed).

    The merge itself adds no update (assumed).
    """
    if ticket == into:
        raise ValueError("A ticket cannot be merged into itself.")
    merged, survivor = ticket_of(account, ticket), ticket_of(account, into)
    moved = merged.updates
    if account.options.merged_updates == "copied":
        numbers = [account.next("update") for _ in moved]
        moved = tuple(
            replace(update, update_id=number, shown=update.shown | {"update_id": number})
            for update, number in zip(moved, numbers, strict=True)
        )
    account.put(replace(merged, merged_to=into, modified_at=account.now()))
    return account.put(
        replace(
            survivor,
            updates=tuple(sorted((*survivor.updates, *moved), key=lambda update: update.update_id)),
            merged=(*survivor.merged, *merged.merged, ticket),
            modified_at=account.now(),
        )
    )


def ticket_of(account: SimulatedAccount, number: int) -> StoredTicket:
    """Return the ticket with this number."""
    found = account.tickets.get(number)
    if found is None:
        raise LookupError(f"There is no ticket {number}; the newest one was {account.last_ticket}.")
    return found


def _edit(  # noqa: PLR0913  # one parameter for each property
    account: SimulatedAccount,
    message: Json | None,
    *,
    status: Name | None = None,
    priority: Name | None = None,
    category: Name | None = None,
    assignee: Name | Literal["keep"] | None = "keep",
    add_tags: tuple[str, ...] | list[str] = (),
    remove_tags: tuple[str, ...] | list[str] = (),
    late: float = 0.0,
) -> TicketEdit:
    return TicketEdit(
        message=message,
        status=_id(account, account.statuses, status),
        priority=_id(account, account.priorities, priority),
        category=_id(account, account.categories, category),
        assignee="keep" if assignee == "keep" else _id(account, account.staff, assignee),
        add_tags=tuple(add_tags),
        remove_tags=tuple(remove_tags),
        late=late,
    )


def _id(account: SimulatedAccount, table: Table, wanted: Name | None) -> int | None:
    return None if wanted is None else account.find(table, wanted)


def _fields(account: SimulatedAccount, fields: Mapping[Name, Any] | None) -> dict[int, Any]:
    values: dict[int, Any] = {}
    for wanted, value in (fields or {}).items():
        definition = account.ticket_fields[account.find(account.ticket_fields, wanted)]
        values[definition["id"]] = field_value(definition, _choice_ids(definition, value))
    return values


def _choice_ids(definition: Json, value: Any) -> Any:
    """Return the ids of choices that are given by their labels."""
    if not definition["choices"]:
        return value
    ids = {choice["text"]: choice["id"] for choice in definition["choices"]}
    return [ids.get(one, one) for one in value] if isinstance(value, list | tuple) else ids.get(value, value)
