"""POST /tickets/: what creating tickets accepts, refuses and answers (tickets article, 4 and 5)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator import rows, tickets
from workers.simulator.forms import REQUIRED, REQUIRED_FIELD, Form, RefusedError
from workers.simulator.route import Arguments, News, Outcome
from workers.simulator.tickets import Draft
from workers.simulator.world import Contact, Json, Ticket, World

BULK: Final = 100
CONTACT_FIELDS: Final = ("ccf", "c-cf")
"""Prefixes of a contact field's key: the article's table and its example differ."""


def create(world: World, arguments: Arguments) -> Outcome:
    """POST /tickets/: one object, or a list of up to 100 with a result for each."""
    if not isinstance(arguments.body, list):
        ticket = _create(world, arguments.body, arguments.late, attach(world, arguments))
        return Outcome(rows.ticket_json(world, ticket), (News("ticket-created", ticket),))
    if len(arguments.body) > BULK:
        raise RefusedError(400, {"error": f"At most {BULK} tickets can be created in one request."})
    results: list[Json] = []
    news: list[News] = []
    for members in arguments.body:
        try:
            ticket = _create(world, members, arguments.late, [])
        except RefusedError as refused:
            results.append({"success": False, **refused.payload})
        else:
            results.append({"display_id": ticket.display_id, "id": ticket.id, "success": True})
            news.append(News("ticket-created", ticket))
    return Outcome(results, tuple(news))


def fill_contact(world: World, contact: Contact, fields: Mapping[int, Any]) -> Contact:
    """Set custom fields of a contact."""
    if not fields:
        return contact
    return world.put_contact(replace(contact, fields={**contact.fields, **fields}, updated_at=world.now()))


def attach(world: World, arguments: Arguments) -> list[Json]:
    """The files of a call as attachments of a message."""
    attached = []
    for upload in arguments.files:
        number = world.next_attachment()
        url = f"{world.url}/attachments/{number}/{upload.filename}"
        attached.append({"id": number, "filename": upload.filename, "url": url})
    return attached


def _create(world: World, members: Any, late: float, attachments: list[Json]) -> Ticket:
    form = Form(members)
    subject = form.text("subject", required=True)
    if not form.text("text") and not form.text("html"):
        form.complain("text", REQUIRED)
    category = form.needed("category", {i: row for i, row in world.categories.items() if row["public"]})
    priority = form.choice("priority", world.priorities)
    assignee = form.choice("assignee", world.staff)
    fields = form.fields(("t-cf",), world.ticket_fields)
    about_contact = form.fields(CONTACT_FIELDS, world.contact_fields)
    for definition in world.fields_of(category) if category else ():
        name = f"t-cf-{definition['id']}"
        if definition["required"] and fields.get(definition["id"]) is None and name not in form.errors:
            form.complain(name, REQUIRED_FIELD)
    due_date, created_at = form.date("due_date"), form.time("created_at")
    _check_contact(world, form)
    form.refuse_if_wrong()
    message = rows.message(
        form.text("text"),
        form.text("html"),
        cc=form.text("cc"),
        bcc=form.text("bcc"),
        attachments=attachments,
    )
    return tickets.open_ticket(
        world,
        Draft(
            contact=fill_contact(world, _contact(world, form), about_contact),
            subject=subject,
            message=message or {},
            category=category,
            priority=priority,
            assignee=assignee,
            tags=form.tags("tags"),
            fields=fields,
            due_date=due_date,
            created_at=created_at,
            visible_only_staff=form.boolean("visible_only_staff"),
            late=late,
        ),
    )


def _check_contact(world: World, form: Form) -> None:
    if form.choice("client", world.contacts) is None and "client" not in form.errors:
        form.text("name", required=True)
        email = form.text("email", required=True)
        if email and "@" not in email:
            form.complain("email", "Enter a valid email address.")


def _contact(world: World, form: Form) -> Contact:
    """The contact the ticket is for, made if the address is new."""
    client = form.choice("client", world.contacts)
    if client is not None:
        return world.contacts[client]
    known = world.contact_by_email(form.text("email"))
    return known or world.new_contact(form.text("name"), form.text("email"), form.text("phone"))
