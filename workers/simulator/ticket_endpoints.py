"""Endpoints of tickets (tickets article)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator import edits, search, updates
from workers.simulator.account import Json, SimulatedAccount, StoredContact, StoredTicket
from workers.simulator.edits import TicketDraft, TicketEdit
from workers.simulator.forms import (
    BULK_LIMIT,
    NOT_A_CHOICE,
    NOT_FOUND,
    REQUIRED,
    ApiError,
    Arguments,
    BodyMembers,
    Outcome,
    ValidationError,
    WebhookEvent,
    as_integer,
    page,
)
from workers.simulator.http import Upload

FILTERS: Final = (
    *("unresponded", "breached", "has_attachments", "tag", "duedate", "priority"),
    *("assignee", "group", "contact", "id"),
)
"""The filters of the tickets article. It does not say whether they also work outside `q`."""
LIST_PARAMETERS: Final = (
    *("status", "category", "q", "sort", "minify_response", "fields"),
    *("show_updates", "include_updates"),  # in older editions
)
DEFAULT_SORT: Final = "updated"
"""The latest reply first (tickets article)."""
THIN: Final = ("last_modified", "visible_only_staff")
UNFILLED: Final = "This field should be filled before marking this ticket as completed"
MEGABYTES: Final = 25
ATTACHMENT_LIMIT: Final = MEGABYTES * 1024 * 1024
"""The most bytes of all attachments of a request together, and of one inline image.

HappyFox does not say whether a megabyte is 10**6 or 2**20 bytes; 2**20 is assumed.
"""
FORWARD_SWITCHES: Final = (
    *("to_include_ticket_contact", "cc_include_ticket_contact", "send_all_messages", "include_pvt_notes"),
    "convert_replies_as_new_ticket",
)
IMAGE_PATH: Final = "get_hdp_temporarily_attachment"


# Reading


def list_tickets(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /tickets/. A search ignores `sort`."""
    query, options = args.query, account.options
    status, q, sort = query.get("status", options.default_status), query.get("q", ""), query.get("sort") or DEFAULT_SORT
    categories = [one for one in args.all_values.get("category", ()) if one not in ("", "_all")]
    if options.strict:
        _check_filters(account, status, categories, sort)
    elif sort not in search.SORTS:
        sort = DEFAULT_SORT
    terms = search.parse_search(q)
    if options.filters_as_parameters:
        terms += [search.Term(name, search.parse_values(query[name])) for name in FILTERS if name in query]
    found = [
        ticket
        for ticket in account.tickets.values()
        if account.visible(ticket)
        and search.in_status(account, ticket, status)
        and (not categories or str(ticket.category) in categories)
        and all(search.ticket_matches(account, ticket, term) for term in terms)
    ]
    shown, info = page(account, search.sort_tickets(account, found, DEFAULT_SORT if q else sort), args)
    filters = {"status": status, "category": ",".join(categories) or "_all", "q": q, "sort": sort}
    return Outcome({"page_info": info, "data": _listed(account, shown, args), "filters": filters})


def _check_filters(account: SimulatedAccount, status: str, categories: list[str], sort: str) -> None:
    """Raise a 400 for a status, category or sort that does not exist."""
    wrong = {
        "status": status not in search.STATUS_GROUPS and as_integer(status) not in account.statuses,
        "category": any(as_integer(one) not in account.categories for one in categories),
        "sort": sort not in search.SORTS,
    }
    if any(wrong.values()):
        errors = [{"field": name, "errors": [NOT_A_CHOICE]} for name, is_wrong in wrong.items() if is_wrong]
        raise ValidationError(400, {"error": errors})


def _listed(account: SimulatedAccount, tickets: list[StoredTicket], args: Arguments) -> list[Any]:
    if args.flag("minify_response"):
        return [ticket.id for ticket in tickets]
    asked = args.flag("show_updates") or args.flag("include_updates")  # the older edition's name
    with_updates = {"asked": asked, "always": True, "never": False}[account.options.list_updates]
    data = [updates.ticket_json(account, ticket, updates=with_updates) for ticket in tickets]
    names = args.query.get("fields")
    if not names or not account.options.fields_trim:
        return data
    wanted = [name.strip() for name in names.split(",")]
    return [{name: shown[name] for name in wanted if name in shown} for shown in data]


def read_ticket(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /ticket/<n>/; `show_cf_changes` adds changes of custom fields."""
    found = account.tickets.get(args.number)
    if found is None or found.merged_to is None or account.options.merged_reads == "missing":
        found = _ticket_of(account, args)
    elif account.options.merged_reads == "survivor":
        found = account.tickets[found.merged_to]
    return Outcome(updates.ticket_json(account, found, field_changes=args.flag("show_cf_changes")))


def _ticket_of(account: SimulatedAccount, args: Arguments) -> StoredTicket:
    """Return the ticket of a path; 404 if it is missing, not visible yet or merged."""
    found = account.tickets.get(args.number)
    if found is None or found.merged_to is not None or not account.visible(found):
        raise ApiError(404, NOT_FOUND)
    return found


# Creating


def create(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /tickets/: one object, or a list of up to 100."""
    if not isinstance(args.body, list):
        ticket = _create(account, args)
        shown = updates.ticket_json(account, ticket)
        if account.options.thin_creations:
            shown = {name: value for name, value in shown.items() if name not in THIN} | {"time_spent": None}
        return Outcome(shown, (WebhookEvent("ticket-created", ticket),))
    if len(args.body) > BULK_LIMIT:
        raise ApiError(400, {"error": f"At most {BULK_LIMIT} tickets can be created in one request."})
    results: list[Json] = []
    events: list[WebhookEvent] = []
    for members in args.body:
        try:
            ticket = _create(account, Arguments(body=members, late=args.late))
        except ApiError as error:
            results.append({"success": False, **error.payload})
        else:
            results.append({"display_id": ticket.display_id, "id": ticket.id, "success": True})
            events.append(WebhookEvent("ticket-created", ticket))
    return Outcome(results, tuple(events))


def _create(account: SimulatedAccount, args: Arguments) -> StoredTicket:
    form = BodyMembers(args, account.options)
    subject = form.text("subject", required=True)
    text, html = form.text("text"), form.text("html")
    if not text and not html:
        form.add_error("text", REQUIRED)
    public = {number: category for number, category in account.categories.items() if category["public"]}
    category = form.required_choice("category", public)
    priority = form.choice("priority", account.priorities)
    assignee = form.choice("assignee", account.staff)
    values = form.custom_fields(("t-cf",), account.ticket_fields)
    contact_values = _contact_values(account, form)
    form.require_fields("t-cf", account.fields_of(category) if category else (), values)
    due_date, created_at, tags = form.date("due_date"), form.time("created_at"), form.tags("tags")
    cc, bcc, visible_only_staff = form.text("cc"), form.text("bcc"), form.boolean("visible_only_staff")
    client = form.choice("client", account.contacts)
    is_new = client is None and "client" not in form.errors
    name, email, phone = form.text("name", required=is_new), form.email(required=is_new), form.text("phone")
    uploads = _attachments(form)
    form.raise_errors()
    message = updates.message(text, html, cc=cc, bcc=bcc, attachments=_attach(account, uploads))
    if client is not None:
        contact = account.contacts[client]
    else:
        contact = account.contact_by_email(email) or account.new_contact(name, email, phone)
    draft = TicketDraft(
        contact=_set_contact_fields(account, contact, contact_values),
        subject=subject,
        message=message or {},
        category=category,
        priority=priority,
        assignee=assignee,
        tags=tags,
        fields=values,
        due_date=due_date,
        created_at=created_at,
        visible_only_staff=visible_only_staff,
        late=args.late,
    )
    return edits.open_ticket(account, draft)


def _contact_values(account: SimulatedAccount, form: BodyMembers) -> dict[int, Any]:
    """Return the contact fields of a ticket call; the article uses two prefixes."""
    key = account.options.contact_field_key
    return form.custom_fields(("ccf", "c-cf") if key == "both" else (key,), account.contact_fields)


def _set_contact_fields(account: SimulatedAccount, contact: StoredContact, values: Mapping[int, Any]) -> StoredContact:
    if not values:
        return contact
    return account.put_contact(replace(contact, fields={**contact.fields, **values}, updated_at=account.now()))


# Replying and editing


def staff_update(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/staff_update/: a reply, properties, or both."""
    return _staff_edit(account, args, private=False)


def staff_pvtnote(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/staff_pvtnote/: the same with a private note."""
    return _staff_edit(account, args, private=True)


def user_reply(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/user_reply/: a reply as a contact."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    contact = form.required_choice("user", account.contacts)
    text, cc, bcc = form.text("text", required=True), form.text("cc"), form.text("bcc")
    uploads = _attachments(form)
    form.raise_errors()
    is_html = re.search(r"<[a-zA-Z][^>]*>", text) is not None  # "in text format or html format"
    message = updates.message(
        None if is_html else text,
        text if is_html else None,
        cc=cc,
        bcc=bcc,
        attachments=_attach(account, uploads),
    )
    edit = TicketEdit(message=message, status=status_after_reply(account, ticket), late=args.late)
    after = edits.change_ticket(account, ticket, updates.by_contact(account.contacts[contact]), edit)
    return _updated(account, after, show=not account.options.bare_writes)


def status_after_reply(account: SimulatedAccount, ticket: StoredTicket) -> int | None:
    """Return the status that a contact's reply sets; None if it sets none."""
    reopens = account.options.reopen_on_reply and account.completed(ticket.status)
    return account.default(account.statuses) if reopens else None


def _updated(account: SimulatedAccount, after: StoredTicket, *, show: bool = True, has_update: bool = True) -> Outcome:
    """Return the outcome of a write: the ticket, or an empty body unless `show`."""
    shown = updates.ticket_json(account, after) if show else None
    return Outcome(shown, (WebhookEvent("ticket-updated", after, has_update),))


def _staff_edit(account: SimulatedAccount, args: Arguments, *, private: bool) -> Outcome:
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    staff = form.required_choice("staff", account.staff)
    edit = _properties(account, form)
    contact_values = _contact_values(account, form)
    if account.categories[ticket.category]["time_spent_mandatory"] and edit.time_spent is None:
        form.add_error("time_spent", REQUIRED)
    text, html = _plain_text(account, form), form.text("html")
    addressed = _alert(account, form) if private else _addressed(form)
    known_message = None if private else form.integer("last_staff_message")
    uploads = _attachments(form)
    form.raise_errors()
    _check_collision(account, ticket, known_message)
    _check_completion(account, ticket, edit)
    only_properties = not (text or html or uploads or contact_values)
    if account.options.nothing_to_update and only_properties and edits.changes_nothing(ticket, edit):
        raise ApiError(400, {"error": "Nothing to update"})
    message = updates.message(text, html, private=private, attachments=_attach(account, uploads), **addressed)
    _set_contact_fields(account, account.contacts[ticket.contact], contact_values)
    edit = replace(edit, message=message, late=args.late)
    after = edits.change_ticket(account, ticket, updates.by_staff(account, staff), edit)
    return _updated(account, after, show=not (private and account.options.bare_writes))


def _addressed(form: BodyMembers) -> Json:
    """Return how a reply is sent. Surveys and social networks are not simulated."""
    form.boolean("send_survey")
    form.integer("parent_update")
    return {
        "subject": form.text("subject"),
        "cc": form.text("cc"),
        "bcc": form.text("bcc"),
        "notified": form.boolean("update_customer"),
    }


def _alert(account: SimulatedAccount, form: BodyMembers) -> Json:
    """Check whom a note alerts: `s` subscribers, `c` the category's staff, or one staff member. It is not shown."""
    if form.value("alert") not in ("s", "c"):
        form.choice("alert", account.staff)
    return {}


def _check_collision(account: SimulatedAccount, ticket: StoredTicket, known: int | None) -> None:
    """Raise a 409 if the last staff message is not the one the caller knows."""
    if account.options.last_staff_message == "refuse" and known not in (None, edits.last_staff_message(ticket)):
        raise ApiError(409, {"error": "Another staff message was added in the meantime."})


def _check_completion(account: SimulatedAccount, ticket: StoredTicket, edit: TicketEdit) -> None:
    """Raise an error if the edit closes the ticket while compulsory fields are empty."""
    unfilled = edits.unfilled_on_completion(account, ticket, edit)
    if unfilled:  # an object instead of a list, as the article shows it
        errors = {f"t-cf-{number}": UNFILLED for number in unfilled}
        raise ApiError(account.options.completion_status, {"error": errors})


def _plain_text(account: SimulatedAccount, form: BodyMembers) -> str:
    key = account.options.plain_text_key
    texts = [form.text(name) for name in (("plaintext", "text") if key == "both" else (key,))]
    return next(filter(None, texts), "")


def _properties(account: SimulatedAccount, form: BodyMembers) -> TicketEdit:
    assignee, due_date, tags = form.choice("assignee", account.staff), form.date("due_date"), form.tags("tags")
    replaces = account.options.tags_on_update == "replace" and form.given("tags")
    time_spent = form.integer("time_spent")
    if time_spent is not None and time_spent < 0:
        time_spent = None
        if account.options.strict:
            form.add_error("time_spent", "Ensure this value is greater than or equal to 0.")
    return TicketEdit(
        status=form.choice("status", account.statuses),
        priority=form.choice("priority", account.priorities),
        assignee=None if form.cleared("assignee") else assignee or "keep",
        due_date=None if form.cleared("due_date") else due_date or "keep",
        time_spent=time_spent,
        add_tags=() if replaces else tags,
        replace_tags=tags if replaces else None,
        fields=form.custom_fields(("t-cf",), account.ticket_fields),
    )


def update_tags(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/update_tags/; older editions have no `staff_id`."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    choose = form.required_choice if account.options.tags_need_staff else form.choice
    staff = choose("staff_id", account.staff)
    edit = TicketEdit(
        add_tags=form.tags("add"),
        remove_tags=form.tags("remove"),
        late=args.late,
        leaves_update=account.options.tag_updates,
    )
    form.raise_errors()
    by = updates.by_staff(account, staff) if staff else {"id": None, "name": "", "email": None, "type": "staff"}
    return _updated(account, edits.change_ticket(account, ticket, by, edit), has_update=edit.leaves_update)


def update_custom_fields(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/update_custom_fields/: `t-cf-<id>` members."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    staff = form.required_choice("staff", account.staff)
    values = form.custom_fields(("t-cf",), account.ticket_fields)
    form.require_fields("t-cf", account.fields_of(ticket.category), {**ticket.fields, **values})
    form.raise_errors()
    edit = TicketEdit(fields=values, late=args.late)
    after = edits.change_ticket(account, ticket, updates.by_staff(account, staff), edit)
    return _updated(account, after, show=not account.options.bare_writes)


def move(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/move/, with an optional note and assignee."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    staff = form.required_choice("staff_id", account.staff)
    category = form.required_choice("target_category_id", account.categories)
    assignee, note = form.choice("assign_to", account.staff), form.text("move_note")
    form.raise_errors()
    if not {"move_tickets", "move_ticket_to_any_category"} & set(account.staff[staff]["permissions"]):
        raise ApiError(account.options.forbidden_status, {"error": "You do not have permission to move this ticket."})
    edit = TicketEdit(
        message=updates.message(note, None, private=True),
        category=category,
        assignee=assignee or "keep",
        late=args.late,
    )
    after = edits.change_ticket(account, ticket, updates.by_staff(account, staff), edit)
    payload = {"status_code": 200, "message": f"moved ticket to {account.categories[category]['name']}"}
    return Outcome(payload, (WebhookEvent("ticket-updated", after),))


def forward(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/forward/. Sends no webhook."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    # Only the members of the article's example are required.
    staff = form.required_choice("staff_id", account.staff)
    to = form.text("to", required=True)
    subject = form.text("subject", required=True)
    # The article names `message`, a condensed note `html` and `text`.
    texts, html = (form.text("message"), form.text("text")), form.text("html")
    cc, bcc = form.text("cc"), form.text("bcc")
    for name in FORWARD_SWITCHES:
        form.boolean(name)
    messages = (update.shown["message"] for update in ticket.updates)
    attached = {one["id"]: one["filename"] for message in messages if message for one in message["attachments"]}
    form.choices("ticket_attachments", attached)
    uploads = _attachments(form)
    form.raise_errors()
    attachments = _attach(account, uploads)
    if account.options.forward_updates:
        message = updates.message(
            next(filter(None, texts), subject),
            html,
            subject=subject,
            cc=cc,
            bcc=bcc,
            forward=to,
            attachments=attachments,
        )
        edit = TicketEdit(message=message, late=args.late)
        edits.change_ticket(account, ticket, updates.by_staff(account, staff), edit)
    return Outcome({"message": f"Successfully forwarded the ticket {ticket.display_id}"})


def subscribe(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/subscribe/: further ids in `data`. Sends no webhook."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    staff = form.required_choice("staff_id", account.staff)
    others = form.choices("data", account.staff)
    form.raise_errors()
    chosen = tuple(dict.fromkeys((staff, *others)))
    subscribers = tuple(dict.fromkeys((*ticket.subscribers, *chosen)))
    account.put(replace(ticket, subscribers=subscribers, modified_at=account.now()))
    names = "".join(f"{account.staff[number]['name']}, " for number in chosen)
    return Outcome({"message": f"{names}Subscribers added to ticket"})


def unsubscribe(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/unsubscribe/: `staff_id` is the one to remove."""
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    staff = form.required_choice("staff_id", account.staff)
    form.raise_errors()
    left = tuple(number for number in ticket.subscribers if number != staff)
    account.put(replace(ticket, subscribers=left, modified_at=account.now()))
    return Outcome({"message": f"{account.staff[staff]['name']} unsubscribed"})


def delete(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket/<n>/delete/. Deletes permanently, without a webhook."""
    if args.number not in account.tickets:
        raise ApiError(account.options.gone_status, NOT_FOUND)
    ticket, form = _ticket_of(account, args), BodyMembers(args, account.options)
    form.required_choice("staff_id", account.staff)
    form.raise_errors()
    account.remove(ticket.id)
    return Outcome({"deleted_ticket": ticket.display_id})


# Attachments and inline images


def _attachments(form: BodyMembers) -> list[Upload]:
    """Return the files sent as `attachments`; add an error if they are too large together (its text is assumed)."""
    uploads = form.files("attachments")
    if sum(len(upload.content) for upload in uploads) > ATTACHMENT_LIMIT:
        form.add_error("attachments", f"The total size of all attachments should not exceed {MEGABYTES} MB.")
    return uploads


def _attach(account: SimulatedAccount, uploads: list[Upload]) -> list[Json]:
    """Store files. Each read creates new links to them."""
    attached = []
    for upload in uploads:
        content_type = upload.content_type.encode("ascii", "ignore").decode()  # becomes a header of the download
        stored = account.store_file(upload.filename, content_type, upload.content)
        attached.append({"id": stored.id, "filename": stored.filename, "url": None})
    return attached


def upload_image(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /ticket-inline-attachment: return the address of an image."""
    form = BodyMembers(args, account.options)
    images = form.files("file")
    if not images:
        form.add_error("file", REQUIRED)
    elif (
        len(images) > 1 or len(images[0].content) > ATTACHMENT_LIMIT or not images[0].content_type.startswith("image/")
    ):
        form.add_error("file", f"Upload one image of at most {MEGABYTES} MB.")
    form.raise_errors()
    stored = account.store_file(images[0].filename, images[0].content_type, images[0].content)
    return Outcome({"url": f"{account.files_at or account.url}/{IMAGE_PATH}/{stored.id}/"})


def read_image(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET of an inline image, without credentials, any number of times (assumed)."""
    stored = account.files.get(args.number)
    if stored is None or not stored.content_type.startswith("image/"):
        raise ApiError(404, b"")
    return Outcome(stored.content, media=stored.content_type)


def download(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET of an attachment by its signed link, without credentials."""
    query = args.query
    expires, serial = as_integer(query.get("expires")), as_integer(query.get("serial"))
    stored = account.redeem_link(args.number, expires or 0, serial or 0, query.get("signature", ""))
    if stored is None:
        raise ApiError(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    return Outcome(stored.content, media=stored.content_type)
