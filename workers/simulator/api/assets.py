"""Assets: list, one, create, update, delete (KB 1201). Their errors have a shape of their own: an object."""

from dataclasses import replace
from datetime import UTC, datetime

from workers.simulator.api.asset_forms import deleter, fields_of, filled
from workers.simulator.api.asset_meta import chosen_type, type_name
from workers.simulator.api.forms import RefusedError
from workers.simulator.api.paging import NOT_FOUND, page
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Asset, Json, World


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
    made = filled(world, arguments.body, blank, "created_by", required=True)
    made = replace(made, id=world.next("asset"))
    return Outcome(_stamped(world, _put(world, made), without=("asset_type",)))


def update(world: World, arguments: Arguments) -> Outcome:
    """PUT /asset/<id>/: changes what is given."""
    before = _asset_of(world, arguments)
    required = world.options.asset_names_required
    after = filled(world, arguments.body, before, "updated_by", required=required)
    return Outcome(_stamped(world, _put(world, replace(after, updated_at=world.now()))))


def delete(world: World, arguments: Arguments) -> Outcome:
    """DELETE /asset/<id>/?deleted_by=<staff id>; the article shows no answer, so it is empty."""
    before = _asset_of(world, arguments)
    deleter(world, arguments.query.get("deleted_by"))
    world.assets = {number: one for number, one in world.assets.items() if number != before.id}
    return Outcome(None, status=world.options.deletion_status)


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
            for order, (number, row) in enumerate(fields_of(world, asset.asset_type).items(), start=1)
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
