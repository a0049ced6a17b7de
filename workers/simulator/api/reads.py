"""GET of tickets: one, and the list with its filters (tickets article, 1 to 3 and 19)."""

from typing import Any, Final

from workers.simulator.api.forms import NOT_A_CHOICE, InvalidError, RefusedError
from workers.simulator.api.paging import NOT_FOUND, page
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.rows import ticket_json
from workers.simulator.search import grammar, order, terms
from workers.simulator.world import Ticket, World

FILTERS: Final = (
    *("unresponded", "breached", "has_attachments", "tag", "duedate", "priority"),
    *("assignee", "group", "contact", "id"),
)
"""What the tickets article lists as filter fields; it does not say whether they work outside `q`."""

DEFAULT_SORT: Final = "updated"
"""Last reply first (tickets article)."""


def ticket_of(world: World, arguments: Arguments) -> Ticket:
    """The ticket a path names. Raises a 404 if there is none, it is not visible yet, or was merged into another."""
    found = world.tickets.get(arguments.number)
    if found is None or found.merged_to is not None or not world.visible(found):
        raise RefusedError(404, NOT_FOUND)
    return found


def ticket(world: World, arguments: Arguments) -> Outcome:
    """GET /ticket/<n>/, with `show_cf_changes=true` also what changed in custom fields."""
    changes, found = arguments.flag("show_cf_changes"), world.tickets.get(arguments.number)
    if found is not None and found.merged_to is not None and world.options.merged_reads != "missing":
        shown = found if world.options.merged_reads == "itself" else world.tickets[found.merged_to]
        return Outcome(ticket_json(world, shown, field_changes=changes))
    return Outcome(ticket_json(world, ticket_of(world, arguments), field_changes=changes))


def tickets(world: World, arguments: Arguments) -> Outcome:
    """GET /tickets/ with the parameters of the article; a search ignores `sort`."""
    query, options = arguments.query, world.options
    status, q, sort = query.get("status", options.unsaid_status), query.get("q", ""), query.get("sort") or DEFAULT_SORT
    if sort not in order.SORTS:
        if options.unknown_values == "refused":
            raise InvalidError(400, {"error": [{"field": "sort", "errors": [NOT_A_CHOICE]}]})
        sort = DEFAULT_SORT
    categories = [one for one in arguments.every.get("category", ()) if one not in ("", "_all")]
    wanted = grammar.parse(q)
    if options.filters_as_parameters:
        wanted += [grammar.Term(name, grammar.values(query[name])) for name in FILTERS if name in query]
    found = [
        one
        for one in world.tickets.values()
        if world.visible(one)
        and terms.in_status(world, one, status)
        and (not categories or str(one.category) in categories)
        and all(terms.holds(world, one, term) for term in wanted)
    ]
    shown, info = page(world, order.ordered(world, found, DEFAULT_SORT if q else sort), arguments)
    filters = {"status": status, "category": ",".join(categories) or "_all", "q": q, "sort": sort}
    return Outcome({"page_info": info, "data": _shown(world, shown, arguments), "filters": filters})


def _shown(world: World, found: list[Ticket], arguments: Arguments) -> list[Any]:
    if arguments.flag("minify_response"):
        return [one.id for one in found]
    asked = arguments.flag("show_updates") or arguments.flag("include_updates")  # the older edition's name
    updates = {"asked": asked, "always": True, "never": False}[world.options.list_updates]
    data = [ticket_json(world, one, updates=updates) for one in found]
    names = arguments.query.get("fields")
    if not names or not world.options.fields_trim:
        return data
    wanted = [name.strip() for name in names.split(",")]
    return [{name: shown[name] for name in wanted if name in shown} for shown in data]
