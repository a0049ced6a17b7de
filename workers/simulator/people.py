"""What people and smart rules do to tickets in HappyFox itself, without the API: no call, no budget.

Statuses, priorities, categories, staff and ticket fields are named by id or by name in any case. Raises
LookupError for a name or ticket that does not exist, ValueError for a value a field does not take.
`late`: seconds until the API shows the new ticket or row; webhooks tell of it at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from workers.simulator import rows
from workers.simulator.api.fields import field_value
from workers.simulator.api.forms import read_date
from workers.simulator.api.replies import reopening
from workers.simulator.world import Json, Table, Ticket, World, changes
from workers.simulator.world.edits import Draft, Edit

Name = int | str


def create_ticket(
    world: World,
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
) -> Ticket:
    """Open a ticket as the contact with this address, who is made if unknown."""
    message = rows.message(text, html)
    if message is None:
        raise ValueError("A ticket begins with words: give text or html.")
    draft = Draft(
        subject=subject,
        message=message,
        category=world.find(world.categories, category),
        priority=_found(world, world.priorities, priority),
        assignee=_found(world, world.staff, assignee),
        tags=tuple(tags),
        fields=_fields(world, fields),
        due_date=due_date,
        source="TKT_CREATION_EMAIL",  # assumed; only ..._ADMIN_PANEL and ..._API were seen
        late=late,
        contact=world.contact_by_email(email)  # last, so that a wrong name above makes nobody
        or world.new_contact(name or email.partition("@")[0].title(), email),
    )
    return changes.open_ticket(world, draft)


def contact_replies(
    world: World, ticket: int, text: str, html: str | None = None, email: str | None = None, late: float = 0.0
) -> Ticket:
    """Answer as the ticket's contact, or as another contact of the account."""
    before = ticket_of(world, ticket)
    contact = world.contacts[before.contact] if email is None else world.contact_by_email(email)
    if contact is None:
        raise LookupError(f"No contact has the address {email}.")
    edit = Edit(message=rows.message(text, html), status=reopening(world, before), late=late)
    return changes.change_ticket(world, before, rows.by_contact(contact), edit)


def staff_updates(
    world: World,
    ticket: int,
    staff: Name,
    *,
    text: str = "",
    html: str | None = None,
    private: bool = False,
    status: Name | None = None,
    priority: Name | None = None,
    category: Name | None = None,
    assignee: Name | Literal["keep"] | None = "keep",
    due_date: str | Literal["keep"] | None = "keep",
    add_tags: tuple[str, ...] | list[str] = (),
    remove_tags: tuple[str, ...] | list[str] = (),
    fields: Mapping[Name, Any] | None = None,
    late: float = 0.0,
) -> Ticket:
    """Work on a ticket in the panel: reply, note, any properties, in one row."""
    if due_date not in (None, "keep") and read_date(due_date) is None:
        raise ValueError(f"{due_date!r} is no date; write yyyy-mm-dd.")
    edit = Edit(
        message=rows.message(text, html, private=private),
        status=_found(world, world.statuses, status),
        priority=_found(world, world.priorities, priority),
        category=_found(world, world.categories, category),
        assignee="keep" if assignee == "keep" else _found(world, world.staff, assignee),
        due_date=due_date,
        add_tags=tuple(add_tags),
        remove_tags=tuple(remove_tags),
        fields=_fields(world, fields),
        late=late,
    )
    by = rows.by_staff(world, world.find(world.staff, staff))
    return changes.change_ticket(world, ticket_of(world, ticket), by, edit)


def fire_rule(
    world: World,
    ticket: int,
    name: str,
    *,
    note: str = "",
    status: Name | None = None,
    priority: Name | None = None,
    assignee: Name | Literal["keep"] | None = "keep",
    add_tags: tuple[str, ...] | list[str] = (),
    remove_tags: tuple[str, ...] | list[str] = (),
    late: float = 0.0,
) -> Ticket:
    """Let the smart rule of this name fire on a ticket."""
    edit = Edit(
        message=rows.message(note, None, private=True),
        status=_found(world, world.statuses, status),
        priority=_found(world, world.priorities, priority),
        assignee="keep" if assignee == "keep" else _found(world, world.staff, assignee),
        add_tags=tuple(add_tags),
        remove_tags=tuple(remove_tags),
        late=late,
    )
    return changes.change_ticket(world, ticket_of(world, ticket), rows.by_rule(name), edit)


def breach(world: World, ticket: int, count: int = 1) -> Ticket:
    """Let a ticket break `count` more agreements on service."""
    before = ticket_of(world, ticket)
    return world.put(replace(before, sla_breaches=before.sla_breaches + count))


def merge(world: World, ticket: int, into: int) -> Ticket:
    """Merge a ticket into another one, which shows its rows from now on, by their ids (assumed: HappyFox does not say).

    The merge leaves no row of its own (assumed).
    """
    if ticket == into:
        raise ValueError("A ticket cannot be merged into itself.")
    merged, survivor = ticket_of(world, ticket), ticket_of(world, into)
    brought = merged.rows
    if world.options.merged_rows == "copied":
        numbers = [world.next("update") for _ in brought]
        brought = tuple(
            replace(row, update_id=number, shown=row.shown | {"update_id": number})
            for row, number in zip(brought, numbers, strict=True)
        )
    world.put(replace(merged, merged_to=into, modified_at=world.now()))
    rows = tuple(sorted((*survivor.rows, *brought), key=lambda row: row.update_id))
    merged_tickets = (*survivor.merged, *merged.merged, ticket)
    return world.put(replace(survivor, rows=rows, merged=merged_tickets, modified_at=world.now()))


def ticket_of(world: World, number: int) -> Ticket:
    """The ticket with this number."""
    found = world.tickets.get(number)
    if found is None:
        raise LookupError(f"There is no ticket {number}; the last one made was {world.last_ticket}.")
    return found


def _found(world: World, table: Table, wanted: Name | None) -> int | None:
    return None if wanted is None else world.find(table, wanted)


def _fields(world: World, fields: Mapping[Name, Any] | None) -> dict[int, Any]:
    values: dict[int, Any] = {}
    for wanted, value in (fields or {}).items():
        definition = world.ticket_fields[world.find(world.ticket_fields, wanted)]
        values[definition["id"]] = field_value(definition, _choices(definition, value))
    return values


def _choices(definition: Json, value: Any) -> Any:
    """Choices by label, as a person picks them, turned into ids."""
    if not definition["choices"]:
        return value
    ids = {choice["text"]: choice["id"] for choice in definition["choices"]}
    return [ids.get(one, one) for one in value] if isinstance(value, list | tuple) else ids.get(value, value)
