"""Endpoints of contacts and contact groups (contacts article)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator import search
from workers.simulator.account import Json, SimulatedAccount, StoredContact
from workers.simulator.forms import (
    BULK_LIMIT,
    NOT_A_CHOICE,
    NOT_A_FLAG,
    NOT_FOUND,
    REQUIRED,
    ApiError,
    Arguments,
    BodyMembers,
    Outcome,
    as_flag,
    as_integer,
    get_or_404,
    page,
    unknown_member,
)
from workers.simulator.updates import contact_json

PHONE_TYPES: Final = ("mo", "w", "m", "h", "o")
"""Mobile, work, main, home, other."""
PHONE_MEMBERS: Final = ("id", "type", "number", "is_primary")
GROUP_DETAILS: Final = ("description", "tagged_domains")


def list_contacts(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /users/, with `q`."""
    terms = search.parse_search(args.query.get("q", ""))
    found = [
        contact
        for contact in account.contacts.values()
        if all(search.contact_matches(account, contact, term) for term in terms)
    ]
    shown, info = page(account, found, args)
    return Outcome({"page_info": info, "data": [contact_json(account, contact) for contact in shown]})


def read_contact(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /user/<id>/ and /user/<email>/."""
    return Outcome(contact_json(account, _contact_of(account, args)))


def put_contacts(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /users/: create contacts, or edit them and reset omitted fields."""
    if not isinstance(args.body, list):
        return Outcome(contact_json(account, _put(account, args)))
    if len(args.body) > BULK_LIMIT:
        raise ApiError(400, {"error": f"At most {BULK_LIMIT} contacts can be added in one request."})
    results: list[Json] = []
    for members in args.body:
        try:
            contact = _put(account, Arguments(body=members))
        except ApiError as error:  # the article shows no failure; assumed to look like that of a ticket
            results.append({"success": False, **error.payload})
        else:
            results.append({"email": contact.email, "success": True, "id": contact.id})
    return Outcome(results)


def edit_contact(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /user/<id>/ and /user/<email>/: change the given members."""
    before, form = _contact_of(account, args), BodyMembers(args, account.options)
    values = form.custom_fields(("c-cf",), account.contact_fields)
    after = _save(account, before, form, {**before.fields, **values})
    if set(form.members) <= {"is_login_enabled"} and account.options.bare_writes:
        return Outcome(None)
    return Outcome(contact_json(account, after))


def _contact_of(account: SimulatedAccount, args: Arguments) -> StoredContact:
    found = account.contact_by_email(args.word) if args.word else account.contacts.get(args.number)
    if found is None:
        raise ApiError(404, NOT_FOUND)
    return found


def _put(account: SimulatedAccount, args: Arguments) -> StoredContact:
    form = BodyMembers(args, account.options)
    email = form.text("email")
    before = account.contact_by_email(email) if email else None
    values = form.custom_fields(("c-cf",), account.contact_fields)
    if not form.given("email") or (not email and not form.given("phones")):
        form.add_error("email", REQUIRED)
    if before is None:
        form.text("name", required=True)
    form.require_fields("c-cf", list(account.contact_fields.values()), values)
    return _save(account, before, form, values)


def _check(account: SimulatedAccount, form: BodyMembers, before: StoredContact | None) -> None:
    """Add errors for a wrong or taken address and for invalid phones."""
    email = form.email()
    taken = account.contact_by_email(email) if email else None
    if taken is not None and (before is None or taken.id != before.id):
        form.add_error("email", "A contact with this email address exists already.")
    known = {phone["id"] for phone in before.phones} if before else set()
    phones = form.value("phones") or []
    for phone in phones if isinstance(phones, list) else [None]:
        _check_phone(form, phone, known, strict=account.options.strict)


def _check_phone(form: BodyMembers, phone: Any, known: set[int], *, strict: bool) -> None:
    """Add an error for an invalid phone. A known one may be edited in part."""
    if not isinstance(phone, dict):
        form.add_error("phones", REQUIRED)
        return
    for name in phone if strict else ():
        if name not in PHONE_MEMBERS:
            form.add_error("phones", f"{name}: {unknown_member(name, PHONE_MEMBERS)}")
    if strict and "is_primary" in phone and as_flag(phone["is_primary"]) is None:
        form.add_error("phones", f"is_primary: {NOT_A_FLAG}")
    number, kind, edited = phone.get("number"), phone.get("type") or "o", phone.get("id")
    if (edited is not None and as_integer(edited) not in known) or kind not in PHONE_TYPES:
        form.add_error("phones", NOT_A_CHOICE)
    elif not (isinstance(number, str) and number) and (edited is None or number is not None):
        form.add_error("phones", REQUIRED)


def _save(
    account: SimulatedAccount, known: StoredContact | None, form: BodyMembers, values: Mapping[int, Any]
) -> StoredContact:
    """Store a contact with the form's values. A phone with an `id` is edited, else added."""
    _check(account, form, known)
    name, email, login = form.text("name"), form.text("email"), form.boolean("is_login_enabled")
    form.raise_errors()
    before = known or account.new_contact(name, email or None)
    phones, primary = {phone["id"]: phone for phone in before.phones}, before.primary
    for given in form.members.get("phones") or []:
        number = as_integer(given.get("id")) or account.next("phone")
        phone = phones.get(number, {"id": number, "type": "o", "number": ""})
        phones[number] = phone | {name: given[name] for name in ("type", "number") if given.get(name)}
        if as_flag(given.get("is_primary")):
            primary = number
    return account.put_contact(
        replace(
            before,
            name=name or before.name,
            email=email or before.email,
            phones=tuple(phones.values()),
            primary=primary,
            fields=dict(values),
            login=login if form.given("is_login_enabled") else before.login,
            updated_at=account.now() if known else None,
        )
    )


# Contact groups


def read_group(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /contact_group/<id>/: the group with its contacts."""
    return Outcome(_group_json(account, get_or_404(account.groups, args.number)))


def create_group(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /contact_groups/. Later contacts join by their domain."""
    form = BodyMembers(args, account.options)
    name = form.text("name", required=True)
    if any(known["name"] == name for known in account.groups.values()):
        form.add_error("name", "A contact group with this name exists already.")
    details = {name: form.text(name) for name in GROUP_DETAILS}
    form.raise_errors()
    group = {"id": account.next("group"), "name": name, **details}
    return Outcome(_group_json(account, _put_group(account, group)))


def edit_group(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /contact_group/<id>/. The name stays (assumed)."""
    before, form = get_or_404(account.groups, args.number), BodyMembers(args, account.options)
    details = {name: form.text(name) for name in GROUP_DETAILS}
    form.raise_errors()
    changes = {name: text for name, text in details.items() if form.given(name)}
    after = _put_group(account, before | changes)
    return Outcome(None if account.options.bare_writes else _group_json(account, after))


def add_to_group(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /contact_group/<id>/update_contacts/: a bare list of up to 100."""
    number: int = get_or_404(account.groups, args.number)["id"]
    given = args.body
    if account.options.members_as_objects and isinstance(given, dict):
        listed = given.get("contacts")
        given = [{"contact": one.get("id")} for one in listed if isinstance(one, dict)] if listed else listed
    return Outcome([_add(account, number, one) for one in _members(given)])


def remove_from_group(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /contact_group/<id>/delete_contacts/: `contacts`, a list of ids."""
    number: int = get_or_404(account.groups, args.number)["id"]
    form = BodyMembers(args, account.options)
    given = form.value("contacts")
    form.raise_errors()
    return Outcome([_remove(account, number, one) for one in _members(given)])


def _put_group(account: SimulatedAccount, group: Json) -> Json:
    account.groups = {**account.groups, group["id"]: group}
    return group


def _group_json(account: SimulatedAccount, group: Json) -> Json:
    members = [contact for contact in account.contacts.values() if group["id"] in contact.groups]
    if account.options.members_of_groups == "ids":
        return group | {"contacts": [contact.id for contact in members]}
    return group | {"contacts": [contact_json(account, contact) for contact in members]}


def _members(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise ApiError(400, {"error": [{"field": "contacts", "errors": [REQUIRED]}]})
    if len(given) > BULK_LIMIT:
        raise ApiError(400, {"error": f"At most {BULK_LIMIT} contacts can be given in one request."})
    return given


def _add(account: SimulatedAccount, group: int, given: Any) -> Json:
    form = BodyMembers(Arguments(body=given if isinstance(given, dict) else {}), account.options)
    number = form.required_choice("contact", account.contacts)
    access = form.boolean("access_tickets")
    try:
        form.raise_errors()
    except ApiError as error:
        return {"errors": error.payload["error"], "success": False}
    contact = account.contacts[number]
    account.put_contact(replace(contact, groups={**contact.groups, group: access}, updated_at=account.now()))
    return {"data": {"access_tickets": access, "contact": contact.id}, "success": True}


def _remove(account: SimulatedAccount, group: int, given: Any) -> Json:
    contact = account.contacts.get(as_integer(given) or 0)
    if contact is None:
        return {"data": {"message": "Contact does not exist", "contact": given}, "success": False}
    if group not in contact.groups:
        return {"data": {"message": "Contact not part of the contact group", "contact": contact.id}, "success": False}
    left = {number: access for number, access in contact.groups.items() if number != group}
    account.put_contact(replace(contact, groups=left, updated_at=account.now()))
    return {"data": {"message": "Successfully removed contact from group", "contact": contact.id}, "success": True}
