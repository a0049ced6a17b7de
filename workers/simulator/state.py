"""The state as people and tests see and set it: contacts, assets, files and tables, with what the API hides."""

from typing import Any, Final

from workers.simulator import rows
from workers.simulator.api.assets import asset_json
from workers.simulator.world import Json, Table, World
from workers.simulator.world.links import link

TABLES: Final = (
    *("categories", "priorities", "statuses", "staff", "groups", "ticket_fields", "contact_fields"),
    *("asset_types", "asset_fields", "reports", "agreements", "sections", "articles"),
)


def contacts(world: World) -> list[Json]:
    """Every contact as the API shows it, and whether it may log in."""
    return [rows.contact_json(world, one) | {"is_login_enabled": one.login} for one in world.contacts.values()]


def assets(world: World) -> list[Json]:
    """Every asset, of all types."""
    return [asset_json(world, one) for one in world.assets.values()]


def files(world: World) -> list[Json]:
    """Every uploaded file, without its bytes but with a link to them."""
    return [
        {
            "id": one.id,
            "filename": one.filename,
            "content_type": one.content_type,
            "size": len(one.content),
            "url": link(world, one.id, one.filename),
        }
        for one in world.files.values()
    ]


def table(world: World, name: str) -> list[Json]:
    """The rows of a table. LookupError lists the tables there are."""
    return list(_table(world, name).values())


def merge(world: World, name: str, given: Any) -> list[Json]:
    """Add rows to a table and change those whose `id` it has; members left out stay, or are those of its first
    row. No row can be taken out, since others may name it. TypeError for what is no list of rows."""
    before = _table(world, name)
    template = next(iter(before.values()))
    after = dict(before)
    for row in given if isinstance(given, list) else [None]:
        if not isinstance(row, dict) or not isinstance(row.get("id"), int):
            raise TypeError("Give a list of rows, each an object with an `id`.")
        unknown = sorted(row.keys() - template.keys())
        if unknown:
            raise TypeError(f"Rows of {name} have no {', '.join(unknown)}; they have {', '.join(template)}.")
        after[row["id"]] = {**after.get(row["id"], template), **row}
    setattr(world, name, after)
    if name == "categories":
        world.prefixes = {number: world.prefixes.get(number, "CA") for number in after}
    if name == "groups":
        world.last_group = max(world.last_group, *after)
    return list(after.values())


def _table(world: World, name: str) -> Table:
    if name not in TABLES:
        raise LookupError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
    found: Table = getattr(world, name)
    return found
