"""POST /ticket/<n>/...: what the calls on one ticket accept, refuse and answer (tickets article, 7 to 16)."""

import re
from dataclasses import replace

from workers.simulator import rows, tickets
from workers.simulator.creation import CONTACT_FIELDS, attach, fill_contact
from workers.simulator.forms import REQUIRED, REQUIRED_FIELD, UNFILLED, Form, RefusedError
from workers.simulator.reads import ticket_of
from workers.simulator.route import Arguments, News, Outcome
from workers.simulator.tickets import Edit
from workers.simulator.world import Ticket, World


def staff_update(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/staff_update/: a reply, properties, or both."""
    return _staff_edit(world, arguments, private=False)


def staff_pvtnote(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/staff_pvtnote/: the same as a private note."""
    return _staff_edit(world, arguments, private=True)


def user_reply(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/user_reply/: a reply as a contact."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    contact = form.needed("user", world.contacts)
    said = form.text("text", required=True)
    form.refuse_if_wrong()
    marked_up = re.search(r"<[a-zA-Z][^>]*>", said) is not None  # "in text format or html format"
    message = rows.message(
        None if marked_up else said,
        said if marked_up else None,
        cc=form.text("cc"),
        bcc=form.text("bcc"),
        attachments=attach(world, arguments),
    )
    edit = Edit(message=message, status=reopening(world, ticket), late=arguments.late)
    by = rows.by_contact(world.contacts[contact])
    return _changed(world, tickets.change_ticket(world, ticket, by, edit))


def update_tags(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/update_tags/: `add` and `remove`; older accounts send no `staff_id`."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.choice("staff_id", world.staff)
    edit = Edit(
        add_tags=form.tags("add"),
        remove_tags=form.tags("remove"),
        late=arguments.late,
        row=world.options.tag_rows,
    )
    form.refuse_if_wrong()
    by = rows.by_staff(world, staff) if staff else {"id": None, "name": "", "email": None, "type": "staff"}
    return _changed(world, tickets.change_ticket(world, ticket, by, edit), row=edit.row)


def update_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/update_custom_fields/: `t-cf-<id>` members."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff", world.staff)
    fields = form.fields(("t-cf",), world.ticket_fields)
    for definition in world.fields_of(ticket.category):
        number = definition["id"]
        if definition["required"] and {**ticket.fields, **fields}.get(number) is None:
            form.complain(f"t-cf-{number}", REQUIRED_FIELD)
    form.refuse_if_wrong()
    edit = Edit(fields=fields, late=arguments.late)
    return _changed(world, tickets.change_ticket(world, ticket, rows.by_staff(world, staff), edit))


def move(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/move/: another category, with a note and an assignee if given."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    category = form.needed("target_category_id", world.categories)
    assignee = form.choice("assign_to", world.staff)
    form.refuse_if_wrong()
    if not {"move_tickets", "move_ticket_to_any_category"} & set(world.staff[staff]["permissions"]):
        raise RefusedError(403, {"error": "You do not have permission to move this ticket."})
    edit = Edit(
        message=rows.message(form.text("move_note"), None, private=True),
        category=category,
        assignee=assignee or "keep",
        late=arguments.late,
    )
    after = tickets.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
    answer = {"status_code": 200, "message": f"moved ticket to {world.categories[category]['name']}"}
    return Outcome(answer, (News("ticket-updated", after),))


def forward(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/forward/: tells no webhook; requires only what the article's example sends."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    to = form.text("to", required=True)
    subject = form.text("subject", required=True)
    form.refuse_if_wrong()
    if world.options.forward_rows:
        text = form.text("message") or form.text("text") or subject
        message = rows.message(text, form.text("html"), subject=subject, forward=to)
        edit = Edit(message=message, late=arguments.late)
        tickets.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
    return Outcome({"message": f"Successfully forwarded the ticket {ticket.display_id}"})


def subscribe(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/subscribe/: `staff_id` and further ids in `data`. No row, no webhook."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    others = form.choices("data", world.staff)
    form.refuse_if_wrong()
    chosen = tuple(dict.fromkeys((staff, *others)))
    subscribers = tuple(dict.fromkeys((*ticket.subscribers, *chosen)))
    world.put(replace(ticket, subscribers=subscribers, modified_at=world.now()))
    names = "".join(f"{world.staff[number]['name']}, " for number in chosen)
    return Outcome({"message": f"{names}Subscribers added to ticket"})


def unsubscribe(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/unsubscribe/: `staff_id` is the one to remove."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    form.refuse_if_wrong()
    left = tuple(number for number in ticket.subscribers if number != staff)
    world.put(replace(ticket, subscribers=left, modified_at=world.now()))
    return Outcome({"message": f"{world.staff[staff]['name']} unsubscribed"})


def delete(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/delete/: gone for good; tells no webhook."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    form.needed("staff_id", world.staff)
    form.refuse_if_wrong()
    world.remove(ticket.id)
    return Outcome({"deleted_ticket": ticket.display_id})


def reopening(world: World, ticket: Ticket) -> int | None:
    """The status a contact's reply sets: none, unless closed tickets reopen in this account."""
    reopens = world.options.reopen_on_reply and world.completed(ticket.status)
    return world.default(world.statuses) if reopens else None


def _changed(world: World, after: Ticket, *, row: bool = True) -> Outcome:
    return Outcome(rows.ticket_json(world, after), (News("ticket-updated", after, row),))


def _staff_edit(world: World, arguments: Arguments, *, private: bool) -> Outcome:
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff", world.staff)
    edit = _properties(world, form)
    about_contact = form.fields(CONTACT_FIELDS, world.contact_fields)
    if world.categories[ticket.category]["time_spent_mandatory"] and edit.time_spent is None:
        form.complain("time_spent", REQUIRED)
    form.refuse_if_wrong()
    unfilled = tickets.unfilled_on_completion(world, ticket, edit)
    if unfilled:  # an object, not a list: the article shows it so
        raise RefusedError(400, {"error": {f"t-cf-{number}": UNFILLED for number in unfilled}})
    message = rows.message(
        form.text("plaintext") or form.text("text"),  # sources differ on the name
        form.text("html"),
        private=private,
        subject="" if private else form.text("subject"),
        cc="" if private else form.text("cc"),
        bcc="" if private else form.text("bcc"),
        notified=not private and form.boolean("update_customer"),
        attachments=attach(world, arguments),
    )
    edit = replace(edit, message=message, late=arguments.late)
    if world.options.nothing_to_update and tickets.changes_nothing(ticket, edit) and not about_contact:
        raise RefusedError(400, {"error": "Nothing to update"})
    fill_contact(world, world.contacts[ticket.contact], about_contact)
    return _changed(world, tickets.change_ticket(world, ticket, rows.by_staff(world, staff), edit))


def _properties(world: World, form: Form) -> Edit:
    assignee = form.choice("assignee", world.staff)
    cleared = form.given("assignee") and form.members["assignee"] is None
    due_date = form.date("due_date")
    undated = form.given("due_date") and form.members["due_date"] is None
    tags = form.tags("tags")
    replacing = world.options.tags_on_update == "replace" and form.given("tags")
    return Edit(
        status=form.choice("status", world.statuses),
        priority=form.choice("priority", world.priorities),
        assignee=None if cleared else assignee or "keep",
        due_date=None if undated else due_date or "keep",
        time_spent=form.integer("time_spent"),
        add_tags=() if replacing else tags,
        replace_tags=tags if replacing else None,
        fields=form.fields(("t-cf",), world.ticket_fields),
    )
