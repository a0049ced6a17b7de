"""The account's own tables, as bare lists; the single ones are of the legacy developer page."""

from workers.simulator.api.forms import RefusedError
from workers.simulator.api.paging import NOT_FOUND
from workers.simulator.api.route import Arguments, Outcome
from workers.simulator.world import Table, World


def one(table: Table, arguments: Arguments) -> Outcome:
    """The member of a table that the path names. Raises a 404 if there is none."""
    found = table.get(arguments.number)
    if found is None:
        raise RefusedError(404, NOT_FOUND)
    return Outcome(found)


def staff(world: World, arguments: Arguments) -> Outcome:
    """GET /staff/."""
    return Outcome(list(world.staff.values()))


def one_of_staff(world: World, arguments: Arguments) -> Outcome:
    """GET /staff/<id>/ or /staff/<email>/."""
    named = (row for row in world.staff.values() if arguments.word and row["email"] == arguments.word.lower())
    found = next(named, None)
    return one(world.staff, arguments) if found is None else Outcome(found)


def statuses(world: World, arguments: Arguments) -> Outcome:
    """GET /statuses/."""
    return Outcome(list(world.statuses.values()))


def status(world: World, arguments: Arguments) -> Outcome:
    """GET /status/<id>/."""
    return one(world.statuses, arguments)


def priorities(world: World, arguments: Arguments) -> Outcome:
    """GET /priorities/."""
    return Outcome(list(world.priorities.values()))


def priority(world: World, arguments: Arguments) -> Outcome:
    """GET /priority/<id>/."""
    return one(world.priorities, arguments)


def categories(world: World, arguments: Arguments) -> Outcome:
    """GET /categories/."""
    return Outcome(list(world.categories.values()))


def category(world: World, arguments: Arguments) -> Outcome:
    """GET /category/<id>/."""
    return one(world.categories, arguments)


def ticket_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """GET /ticket_custom_fields/."""
    return Outcome(list(world.ticket_fields.values()))


def ticket_custom_field(world: World, arguments: Arguments) -> Outcome:
    """GET /ticket_custom_field/<id>/."""
    return one(world.ticket_fields, arguments)


def user_custom_fields(world: World, arguments: Arguments) -> Outcome:
    """GET /user_custom_fields/."""
    return Outcome(list(world.contact_fields.values()))


def user_custom_field(world: World, arguments: Arguments) -> Outcome:
    """GET /user_custom_field/<id>/."""
    return one(world.contact_fields, arguments)
