"""Asset types and asset custom fields (KB 1201)."""

from workers.simulator.api.forms import RefusedError, whole
from workers.simulator.api.paging import NOT_FOUND, envelope
from workers.simulator.api.reference import one
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Json, World


def asset_types(world: World, arguments: Arguments) -> Outcome:
    """GET /asset_types/."""
    return Outcome(envelope(world, list(world.asset_types.values()), arguments))


def asset_type(world: World, arguments: Arguments) -> Outcome:
    """GET /asset_type/<id>/."""
    return one(world.asset_types, arguments)


def asset_fields(world: World, arguments: Arguments) -> Outcome:
    """GET /asset_custom_fields/: those of one type, by default the first."""
    wanted = chosen_type(world, arguments)
    found = [_field(world, row) for row in world.asset_fields.values() if row["asset_type"] == wanted]
    return Outcome(envelope(world, found, arguments))


def asset_field_plural(world: World, arguments: Arguments) -> Outcome:
    """GET /asset_custom_fields/<id>/: the path of the 2025 edition."""
    return _asset_field(world, arguments, there=world.options.asset_field_path != "singular")


def asset_field_singular(world: World, arguments: Arguments) -> Outcome:
    """GET /asset_custom_field/<id>/: the path of the 2026 edition."""
    return _asset_field(world, arguments, there=world.options.asset_field_path != "plural")


def chosen_type(world: World, arguments: Arguments) -> int:
    """The asset type a call names in its query, or the first one. Raises a 404 for one that does not exist."""
    given = arguments.query.get("asset_type")
    number = whole(given) if given else next(iter(world.asset_types))
    if number is None or number not in world.asset_types:
        raise RefusedError(404, NOT_FOUND)
    return number


def type_name(world: World, number: int) -> Json:
    """An asset type as it stands inside other objects."""
    return {"id": number, "name": world.asset_types[number]["name"]}


def _asset_field(world: World, arguments: Arguments, *, there: bool) -> Outcome:
    found = world.asset_fields.get(arguments.number)
    if found is None or not there:
        raise RefusedError(404, NOT_FOUND)
    return Outcome(_field(world, found))


def _field(world: World, field: Json) -> Json:
    return field | {"asset_type": type_name(world, field["asset_type"])}
