"""Names and ids of one list, and the values that a custom field can have (KB 579)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from workers.errors import GiveUp, UnknownName

CHOICES = ("choice", "dropdown")
MULTIPLE = ("multiple_choice", "multiple choice")


@dataclass(frozen=True, slots=True)
class Choice:
    """One value a field with choices can have."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field of tickets or contacts; ``kind`` is HappyFox's word for its type."""

    id: int
    name: str
    kind: str
    choices: tuple[Choice, ...]


class Names:
    """Ids by name, in any case; a name may be ambiguous."""

    def __init__(self, what: str, pairs: Iterable[tuple[int, Any]]) -> None:
        self._what = what
        self._names = {id: str(name) for id, name in pairs if name}
        self._ids: dict[str, list[int]] = {}
        for id, name in self._names.items():
            self._ids.setdefault(_key(name), []).append(id)

    def id(self, name: str | int) -> int:
        if not isinstance(name, str):
            if name in self._names and not isinstance(name, bool):
                return name
            raise UnknownName(self._what, name, self._known())
        found = self._ids.get(_key(name), [])
        if len(found) > 1:  # names that differ in case only
            found = [id for id in found if self._names[id].strip() == name.strip()] or found
        if len(found) != 1:
            raise UnknownName(self._what, name, self._known(), "more than one" if found else "no")
        return found[0]

    def name(self, id: int) -> str:
        return self._names[self.id(id)]

    def _known(self) -> list[str]:
        return list(self._names.values())


def value_of(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind in MULTIPLE:
        several = [value] if isinstance(value, str | int) else list(value)
        return [choice_of(field, each) for each in several]
    if field.kind in CHOICES or field.choices:
        return choice_of(field, value)
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if field.kind == "number":
        return _number(field, value)
    if isinstance(value, list | tuple | set | dict | bytes) or (isinstance(value, float) and not math.isfinite(value)):
        raise GiveUp(f"the field {field.name!r} takes a text, not a {type(value).__name__} like this")
    return value if isinstance(value, int | float) else str(value)


def choice_of(field: Field, value: Any) -> int:
    names = Names(f"choice of the field {field.name!r}", [(one.id, one.name) for one in field.choices])
    return names.id(value if isinstance(value, int) else str(value))


def _number(field: Field, value: Any) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise GiveUp(f"the field {field.name!r} takes a number, not {type(value).__name__}") from None
    if not math.isfinite(number):
        raise GiveUp(f"the field {field.name!r} takes a finite number")
    return int(number) if number.is_integer() else round(number, 2)


def read_field(raw: Any) -> Field:
    choices = tuple(Choice(one["id"], str(one.get("text", ""))) for one in items(raw.get("choices")))
    return Field(raw["id"], str(raw.get("name", "")), str(raw.get("type", "")).lower(), choices)


def items(raw: Any) -> list[dict[str, Any]]:
    """Gives the members of a list that have an id; also of one inside an envelope."""
    listed = raw.get("data") if isinstance(raw, dict) else raw
    return [one for one in listed or [] if isinstance(one, dict) and isinstance(one.get("id"), int)]


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
