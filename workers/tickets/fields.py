"""The values of custom fields: by name, by id, or by name and category, because two fields may have one name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from workers.errors import AmbiguousField
from workers.tickets.folding import fold

#: Kinds of fields with several choices (KB 579; the spelling is assumed).
MULTIPLE: Final = ("multiple_choice", "multiple choice")

_WITH_CATEGORY: Final = re.compile(r"(.*\S)\s*\(([^()]+)\)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A custom field on a ticket or contact (KB 1039, KB 579)."""

    id: int
    name: str
    value: str
    """The value as a person reads it; several choices are joined by a comma."""
    raw: object = None
    """The raw value to compare with one that was sent: the ids of choices, else the value itself."""
    kind: str = ""
    """HappyFox's word for its type."""
    choices: tuple[str, ...] = ()
    """The values of a field with several choices."""
    choice_ids: tuple[int, ...] = ()


def split_category(name: str) -> tuple[str, str]:
    """Split `City (Billing)` into the names of the field and the category; the latter is empty if there is none."""
    found = _WITH_CATEGORY.fullmatch(name)
    return (found[1].strip(), found[2].strip()) if found else (name, "")


class FieldValues(dict[str, str]):
    """Values by the name of the field, as text.

    Case and spaces in names do not matter. Two fields with one name have to be read by id, as a number or its digits,
    or as `City (Billing)` on a ticket of that category; their name raises ``AmbiguousField``.
    """

    def __init__(self, values: Iterable[FieldValue], category: str = "") -> None:
        self._values = {each.id: each for each in values}
        self._category = category
        self._by_name: dict[str, list[FieldValue]] = {}
        for each in self._values.values():
            self._by_name.setdefault(fold(each.name), []).append(each)
        for same in self._by_name.values():
            self.update({each.name if len(same) == 1 else str(each.id): each.value for each in same})

    def find(self, name: str | int) -> FieldValue | None:
        """Return the field with this name or id, None if there is none."""
        if isinstance(name, int):
            return self._values.get(name)
        found = self._by_name.get(fold(name), [])
        if len(found) > 1:
            found = [each for each in found if each.name.strip() == name.strip()] or found
        if len(found) > 1:
            raise AmbiguousField(name, [str(each.id) for each in found])
        if found:
            return found[0]
        if name.strip().isdecimal():
            return self._values.get(int(name))
        inner, category = split_category(name)
        return self.find(inner) if category and fold(category) == fold(self._category) else None

    def __getitem__(self, name: str | int) -> str:
        if (found := self.find(name)) is None:
            raise KeyError(name)
        return found.value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | int) and self.find(name) is not None

    def get(self, name: str | int, default: Any = None) -> Any:
        """Return the value of a field, or the default if there is no such field."""
        found = self.find(name)
        return default if found is None else found.value
