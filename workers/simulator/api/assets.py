"""Assets: list, one, create, update, delete (KB 1201). Their errors have a shape of their own: an object."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from workers.simulator.api import fields
from workers.simulator.api.asset_meta import chosen_type, type_name
from workers.simulator.api.forms import REQUIRED, Form, InvalidError, RefusedError, whole
from workers.simulator.api.paging import NOT_FOUND, page
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Asset, Json, World

NAME_LENGTH: Final = 200
NOT_A_LIST: Final = "Enter a list of values."
NOT_A_CHOICE: Final = "Provide a valid choice. {} is not one of the available choices."


def assets(world: World, arguments: Arguments) -> Outcome:
    """GET /assets/: those of one type, by default the first."""
    wanted = chosen_type(world, arguments)
    found = [one for one in world.assets.values() if one.asset_type == wanted]
    shown, info = page(world, found, arguments)
    return Outcome({"page_info": info, "data": [asset_json(world, one) for one in shown]})


def asset(world: World, arguments: Arguments) -> Outcome:
    """GET /asset/<id>/."""
    return Outcome(asset_json(world, _asset_of(world, arguments)))


def create(world: World, arguments: Arguments) -> Outcome:
    """POST /assets/?asset_type=<id>. The article's answer does not tell the type."""
    kind, now = chosen_type(world, arguments), world.now()
    blank = Asset(0, "", "", kind, 0, now, now)
    made = _filled(world, arguments.body, blank, "created_by", required=True)
    made = replace(made, id=world.next("asset"))
    return Outcome(_stamped(world, _put(world, made), without=("asset_type",)))


def update(world: World, arguments: Arguments) -> Outcome:
    """PUT /asset/<id>/: changes what is given."""
    before = _asset_of(world, arguments)
    required = world.options.asset_names_required
    after = _filled(world, arguments.body, before, "updated_by", required=required)
    return Outcome(_stamped(world, _put(world, replace(after, updated_at=world.now()))))


def delete(world: World, arguments: Arguments) -> Outcome:
    """DELETE /asset/<id>/?deleted_by=<staff id>; the article shows no answer, so it is empty."""
    before = _asset_of(world, arguments)
    errors: Json = {}
    _staff(world, {"deleted_by": arguments.query.get("deleted_by")}, "deleted_by", errors)
    _refuse(errors)
    world.assets = {number: one for number, one in world.assets.items() if number != before.id}
    return Outcome(None)


def asset_json(world: World, asset: Asset) -> Json:
    """An asset as lists and details show it."""
    linked = [world.contacts[number] for number in asset.contacts]
    return {
        "id": asset.id,
        "display_id": asset.display_id,
        "name": asset.name,
        "asset_type": type_name(world, asset.asset_type),
        "contacts": [{"id": one.id, "name": one.name, "email": one.email} for one in linked],
        "contact_groups": [{"id": number, "name": world.groups[number]["name"]} for number in asset.groups],
        "custom_fields": [
            {"id": number, "name": row["name"], "type": row["type"], "value": asset.fields.get(number), "order": order}
            for order, (number, row) in enumerate(_fields_of(world, asset.asset_type).items(), start=1)
        ],
        "created_by": asset.created_by,
        "updated_by": asset.updated_by,
    }


def _stamped(world: World, asset: Asset, without: tuple[str, ...] = ()) -> Json:
    shown = {name: value for name, value in asset_json(world, asset).items() if name not in without}
    return shown | {"created_at": _iso(asset.created_at), "updated_at": _iso(asset.updated_at)}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asset_of(world: World, arguments: Arguments) -> Asset:
    found = world.assets.get(arguments.number)
    if found is None:
        raise RefusedError(404, NOT_FOUND)
    return found


def _put(world: World, asset: Asset) -> Asset:
    world.assets = {**world.assets, asset.id: asset}
    return asset


def _fields_of(world: World, asset_type: int) -> dict[int, Json]:
    return {number: row for number, row in world.asset_fields.items() if row["asset_type"] == asset_type}


def _filled(world: World, body: Any, before: Asset, by: str, *, required: bool) -> Asset:
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
    definitions, values, wrong = _fields_of(world, asset_type), {}, {}
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
