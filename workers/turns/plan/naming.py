"""Naming: what handlers name goes to HappyFox by its id, and what a person reads in a plan has its name beside it."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from workers.happyfox.directory import Directory, NameKind
from workers.turns.plan.effects import Effect
from workers.turns.plugin.intents import AnyIntent, Create, Move, Note, Set, Subscribe

#: How the names of each property become ids.
RESOLVE: dict[str, Callable[[Directory, int | str], int]] = {
    "status": Directory.status,
    "priority": Directory.priority,
    "assignee": Directory.staff_member,
}

#: In which list each property's id has its name.
SORTS: dict[str, NameKind] = {"status": "status", "priority": "priority", "assignee": "staff"}


def named(intent: AnyIntent) -> bool:
    """Tells whether an intent names a thing that HappyFox knows by an id."""
    return isinstance(intent, Set | Move | Subscribe | Create) or _alerts(intent)


def resolved(intent: AnyIntent, directory: Directory | None) -> AnyIntent:
    """Turns names into ids; without a directory there is nothing to turn."""
    if directory is None:
        return intent
    if isinstance(intent, Set):
        values = {
            name: value if value is None or name not in RESOLVE else RESOLVE[name](directory, value)
            for name, value in intent.properties.items()
        }
        return Set(values, _fields(intent.fields, directory))
    if isinstance(intent, Create):
        return Create(_members(intent.members, directory))
    if isinstance(intent, Move):
        return Move(directory.category(intent.category), intent.note)
    if isinstance(intent, Subscribe):
        return Subscribe(tuple(directory.staff_member(each) for each in intent.staff))
    if isinstance(intent, Note) and intent.alert is not None and _alerts(intent):
        return msgspec.structs.replace(intent, alert=directory.staff_member(intent.alert))
    return intent


def _fields(fields: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    return {str(directory.field(name).id): directory.field_value(name, value) for name, value in fields.items()}


def _members(members: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    """Turns the names among the members of a ticket to be created into ids."""
    found = dict(members)
    found["category"] = directory.category(members["category"])
    found |= {name: RESOLVE[name](directory, found[name]) for name in ("priority", "assignee") if name in found}
    if "fields" in found:
        found["fields"] = _fields(found["fields"], directory)
    return found


def _alerts(intent: AnyIntent) -> bool:
    return isinstance(intent, Note) and isinstance(intent.alert, str) and intent.alert not in ("s", "c")


def shown(effect: Effect, directory: Directory) -> Effect:
    """Adds the names behind its ids, so that a person who reads the plan needs no list beside it."""
    names = {
        name: directory.name(sort, value)
        for name, sort in SORTS.items()
        if isinstance(value := effect.set.get(name), int)
    }
    names |= {f"#{identity}": directory.name("field", int(identity)) for identity in effect.fields}
    names |= {f"@{one}": directory.name("staff", one) for one in effect.staff}
    if effect.sort in ("move", "create"):
        names["category"] = directory.name("category", effect.category)
    return msgspec.structs.replace(effect, names=names) if names else effect
