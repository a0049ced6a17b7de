"""Uses: the names that conditions and actions use, which HappyFox must know, and the tags that conditions ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

#: What the names in a condition, or in a member of a router's settings, are names of; those of `from` and `to` depend
#: on the kind of change.
CONDITION_NAMES = {"status": "status", "priority": "priority", "category": "category", "assignee": "staff member"}
MEMBER_NAMES = {**CONDITION_NAMES, "alert": "staff member"}
KIND_NAMES = {
    "status-changed": "status",
    "priority-changed": "priority",
    "moved": "category",
    "assigned": "staff member",
}

#: What a note may alert instead of a staff member: subscribers, or the staff of the category (KB 1039).
GROUPS = ("s", "c")


@dataclass(frozen=True, slots=True)
class Name:
    """A name or an id that HappyFox must know: a status, a staff member and so on, and the key it stands under.

    `values` are those a field is set to or compared with.
    """

    what: str
    name: str | int
    path: tuple[str, ...]
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A tag that a condition asks for, and where."""

    tag: str
    path: tuple[str, ...]


def asked(path: tuple[str, ...], given: str, value: Any, kinds: tuple[str, ...]) -> Iterator[Name | Asked]:
    """Gives the names and the tags that a sound condition asks for; `path` is where it stands."""
    key = given.removeprefix("not_")
    if key == "any":
        for table in value:
            for inner, one in table.items():
                yield from asked(path, inner, one, kinds)
        return
    if key == "fields":
        for name, one in value.items():
            yield Name("field", name, (*path, name), tuple(_each(one)))
        return
    what = CONDITION_NAMES.get(key, "")
    if key in ("from", "to") and len(kinds) == 1:
        what = KIND_NAMES.get(kinds[0], "")
    for one in _each(value):
        if key == "tag":
            yield Asked(one, path)
        elif what and one != "":
            yield Name(what, one, path)


def acted(action: object, path: tuple[str, ...] = ()) -> Iterator[Name]:
    """Gives the names in what an entry of a router's settings does, a dataclass, by what its members are called."""
    for member in fields(action) if is_dataclass(action) else ():
        value, where = getattr(action, member.name), (*path, member.name)
        if member.name == "fields" and isinstance(value, Mapping):
            for name, one in value.items():
                yield Name("field", name, (*where, name), (one,))
        elif member.name in MEMBER_NAMES and isinstance(value, str | int) and value not in ("", *GROUPS):
            yield Name(MEMBER_NAMES[member.name], value, where)
        else:
            yield from acted(value, where)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
