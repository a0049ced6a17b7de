"""The GET side of the API: one ticket, lists, reference data."""

from typing import Any

from workers.simulator import search
from workers.simulator.forms import RefusedError, whole
from workers.simulator.route import Arguments, Outcome
from workers.simulator.rows import ticket_json
from workers.simulator.world import Json, Ticket, World

NOT_FOUND = {"error": "Cannot find the requested object"}


def ticket_of(world: World, arguments: Arguments) -> Ticket:
    """The ticket a path names. Raises a 404 if there is none, or it is not visible yet."""
    found = world.tickets.get(arguments.number)
    if found is None or not world.visible(found):
        raise RefusedError(404, NOT_FOUND)
    return found


def ticket(world: World, arguments: Arguments) -> Outcome:
    """GET /ticket/<n>/, with `show_cf_changes=true` also what changed in custom fields."""
    changes = arguments.query.get("show_cf_changes", "").lower() == "true"
    return Outcome(ticket_json(world, ticket_of(world, arguments), field_changes=changes))


def tickets(world: World, arguments: Arguments) -> Outcome:
    """GET /tickets/ with the parameters of the article; `fields` keeps only the members named."""
    query = arguments.query
    status, category, q = query.get("status", "_all"), query.get("category", ""), query.get("q", "")
    sort = query.get("sort", "updated")
    found = (
        ticket
        for ticket in world.tickets.values()
        if world.visible(ticket)
        and search.in_status(world, ticket, status)
        and category in ("", "_all", str(ticket.category))
        and (not q or search.matches(world, ticket, q))
    )
    chosen = search.ordered(world, found, "updated" if q else sort)  # a search ignores `sort` (tickets article)
    rows, info = page(chosen, query)
    asked = query.get("show_updates", "0").lower() in ("1", "true")
    updates = {"asked": asked, "always": True, "never": False}[world.options.list_updates]
    if query.get("minify_response") == "true":
        data: list[Any] = [ticket.id for ticket in rows]
    else:
        data = [ticket_json(world, ticket, updates=updates) for ticket in rows]
        if query.get("fields"):
            wanted = query["fields"].split(",")
            data = [{name: shown[name] for name in wanted if name in shown} for shown in data]
    filters = {"status": status, "category": category or "_all", "q": q, "sort": sort}
    return Outcome({"page_info": info, "data": data, "filters": filters})


def page(rows: list[Ticket], query: dict[str, str]) -> tuple[list[Ticket], Json]:
    """One page of rows and its `page_info`. Size is 10, at most 50; past the end is empty (assumed)."""
    size = min(max(whole(query.get("size")) or 10, 1), 50)
    number = max(whole(query.get("page")) or 1, 1)
    start = (number - 1) * size
    shown = rows[start : start + size]
    return shown, {
        "count": len(shown),
        "last_index": len(rows),
        "page_count": -(-len(rows) // size),
        "start_index": start + 1 if shown else 0,
        "end_index": start + len(shown),
    }


def staff(world: World, arguments: Arguments) -> Outcome:
    """GET /staff/."""
    return Outcome(list(world.staff.values()))


def statuses(world: World, arguments: Arguments) -> Outcome:
    """GET /statuses/."""
    return Outcome(list(world.statuses.values()))


def priorities(world: World, arguments: Arguments) -> Outcome:
    """GET /priorities/."""
    return Outcome(list(world.priorities.values()))


def categories(world: World, arguments: Arguments) -> Outcome:
    """GET /categories/."""
    return Outcome(list(world.categories.values()))


def ticket_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """GET /ticket_custom_fields/."""
    return Outcome(list(world.ticket_fields.values()))


def user_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """GET /user_custom_fields/."""
    return Outcome(list(world.contact_fields.values()))
