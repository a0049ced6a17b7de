"""The knowledge base, to be read only. No document shows its objects: their members are assumed."""

from workers.simulator.api.forms import RefusedError
from workers.simulator.api.paging import NOT_FOUND, envelope
from workers.simulator.api.reference import one
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Json, World


def articles(world: World, arguments: Arguments) -> Outcome:
    """GET /kb/articles/: the external ones."""
    return _listed(world, _articles(world, internal=False), arguments)


def internal_articles(world: World, arguments: Arguments) -> Outcome:
    """GET /kb/internal-articles/."""
    return _listed(world, _articles(world, internal=True), arguments)


def sections(world: World, arguments: Arguments) -> Outcome:
    """GET /kb/sections/: each with its external articles."""
    return _listed(world, [_section(world, row) for row in world.sections.values()], arguments)


def article(world: World, arguments: Arguments) -> Outcome:
    """GET /kb/article/<id>: external ones only (KB 360)."""
    found = world.articles.get(arguments.number)
    if found is None or found["internal"]:
        raise RefusedError(404, NOT_FOUND)
    return Outcome(_article(found))


def section(world: World, arguments: Arguments) -> Outcome:
    """GET /kb/section/<id>."""
    one(world.sections, arguments)
    return Outcome(_section(world, world.sections[arguments.number]))


def _listed(world: World, rows: list[Json], arguments: Arguments) -> Outcome:
    return Outcome(envelope(world, rows, arguments) if world.options.articles_paged else rows)


def _articles(world: World, *, internal: bool) -> list[Json]:
    return [_article(row) for row in world.articles.values() if row["internal"] == internal]


def _article(row: Json) -> Json:
    return {name: row[name] for name in ("id", "title", "contents")} | {"section_id": row["section"]}


def _section(world: World, row: Json) -> Json:
    inside = [one for one in _articles(world, internal=False) if one["section_id"] == row["id"]]
    return row | {"articles": inside}
