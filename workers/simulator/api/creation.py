"""POST /tickets/: what creating tickets accepts, refuses and answers (tickets article, 4 and 5)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator import rows
from workers.simulator.api import fields, files
from workers.simulator.api.forms import REQUIRED, REQUIRED_FIELD, Form, RefusedError
from workers.simulator.api.route import Arguments, News, Outcome
from workers.simulator.world import Contact, Json, Ticket, World, changes
from workers.simulator.world.edits import Draft

BULK: Final = 100
THIN: Final = ("last_modified", "visible_only_staff")


def create(world: World, arguments: Arguments) -> Outcome:
    """POST /tickets/: one object, or a list of up to 100 with a result for each."""
    if not isinstance(arguments.body, list):
        ticket = _create(world, arguments)
        shown = rows.ticket_json(world, ticket)
        if world.options.thin_creations:
            shown = {name: value for name, value in shown.items() if name not in THIN} | {"time_spent": None}
        return Outcome(shown, (News("ticket-created", ticket),))
    if len(arguments.body) > BULK:
        raise RefusedError(400, {"error": f"At most {BULK} tickets can be created in one request."})
    results: list[Json] = []
    news: list[News] = []
    for members in arguments.body:
        try:
            ticket = _create(world, Arguments(body=members, late=arguments.late))
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


def contact_keys(world: World) -> tuple[str, ...]:
    """The prefixes of a contact field's key on ticket calls: the article's table and its example differ."""
    key = world.options.contact_field_key
    return ("ccf", "c-cf") if key == "both" else (key,)


def _create(world: World, arguments: Arguments) -> Ticket:
    form = Form(arguments.body)
    subject = form.text("subject", required=True)
    if not form.text("text") and not form.text("html"):
        form.complain("text", REQUIRED)
    category = form.needed("category", {i: row for i, row in world.categories.items() if row["public"]})
    priority = form.choice("priority", world.priorities)
    assignee = form.choice("assignee", world.staff)
    values = fields.read(form, ("t-cf",), world.ticket_fields, world.options)
    about_contact = fields.read(form, contact_keys(world), world.contact_fields, world.options)
    for definition in world.fields_of(category) if category else ():
        name = f"t-cf-{definition['id']}"
        if definition["required"] and values.get(definition["id"]) is None and name not in form.errors:
            form.complain(name, REQUIRED_FIELD)
    due_date, created_at = form.date("due_date"), form.time("created_at")
    _check_contact(world, form)
    files.check(form, arguments)
    form.refuse_if_wrong()
    message = rows.message(
        form.text("text"),
        form.text("html"),
        cc=form.text("cc"),
        bcc=form.text("bcc"),
        attachments=files.attach(world, arguments),
    )
    return changes.open_ticket(
        world,
        Draft(
            contact=fill_contact(world, _contact(world, form), about_contact),
            subject=subject,
            message=message or {},
            category=category,
            priority=priority,
            assignee=assignee,
            tags=form.tags("tags"),
            fields=values,
            due_date=due_date,
            created_at=created_at,
            visible_only_staff=form.boolean("visible_only_staff"),
            late=arguments.late,
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
