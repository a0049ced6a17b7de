"""POST /ticket/<n>/...: staff update, private note, contact reply (tickets article, 7 to 9)."""

import re
from dataclasses import replace

from workers.simulator import rows
from workers.simulator.api import fields, files
from workers.simulator.api.creation import contact_keys, fill_contact
from workers.simulator.api.forms import REQUIRED, UNFILLED, Form, RefusedError
from workers.simulator.api.reads import ticket_of
from workers.simulator.api.route import Arguments, News, Outcome
from workers.simulator.world import Ticket, World, changes
from workers.simulator.world.edits import Edit


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
    files.check(form, arguments)
    form.refuse_if_wrong()
    marked_up = re.search(r"<[a-zA-Z][^>]*>", said) is not None  # "in text format or html format"
    message = rows.message(
        None if marked_up else said,
        said if marked_up else None,
        cc=form.text("cc"),
        bcc=form.text("bcc"),
        attachments=files.attach(world, arguments),
    )
    edit = Edit(message=message, status=reopening(world, ticket), late=arguments.late)
    by = rows.by_contact(world.contacts[contact])
    return changed(world, changes.change_ticket(world, ticket, by, edit), shown=not world.options.bare_writes)


def reopening(world: World, ticket: Ticket) -> int | None:
    """The status a contact's reply sets: none, unless closed tickets reopen in this account."""
    reopens = world.options.reopen_on_reply and world.completed(ticket.status)
    return world.default(world.statuses) if reopens else None


def changed(world: World, after: Ticket, *, row: bool = True, shown: bool = True) -> Outcome:
    """The answer of a call that changed a ticket: the ticket, or nothing when it is not `shown`."""
    return Outcome(rows.ticket_json(world, after) if shown else None, (News("ticket-updated", after, row),))


def _staff_edit(world: World, arguments: Arguments, *, private: bool) -> Outcome:
    ticket, form = ticket_of(world, arguments), Form(arguments.body)
    options = world.options
    staff = form.needed("staff", world.staff)
    edit = _properties(world, form)
    about_contact = fields.read(form, contact_keys(world), world.contact_fields, options)
    if world.categories[ticket.category]["time_spent_mandatory"] and edit.time_spent is None:
        form.complain("time_spent", REQUIRED)
    files.check(form, arguments)
    known = form.integer("last_staff_message")
    form.refuse_if_wrong()
    if known is not None and options.last_staff_message == "refuse" and known != changes.last_staff_message(ticket):
        raise RefusedError(409, {"error": "Another staff message was added in the meantime."})
    unfilled = changes.unfilled_on_completion(world, ticket, edit)
    if unfilled:  # an object, not a list: the article shows it so
        wrong = {f"t-cf-{number}": UNFILLED for number in unfilled}
        raise RefusedError(options.completion_status, {"error": wrong})
    wordless = not (_words(world, form) or form.text("html") or arguments.files or about_contact)
    if options.nothing_to_update and wordless and changes.changes_nothing(ticket, edit):
        raise RefusedError(400, {"error": "Nothing to update"})
    message = rows.message(
        _words(world, form),
        form.text("html"),
        private=private,
        subject="" if private else form.text("subject"),
        cc="" if private else form.text("cc"),
        bcc="" if private else form.text("bcc"),
        notified=not private and form.boolean("update_customer"),
        attachments=files.attach(world, arguments),
    )
    fill_contact(world, world.contacts[ticket.contact], about_contact)
    edit = replace(edit, message=message, late=arguments.late)
    after = changes.change_ticket(world, ticket, rows.by_staff(world, staff), edit)
    return changed(world, after, shown=not (private and options.bare_writes))


def _words(world: World, form: Form) -> str:
    key = world.options.plain_text_key
    return (form.text("plaintext") or form.text("text")) if key == "both" else form.text(key)


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
        time_spent=_minutes(world, form),
        add_tags=() if replacing else tags,
        replace_tags=tags if replacing else None,
        fields=fields.read(form, ("t-cf",), world.ticket_fields, world.options),
    )


def _minutes(world: World, form: Form) -> int | None:
    minutes = form.integer("time_spent")
    if minutes is None or minutes >= 0:
        return minutes
    if world.options.unknown_values == "refused":
        form.complain("time_spent", "Ensure this value is greater than or equal to 0.")
    return None
