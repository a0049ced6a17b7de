"""Contact groups and who is in them (contacts article, 6 and 8 to 12)."""

from dataclasses import replace
from typing import Any, Final

from workers.simulator import rows
from workers.simulator.api.forms import NOT_A_CHOICE, REQUIRED, Form, RefusedError, whole
from workers.simulator.api.paging import NOT_FOUND
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Json, World

BULK: Final = 100


def groups(world: World, arguments: Arguments) -> Outcome:
    """GET /contact_groups/: a bare list."""
    return Outcome(list(world.groups.values()))


def group(world: World, arguments: Arguments) -> Outcome:
    """GET /contact_group/<id>/: the group with its contacts."""
    return Outcome(_detail(world, _group_of(world, arguments)))


def create(world: World, arguments: Arguments) -> Outcome:
    """POST /contact_groups/. Contacts join by their domain when they are created later on."""
    form = Form(arguments.body)
    name = form.text("name", required=True)
    if any(known["name"] == name for known in world.groups.values()):
        form.complain("name", "A contact group with this name exists already.")
    form.refuse_if_wrong()
    made = {"id": world.next("group"), "name": name, "description": form.text("description")}
    return Outcome(_detail(world, _put(world, made | {"tagged_domains": form.text("tagged_domains")})))


def edit(world: World, arguments: Arguments) -> Outcome:
    """POST /contact_group/<id>/: description and domains; the name stays (assumed)."""
    before, form = _group_of(world, arguments), Form(arguments.body)
    changed = {name: form.text(name) for name in ("description", "tagged_domains") if form.given(name)}
    after = _put(world, before | changed)
    return Outcome(None if world.options.bare_writes else _detail(world, after))


def update_contacts(world: World, arguments: Arguments) -> Outcome:
    """POST /contact_group/<id>/update_contacts/: a bare list of up to 100, with a result for each."""
    number: int = _group_of(world, arguments)["id"]
    given = arguments.body
    if world.options.members_as_objects and isinstance(given, dict):
        listed = given.get("contacts")
        given = [{"contact": one.get("id")} for one in listed if isinstance(one, dict)] if listed else listed
    return Outcome([_add(world, number, one) for one in _listed(given, "contacts")])


def delete_contacts(world: World, arguments: Arguments) -> Outcome:
    """POST /contact_group/<id>/delete_contacts/: `contacts`, a list of ids, with a result for each."""
    number: int = _group_of(world, arguments)["id"]
    listed = _listed(Form(arguments.body).members.get("contacts"), "contacts")
    return Outcome([_remove(world, number, one) for one in listed])


def _group_of(world: World, arguments: Arguments) -> Json:
    found = world.groups.get(arguments.number)
    if found is None:
        raise RefusedError(404, NOT_FOUND)
    return found


def _put(world: World, group: Json) -> Json:
    world.groups = {**world.groups, group["id"]: group}
    return group


def _detail(world: World, group: Json) -> Json:
    members = [contact for contact in world.contacts.values() if group["id"] in contact.groups]
    if world.options.members_of_groups == "ids":
        return group | {"contacts": [contact.id for contact in members]}
    return group | {"contacts": [rows.contact_json(world, contact) for contact in members]}


def _listed(given: Any, name: str) -> list[Any]:
    if not isinstance(given, list):
        raise RefusedError(400, {"error": [{"field": name, "errors": [REQUIRED]}]})
    if len(given) > BULK:
        raise RefusedError(400, {"error": f"At most {BULK} contacts can be given in one request."})
    return given


def _add(world: World, group: int, given: Any) -> Json:
    members = given if isinstance(given, dict) else {}
    number = whole(members.get("contact"))
    contact = None if number is None else world.contacts.get(number)
    if contact is None:
        text = NOT_A_CHOICE if members.get("contact") is not None else REQUIRED
        return {"errors": [{"field": "contact", "errors": [text]}], "success": False}
    access = Form(members).boolean("access_tickets")
    world.put_contact(replace(contact, groups={**contact.groups, group: access}, updated_at=world.now()))
    return {"data": {"access_tickets": access, "contact": contact.id}, "success": True}


def _remove(world: World, group: int, given: Any) -> Json:
    number = whole(given)
    contact = None if number is None else world.contacts.get(number)
    if contact is None:
        return {"data": {"message": "Contact does not exist", "contact": given}, "success": False}
    if group not in contact.groups:
        return {"data": {"message": "Contact not part of the contact group", "contact": number}, "success": False}
    left = {number: access for number, access in contact.groups.items() if number != group}
    world.put_contact(replace(contact, groups=left, updated_at=world.now()))
    return {"data": {"message": "Successfully removed contact from group", "contact": number}, "success": True}
