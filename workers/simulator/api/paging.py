"""Pages: ten rows, at most fifty, counted from 1 (tickets and contacts articles)."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from workers.simulator.api.forms import RefusedError, whole
from workers.simulator.api.route import Arguments
from workers.simulator.world import Json, World

T = TypeVar("T")

MOST: Final = 50
NOT_FOUND: Final = {"error": "Cannot find the requested object"}
"""The body of a 404, from one live user's report."""


def page(world: World, rows: Sequence[T], arguments: Arguments) -> tuple[list[T], Json]:
    """One page of rows and its `page_info`. Raises a 400 or 404 for a page that the switches do not allow."""
    query = arguments.query
    asked = whole(query.get("size")) or 10
    if asked > MOST and world.options.oversized_page == "refused":
        raise RefusedError(400, {"error": f"At most {MOST} rows can be asked for."})
    size = min(max(asked, 1), MOST)
    number = max(whole(query.get("page")) or 1, 1)
    start = (number - 1) * size
    shown = list(rows[start : start + size])
    if not shown and number > 1 and world.options.past_the_end == "missing":
        raise RefusedError(404, NOT_FOUND)
    return shown, {
        "count": len(shown),
        "last_index": len(rows),
        "page_count": -(-len(rows) // size),
        "start_index": start + 1 if shown else 0,
        "end_index": start + len(shown) if shown else 0,
    }


def envelope(world: World, rows: Sequence[Any], arguments: Arguments) -> Json:
    """One page of rows that are JSON already, in the usual envelope."""
    shown, info = page(world, rows, arguments)
    return {"page_info": info, "data": shown}
