"""What an asset's form takes and refuses: the errors are an object by member, their values text, list or object."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workers.simulator.api import fields
from workers.simulator.api.forms import REQUIRED, Form, InvalidError, RefusedError, whole
from workers.simulator.world import Asset, Json, World

NAME_LENGTH: Final = 200
NOT_A_LIST: Final = "Enter a list of values."
NOT_A_CHOICE: Final = "Provide a valid choice. {} is not one of the available choices."


def fields_of(world: World, asset_type: int) -> dict[int, Json]:
    """The custom fields of an asset type, by id."""
    return {number: row for number, row in world.asset_fields.items() if row["asset_type"] == asset_type}


def deleter(world: World, given: str | None) -> int:
    """The staff member who deletes. Raises a 400, or a 403 without the right."""
    errors: Json = {}
    number = _staff(world, {"deleted_by": given}, "deleted_by", errors)
    _refuse(errors)
    return number


def filled(world: World, body: Any, before: Asset, by: str, *, required: bool) -> Asset:
    """The asset with what the body gives. Nothing is made or changed when anything is wrong."""
    members = Form(body).members
    errors: Json = {}
    for name in ("display_id", "name"):
        _text(members, name, errors, required=required)
    staff = _staff(world, members, by, errors)
    contacts = _numbers(members, "contact_ids", world.contacts, errors)
    groups = _numbers(members, "contact_group_ids", world.groups, errors)
    values = _values(world, members, before.asset_type, errors)
    newcomers = _newcomers(members, errors)
    _refuse(errors)
    if newcomers and "manage_contacts" not in world.staff[staff]["permissions"]:
        raise RefusedError(world.options.forbidden_status, {"error": "You do not have permission to add contacts."})
    linked = before.contacts if contacts is None else tuple(contacts)
    made = [
        world.contact_by_email(mail or "") or world.new_contact(name, mail, phone) for name, mail, phone in newcomers
    ]
    return replace(
        before,
        display_id=members.get("display_id") or before.display_id,
        name=members.get("name") or before.name,
        contacts=tuple(dict.fromkeys((*linked, *(one.id for one in made)))),
        groups=before.groups if groups is None else tuple(groups),
        fields={**before.fields, **values},
        **{by: staff},
    )


def _text(members: Mapping[str, Any], name: str, errors: Json, *, required: bool) -> None:
    value = members.get(name)
    if value in (None, ""):
        if required or name in members:
            errors[name] = [REQUIRED]
    elif not isinstance(value, str):
        errors[name] = ["Not a valid string."]
    elif name == "name" and len(value) > NAME_LENGTH:
        errors[name] = [f"Ensure this field has no more than {NAME_LENGTH} characters."]


def _staff(world: World, members: Mapping[str, Any], name: str, errors: Json) -> int:
    """The staff member who does it, active and allowed to; 0 after a complaint."""
    number = whole(members.get(name))
    if members.get(name) in (None, ""):
        errors[name] = [REQUIRED]
    elif number is None or number not in world.staff or not world.staff[number]["active"]:
        errors[name] = [NOT_A_CHOICE.format(members[name])]
    elif "manage_assets" not in world.staff[number]["permissions"]:
        raise RefusedError(world.options.forbidden_status, {"error": "You do not have permission to manage assets."})
    return 0 if number is None else number


def _numbers(members: Mapping[str, Any], name: str, table: Mapping[int, Any], errors: Json) -> list[int] | None:
    """A list of ids, as numbers or as digits; None when it is not given."""
    given = members.get(name)
    if given is None:
        return None
    if not isinstance(given, list):
        errors[name] = NOT_A_LIST
        return None
    numbers = [whole(one) for one in given]
    wrong = [one for one, number in zip(given, numbers, strict=True) if number is None or number not in table]
    if wrong:
        errors[name] = [NOT_A_CHOICE.format(wrong[0])]
    return [number for number in numbers if number is not None]


def _values(world: World, members: Mapping[str, Any], asset_type: int, errors: Json) -> dict[int, Any]:
    """The values of `custom_fields`, an object by field id; unknown ids are ignored (assumed)."""
    given = members.get("custom_fields") or {}
    if not isinstance(given, dict):
        errors["custom_fields"] = "Enter an object of values."
        return {}
    definitions, values, wrong = fields_of(world, asset_type), {}, {}
    for key, value in given.items():
        definition = definitions.get(whole(key) or 0)
        if definition is None:
            continue
        try:
            values[definition["id"]] = fields.asset_value(definition, value)
        except ValueError as mistake:
            wrong[key] = str(mistake)
    if wrong:
        errors["custom_fields"] = wrong
    return values


def _newcomers(members: Mapping[str, Any], errors: Json) -> list[tuple[str, str | None, str | None]]:
    """New contacts to link: name, e-mail, phone. The article's example gives an e-mail alone."""
    given = members.get("contacts") or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        errors["contacts"] = NOT_A_LIST
        return []
    made = []
    for one in given:
        mail, phone = one.get("email"), one.get("phone")
        if not (isinstance(mail, str) and "@" in mail) and not (mail is None and isinstance(phone, str) and phone):
            errors["contacts"] = [REQUIRED]
        else:
            made.append((str(one.get("name") or mail or phone), mail, phone))
    return made


def _refuse(errors: Json) -> None:
    if errors:
        raise InvalidError(400, {"error": errors})
