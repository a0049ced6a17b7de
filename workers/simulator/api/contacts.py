"""Contacts: list, search, one, create or edit, many at once, phones, login (contacts article, 1 to 7 and 14)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator import rows
from workers.simulator.api import fields
from workers.simulator.api.forms import NOT_A_CHOICE, REQUIRED, REQUIRED_FIELD, Form, RefusedError, whole
from workers.simulator.api.paging import NOT_FOUND, page
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.search import contacts as search
from workers.simulator.search import grammar
from workers.simulator.world import Contact, Json, World

BULK: Final = 100
PHONES: Final = ("mo", "w", "m", "h", "o")
"""Mobile, work, main, home, other."""


def contacts(world: World, arguments: Arguments) -> Outcome:
    """GET /users/, with `q`."""
    terms = grammar.parse(arguments.query.get("q", ""))
    found = [one for one in world.contacts.values() if all(search.holds(world, one, term) for term in terms)]
    shown, info = page(world, found, arguments)
    return Outcome({"page_info": info, "data": [rows.contact_json(world, one) for one in shown]})


def contact(world: World, arguments: Arguments) -> Outcome:
    """GET /user/<id>/ or /user/<email>/."""
    return Outcome(rows.contact_json(world, _contact_of(world, arguments)))


def put(world: World, arguments: Arguments) -> Outcome:
    """POST /users/: creates, or edits the contact with this address and resets the custom fields left out."""
    if not isinstance(arguments.body, list):
        return Outcome(rows.contact_json(world, _put(world, arguments.body)))
    if len(arguments.body) > BULK:
        raise RefusedError(400, {"error": f"At most {BULK} contacts can be added in one request."})
    results: list[Json] = []
    for members in arguments.body:
        try:
            made = _put(world, members)
        except RefusedError as refused:  # the article shows no failure: assumed to be as for tickets
            results.append({"success": False, **refused.payload})
        else:
            results.append({"email": made.email, "success": True, "id": made.id})
    return Outcome(results)


def edit(world: World, arguments: Arguments) -> Outcome:
    """POST /user/<id>/ or /user/<email>/: changes what is given and leaves the rest."""
    before, form = _contact_of(world, arguments), Form(arguments.body)
    values = fields.read(form, ("c-cf",), world.contact_fields, world.options)
    after = _changed(world, before, form, {**before.fields, **values})
    if set(form.members) <= {"is_login_enabled"} and world.options.bare_writes:
        return Outcome(None)
    return Outcome(rows.contact_json(world, after))


def _contact_of(world: World, arguments: Arguments) -> Contact:
    named = world.contact_by_email(arguments.word) if arguments.word else world.contacts.get(arguments.number)
    if named is None:
        raise RefusedError(404, NOT_FOUND)
    return named


def _put(world: World, members: Any) -> Contact:
    form = Form(members)
    email = form.text("email")
    before = world.contact_by_email(email) if email else None
    values = fields.read(form, ("c-cf",), world.contact_fields, world.options)
    if not form.given("email") or (not email and not form.given("phones")):
        form.complain("email", REQUIRED)
    if before is None:
        form.text("name", required=True)
    for number, definition in world.contact_fields.items():
        if definition["required"] and values.get(number) is None and f"c-cf-{number}" not in form.errors:
            form.complain(f"c-cf-{number}", REQUIRED_FIELD)
    if before is not None:
        return _changed(world, before, form, values)
    _check(world, form, None)
    form.refuse_if_wrong()
    return _changed(world, world.new_contact(form.text("name"), email or None), form, values, new=True)


def _check(world: World, form: Form, before: Contact | None) -> None:
    """Complain about a wrong address, a taken one, and phones that cannot be."""
    email = form.text("email")
    if email and "@" not in email:
        form.complain("email", "Enter a valid email address.")
    taken = world.contact_by_email(email) if email else None
    if taken is not None and (before is None or taken.id != before.id):
        form.complain("email", "A contact with this email address exists already.")
    known = {phone["id"] for phone in before.phones} if before else set()
    phones = form.members.get("phones") or []
    for phone in phones if isinstance(phones, list) else [None]:
        _check_phone(form, phone, known)


def _check_phone(form: Form, phone: Any, known: set[int]) -> None:
    """Complain about a phone: a new one needs a number, any part of a known one may be edited."""
    if not isinstance(phone, dict):
        form.complain("phones", REQUIRED)
        return
    number, kind, edited = phone.get("number"), phone.get("type") or "o", phone.get("id")
    if (edited is not None and whole(edited) not in known) or kind not in PHONES:
        form.complain("phones", NOT_A_CHOICE)
    elif not (isinstance(number, str) and number) and (edited is None or number is not None):
        form.complain("phones", REQUIRED)


def _changed(world: World, before: Contact, form: Form, values: Mapping[int, Any], *, new: bool = False) -> Contact:
    """Store a contact as the form wants it. A phone with `id` is edited, one without is added."""
    _check(world, form, before)
    form.refuse_if_wrong()
    phones, primary = {phone["id"]: phone for phone in before.phones}, before.primary
    for given in form.members.get("phones") or []:
        number = whole(given.get("id")) or world.next("phone")
        phone = phones.get(number, {"id": number, "type": "o", "number": ""})
        phones[number] = phone | {name: given[name] for name in ("type", "number") if given.get(name)}
        if given.get("is_primary") in (True, "true"):
            primary = number
    login = form.boolean("is_login_enabled") if form.given("is_login_enabled") else before.login
    return world.put_contact(
        replace(
            before,
            name=form.text("name") or before.name,
            email=form.text("email") or before.email,
            phones=tuple(phones.values()),
            primary=primary,
            fields=dict(values),
            login=login,
            updated_at=None if new else world.now(),
        )
    )
