"""Endpoints of assets, asset types and asset fields (KB 1201).

Their errors differ from those of tickets: an object with a text, a list or an object for each member.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from workers.simulator.account import Json, SimulatedAccount, StoredAsset
from workers.simulator.forms import (
    BLANK,
    NOT_A_LIST,
    NOT_A_TEXT,
    NOT_FOUND,
    REQUIRED,
    ApiError,
    Arguments,
    Endpoint,
    Outcome,
    ValidationError,
    as_integer,
    envelope,
    field_value,
    get_or_404,
    page,
    unknown_member,
)

NAME_LENGTH: Final = 200
MEMBERS: Final = ("name", "display_id", "contact_ids", "contact_group_ids", "contacts", "custom_fields")
"""The members of an asset to create or change, besides the staff member who writes."""
CONTACT_MEMBERS: Final = ("name", "email", "phone", "phones")
NOT_A_CHOICE: Final = "Provide a valid choice. {} is not one of the available choices."


def list_assets(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /assets/: the assets of one type, by default the first."""
    wanted = _type_of(account, args)
    found = [asset for asset in account.assets.values() if asset.asset_type == wanted]
    shown, info = page(account, found, args)
    return Outcome({"page_info": info, "data": [asset_json(account, asset) for asset in shown]})


def read_asset(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /asset/<id>/."""
    return Outcome(asset_json(account, get_or_404(account.assets, args.number)))


def create(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle POST /assets/?asset_type=<id>. The response has no type (KB 1201)."""
    now = account.now()
    blank = StoredAsset(
        id=0,
        display_id="",
        name="",
        asset_type=_type_of(account, args),
        created_by=0,
        created_at=now,
        updated_at=now,
    )
    filled = _filled(account, args.body, blank, "created_by", required=True)
    shown = _put(account, replace(filled, id=account.next("asset")))
    return Outcome({name: value for name, value in shown.items() if name != "asset_type"})


def update(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle PUT /asset/<id>/: change the given members."""
    before = get_or_404(account.assets, args.number)
    after = _filled(account, args.body, before, "updated_by", required=account.options.asset_names_required)
    return Outcome(_put(account, replace(after, updated_at=account.now())))


def delete(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle DELETE /asset/<id>/?deleted_by=<staff id>. Empty response (assumed)."""
    before = get_or_404(account.assets, args.number)
    errors: Json = {}
    _staff(account, {"deleted_by": args.query.get("deleted_by")}, "deleted_by", errors)
    _raise_errors(errors)
    account.assets = {number: asset for number, asset in account.assets.items() if number != before.id}
    return Outcome(None, status=account.options.deletion_status)


def asset_json(account: SimulatedAccount, asset: StoredAsset) -> Json:
    """Return an asset as lists and details show it."""
    linked = [account.contacts[number] for number in asset.contacts]
    return {
        "id": asset.id,
        "display_id": asset.display_id,
        "name": asset.name,
        "asset_type": _type_json(account, asset.asset_type),
        "contacts": [{"id": one.id, "name": one.name, "email": one.email} for one in linked],
        "contact_groups": [{"id": number, "name": account.groups[number]["name"]} for number in asset.groups],
        "custom_fields": [
            {"id": number, "name": f["name"], "type": f["type"], "value": asset.fields.get(number), "order": order}
            for order, (number, f) in enumerate(_fields_of(account, asset.asset_type).items(), start=1)
        ],
        "created_by": asset.created_by,
        "updated_by": asset.updated_by,
    }


def _put(account: SimulatedAccount, asset: StoredAsset) -> Json:
    """Store an asset and return it as writes show it, with its times."""
    account.assets = {**account.assets, asset.id: asset}
    times = {"created_at": asset.created_at, "updated_at": asset.updated_at}
    return asset_json(account, asset) | {
        name: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in times.items()
    }


# Asset types and fields


def list_types(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /asset_types/."""
    return Outcome(envelope(account, list(account.asset_types.values()), args))


def list_fields(account: SimulatedAccount, args: Arguments) -> Outcome:
    """Handle GET /asset_custom_fields/: the fields of one type, by default the first."""
    fields = _fields_of(account, _type_of(account, args)).values()
    return Outcome(envelope(account, [_field_json(account, definition) for definition in fields], args))


def read_field(path: Literal["plural", "singular"]) -> Endpoint:
    """Return the endpoint of one field. Its path differs between editions of KB 1201."""

    def read(account: SimulatedAccount, args: Arguments) -> Outcome:
        exists = account.options.asset_field_path in ("both", path)
        return Outcome(_field_json(account, get_or_404(account.asset_fields, args.number if exists else None)))

    return read


def _type_of(account: SimulatedAccount, args: Arguments) -> int:
    """Return the asset type of a query, by default the first; 404 for an unknown one."""
    given = args.query.get("asset_type")
    number = as_integer(given) if given else next(iter(account.asset_types))
    if number is None or number not in account.asset_types:
        raise ApiError(404, NOT_FOUND)
    return number


def _type_json(account: SimulatedAccount, number: int) -> Json:
    return {"id": number, "name": account.asset_types[number]["name"]}


def _field_json(account: SimulatedAccount, definition: Json) -> Json:
    return definition | {"asset_type": _type_json(account, definition["asset_type"])}


def _fields_of(account: SimulatedAccount, asset_type: int) -> dict[int, Json]:
    return {number: field for number, field in account.asset_fields.items() if field["asset_type"] == asset_type}


# Validation


def _filled(account: SimulatedAccount, body: Any, before: StoredAsset, by: str, *, required: bool) -> StoredAsset:
    """Return the asset with the body's values, or raise before anything is changed."""
    if not isinstance(body, Mapping):
        raise ApiError(400, {"error": "The body must be an object."})
    members: Mapping[str, Any] = body
    errors: Json = {}
    if account.options.strict:
        known = (*MEMBERS, by)
        errors |= {name: [unknown_member(name, known)] for name in members if name not in known}
    for name in ("display_id", "name"):
        _check_text(members, name, errors, required=required)
    staff = _staff(account, members, by, errors)
    contacts = _numbers(members, "contact_ids", account.contacts, errors)
    groups = _numbers(members, "contact_group_ids", account.groups, errors)
    values = _values(account, members, before.asset_type, errors)
    new_contacts = _new_contacts(members, errors, strict=account.options.strict)
    _raise_errors(errors)
    if new_contacts and "manage_contacts" not in account.staff[staff]["permissions"]:
        raise ApiError(account.options.forbidden_status, {"error": "You do not have permission to add contacts."})
    linked = before.contacts if contacts is None else tuple(contacts)
    added = [
        account.contact_by_email(email or "") or account.new_contact(name, email, phone)
        for name, email, phone in new_contacts
    ]
    return replace(
        before,
        display_id=members.get("display_id") or before.display_id,
        name=members.get("name") or before.name,
        contacts=tuple(dict.fromkeys((*linked, *(one.id for one in added)))),
        groups=before.groups if groups is None else tuple(groups),
        fields={**before.fields, **values},
        **{by: staff},
    )


def _check_text(members: Mapping[str, Any], name: str, errors: Json, *, required: bool) -> None:
    value = members.get(name)
    if value in (None, ""):
        if required or name in members:
            errors[name] = [REQUIRED]
    elif not isinstance(value, str):
        errors[name] = [NOT_A_TEXT]
    elif name == "name" and len(value) > NAME_LENGTH:
        errors[name] = [f"Ensure this field has no more than {NAME_LENGTH} characters."]


def _staff(account: SimulatedAccount, members: Mapping[str, Any], name: str, errors: Json) -> int:
    """Return the acting staff member, who must be active and permitted; 0 after an error."""
    number = as_integer(members.get(name))
    if members.get(name) in (None, ""):
        errors[name] = [REQUIRED]
    elif number is None or number not in account.staff or not account.staff[number]["active"]:
        errors[name] = [NOT_A_CHOICE.format(members[name])]
    elif "manage_assets" not in account.staff[number]["permissions"]:
        raise ApiError(account.options.forbidden_status, {"error": "You do not have permission to manage assets."})
    return number or 0


def _numbers(members: Mapping[str, Any], name: str, table: Mapping[int, Any], errors: Json) -> list[int] | None:
    """Return a list of ids, which may be digits; None if there is no list."""
    given = members.get(name)
    if given is None:
        return None
    if not isinstance(given, list):
        errors[name] = NOT_A_LIST
        return None
    numbers = [as_integer(one) for one in given]
    wrong = [one for one, number in zip(given, numbers, strict=True) if number is None or number not in table]
    if wrong:
        errors[name] = [NOT_A_CHOICE.format(wrong[0])]
    return [number for number in numbers if number is not None]


def _values(account: SimulatedAccount, members: Mapping[str, Any], asset_type: int, errors: Json) -> dict[int, Any]:
    """Return the values of `custom_fields` by id; a lenient simulator ignores unknown ids."""
    given = members.get("custom_fields") or {}
    if not isinstance(given, dict):
        errors["custom_fields"] = "Enter an object of values."
        return {}
    definitions, values, wrong = _fields_of(account, asset_type), {}, {}
    for key, value in given.items():
        definition = definitions.get(as_integer(key) or 0)
        if definition is None:
            if account.options.strict:
                wrong[key] = "This field does not exist."
            continue
        try:
            values[definition["id"]] = asset_value(definition, value, strict=account.options.strict)
        except ValueError as error:
            wrong[key] = str(error)
    if wrong:
        errors["custom_fields"] = wrong
    return values


def asset_value(definition: Json, value: Any, *, strict: bool = False) -> Any:
    """Return an asset field's value to store. Raise ValueError if it is invalid."""
    if value in BLANK:
        return None
    kind = definition["type"]
    if kind in ("dropdown", "multiple_choice"):
        known = {choice["id"] for choice in definition["choices"]}
        given = value if isinstance(value, list) else [value]
        numbers = [as_integer(one) for one in given]
        for one, number in zip(given, numbers, strict=True):
            if number not in known:
                raise ValueError(NOT_A_CHOICE.format(one))
        if kind == "dropdown" and len(numbers) != 1:
            raise ValueError("Provide one choice.")
        return numbers[0] if kind == "dropdown" else numbers
    if kind == "number":
        number = as_integer(value)
        if number is None:
            raise ValueError("A valid integer is required.")
        return number
    return field_value(definition, value, strict=strict)


def _new_contacts(
    members: Mapping[str, Any], errors: Json, *, strict: bool
) -> list[tuple[str, str | None, str | None]]:
    """Return name, e-mail and phone of new contacts; an e-mail or a phone is required.

    KB 1201 does not show how a phone is written: `phone`, or one client's `phones` as in the contacts article.
    """
    given = members.get("contacts") or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        errors["contacts"] = NOT_A_LIST
        return []
    found = []
    for one in given:
        for name in one if strict else ():
            if name not in CONTACT_MEMBERS:
                errors["contacts"] = [f"{name}: {unknown_member(name, CONTACT_MEMBERS)}"]
        phones = one.get("phones")
        first = phones[0] if isinstance(phones, list) and phones else None
        email, phone = one.get("email"), one.get("phone") or (first.get("number") if isinstance(first, dict) else None)
        if not (isinstance(email, str) and "@" in email) and not (email is None and isinstance(phone, str) and phone):
            errors["contacts"] = [REQUIRED]
        else:
            found.append((str(one.get("name") or email or phone), email, phone))
    return found


def _raise_errors(errors: Json) -> None:
    if errors:
        raise ValidationError(400, {"error": errors})
