"""Makeshift: names and ids as tickets and effects show them, for when an account's lists are not stored. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from workers.happyfox.directory import Directory
from workers.models.values import items, mapping, number, text
from workers.turns.plan.effects import Effect
from workers.turns.plan.wishes import Wish
from workers.turns.plugin.intents import AnyIntent, Create, Move, Note, Set, Subscribe

#: The lists of a directory, by the member of a ticket that shows one of its entries.
SHOWN = {"status": "statuses", "priority": "priorities", "category": "categories", "assigned_to": "staff"}
PROPERTIES = {"status": "statuses", "priority": "priorities", "assignee": "staff"}


class Makeshift:
    """Learns names from what it is shown; a name that nothing showed gets an id below zero."""

    def __init__(self) -> None:
        self._lists: dict[str, dict[int, str]] = {name: {} for name in Directory.LISTS}

    def see_ticket(self, raw: Mapping[str, Any]) -> None:
        """Learns from a ticket as HappyFox answered it."""
        for member, where in SHOWN.items():
            self._see(where, mapping(raw.get(member)))
        for field in map(mapping, items(raw.get("custom_fields"))):
            self._see("fields", field)

    def see_effect(self, effect: Effect) -> None:
        """Learns from the names that stand in an effect beside its ids."""
        for key, name in effect.names.items():
            if key.startswith(("#", "@")):
                self._see("fields" if key[0] == "#" else "staff", {"id": int(key[1:]), "name": name})
            elif key == "category":
                self._see("categories", {"id": effect.category, "name": name})
            elif isinstance(identity := effect.set.get(key), int):
                self._see(PROPERTIES[key], {"id": identity, "name": name})

    def lists(self, wishes: Sequence[Wish]) -> dict[str, bytes]:
        """Gives lists as the store keeps them (JSON), with every name in these wishes."""
        for wish in wishes:
            for intent in wish.intents:
                for where, name in _names(intent):
                    self._know(where, name)
        return {
            where: msgspec.json.encode([{"id": one, "name": name, "email": name} for one, name in names.items()])
            for where, names in self._lists.items()
        }

    def _see(self, where: str, entry: Mapping[str, Any]) -> None:
        identity, name = number(entry.get("id")), text(entry.get("name"))
        if identity is None or not name:
            return
        names = self._lists[where]
        for other in [one for one, known in names.items() if one < 0 and known.casefold() == name.casefold()]:
            del names[other]
        names[identity] = name

    def _know(self, where: str, name: int | str) -> None:
        names = self._lists[where]
        known = {each.strip().casefold() for each in names.values()}
        if isinstance(name, int):
            names.setdefault(name, str(name))
        elif name.strip().casefold() not in known:
            names[min([0, *names]) - 1] = name.strip()


def _names(intent: AnyIntent) -> list[tuple[str, int | str]]:
    """Gives the names that an intent holds, each with the list it belongs to."""
    if isinstance(intent, Set):
        own = [(PROPERTIES[key], value) for key, value in intent.properties.items() if key in PROPERTIES]
        return [(where, value) for where, value in own if value is not None] + [
            ("fields", key) for key in intent.fields
        ]
    if isinstance(intent, Create):
        draft = intent.members
        own = [(PROPERTIES[key], draft[key]) for key in PROPERTIES if key in draft]
        return [("categories", draft["category"]), *own, *(("fields", name) for name in draft.get("fields", ()))]
    if isinstance(intent, Move):
        return [("categories", intent.category)]
    if isinstance(intent, Subscribe):
        return [("staff", each) for each in intent.staff]
    if isinstance(intent, Note) and intent.alert is not None:
        return [("staff", intent.alert)]
    return []
