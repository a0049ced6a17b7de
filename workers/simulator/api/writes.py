"""POST /ticket/<n>/...: tags, custom fields, move, forward, subscribers, deletion (tickets article, 10 to 16)."""

from dataclasses import replace

from workers.simulator import rows
from workers.simulator.api import fields, files
from workers.simulator.api.forms import REQUIRED_FIELD, Form, RefusedError
from workers.simulator.api.paging import NOT_FOUND
from workers.simulator.api.reads import ticket_of
from workers.simulator.api.replies import changed
from workers.simulator.api.route import Arguments, News, Outcome
from workers.simulator.world import Ticket, World, changes
from workers.simulator.world.edits import Edit


def update_tags(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/update_tags/: `add` and `remove`; older accounts send no `staff_id`."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    needed = world.options.tags_need_staff
    staff = form.needed("staff_id", world.staff) if needed else form.choice("staff_id", world.staff)
    edit = Edit(
        add_tags=form.tags("add"),
        remove_tags=form.tags("remove"),
        late=arguments.late,
        row=world.options.tag_rows,
    )
    form.refuse_if_wrong()
    by = rows.by_staff(world, staff) if staff else {"id": None, "name": "", "email": None, "type": "staff"}
    return changed(world, changes.change_ticket(world, ticket, by, edit), row=edit.row)


def update_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/update_custom_fields/: `t-cf-<id>` members."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff", world.staff)
    values = fields.read(form, ("t-cf",), world.ticket_fields, world.options)
    for definition in world.fields_of(ticket.category):
        number = definition["id"]
        if definition["required"] and {**ticket.fields, **values}.get(number) is None:
            form.complain(f"t-cf-{number}", REQUIRED_FIELD)
    form.refuse_if_wrong()
    edit = Edit(fields=values, late=arguments.late)
    after = changes.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
    return changed(world, after, shown=not world.options.bare_writes)


def move(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/move/: another category, with a note and an assignee if given."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    category = form.needed("target_category_id", world.categories)
    assignee = form.choice("assign_to", world.staff)
    form.refuse_if_wrong()
    if not {"move_tickets", "move_ticket_to_any_category"} & set(world.staff[staff]["permissions"]):
        raise RefusedError(world.options.forbidden_status, {"error": "You do not have permission to move this ticket."})
    edit = Edit(
        message=rows.message(form.text("move_note"), None, private=True),
        category=category,
        assignee=assignee or "keep",
        late=arguments.late,
    )
    after = changes.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
    answer = {"status_code": 200, "message": f"moved ticket to {world.categories[category]['name']}"}
    return Outcome(answer, (News("ticket-updated", after),))


def forward(world: World, arguments: Arguments) -> Outcome:
    """POST /ticket/<n>/forward/: tells no webhook; requires only what the article's example sends."""
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    staff = form.needed("staff_id", world.staff)
    to = form.text("to", required=True)
    subject = form.text("subject", required=True)
    form.choices("ticket_attachments", _attached(ticket))
    files.check(form, arguments)
    form.refuse_if_wrong()
    attached = files.attach(world, arguments)
    if world.options.forward_rows:
        text = form.text("message") or form.text("text") or subject
        message = rows.message(text, form.text("html"), subject=subject, forward=to, attachments=attached)
        edit = Edit(message=message, late=arguments.late)
        changes.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
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
    if arguments.number not in world.tickets:
        raise RefusedError(world.options.gone_status, NOT_FOUND)
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    form.needed("staff_id", world.staff)
    form.refuse_if_wrong()
    world.remove(ticket.id)
    return Outcome({"deleted_ticket": ticket.display_id})


def _attached(ticket: Ticket) -> dict[int, str]:
    messages = (row.shown["message"] for row in ticket.rows)
    return {one["id"]: one["filename"] for message in messages if message for one in message["attachments"]}
