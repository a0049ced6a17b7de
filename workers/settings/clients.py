"""Parse the tables [clients.NAME]: the programs that may use the gateway."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from workers.errors import suggest
from workers.settings import parse
from workers.settings.model import Secret
from workers.settings.parse import InvalidValueError, printable, quoted

#: What a program may be granted; `*` is all of it.
CLIENT_PERMISSIONS = (
    *("tickets:read", "tickets:create", "tickets:note", "tickets:tag", "tickets:update", "tickets:reply"),
    *("tickets:reply-as-contact", "tickets:move", "tickets:forward", "tickets:subscribe", "tickets:delete"),
    *("contacts:read", "contacts:write", "groups:read", "groups:write", "assets:read", "assets:write"),
    *("reports:read", "kb:read", "reference:read", "*"),
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""The name of a client, which is the user name of its requests."""

#: The longest wait (s) for a permit.
LONGEST_WAIT = 600.0


def _allow(given: object) -> frozenset[str]:
    """Parse a list of permissions."""
    found = parse.word_list(given)
    wrong = [each for each in found if each not in CLIENT_PERMISSIONS]
    fix = f"use {', '.join(CLIENT_PERMISSIONS[:-1])} or *"
    parse.raise_all(
        [
            InvalidValueError(f"has the unknown permission {quoted(each)}", suggest(each, CLIENT_PERMISSIONS, fix))
            for each in wrong
        ]
    )
    return frozenset(found)


def _categories(given: object) -> tuple[int | str, ...]:
    """Parse a list of ids and names of categories; an empty list would mean all."""
    if isinstance(given, str | int) and not isinstance(given, bool):
        given = [given]
    fix = 'write ids or names, for example [1, "Billing"]'
    if not isinstance(given, list) or not given:
        raise InvalidValueError("is not a list of categories", fix)
    found: list[int | str] = []
    for each in given:
        if isinstance(each, bool) or not isinstance(each, str | int):
            raise InvalidValueError("contains something other than an id or a name", fix)
        name = parse.text(each) if isinstance(each, str) else str(each)
        found.append(int(name) if name.isascii() and name.isdigit() else name)
    return tuple(dict.fromkeys(found))


def _token(given: object) -> Secret:
    """Parse a token, which is sent in a header."""
    if not parse.text(given).isascii() or " " in parse.text(given):
        raise InvalidValueError("contains a space or a non-ASCII character", "write a token without them")
    return parse.secret(given)


#: How each key of a table is parsed, and the field it sets.
KEYS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "token": ("token", _token),
    "allow": ("allow", _allow),
    "class": ("priority", parse.choice("interactive", "normal", "bulk")),
    "wait": ("wait", parse.decimal(LONGEST_WAIT, least=0)),
    "categories": ("categories", _categories),
}


def check_name(name: str) -> None:
    """Refuse a name that could not be the user name of a request."""
    if not _NAME.fullmatch(name):
        fix = "use a to z, 0 to 9, hyphens and underscores, for example reporting"
        raise InvalidValueError(f"{printable(name)} is not a valid name of a client", fix)


def parse_key(key: str, value: object) -> tuple[str, Any]:
    """Return the field that a key sets, and its value."""
    if key not in KEYS:
        raise InvalidValueError("is not a setting of a client", suggest(key, KEYS))
    name, parser = KEYS[key]
    return name, parser(value)
