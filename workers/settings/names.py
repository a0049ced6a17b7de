"""Names the settings know, and the one nearest to a misspelt one."""

import re
from collections.abc import Iterable

from workers.errors import nearest

ROUTER = re.compile(r"[a-z][a-z0-9-]*")
"""The name of a router."""

PERMISSIONS = ("reply", "reply-as-contact", "forward", "move", "delete", "subscribe", "create", "contacts")
"""What a router may do only with a grant."""


def nearest_setting(name: str, known: Iterable[str]) -> str | None:
    """Return the known setting most like *name*, or None. Our prefixes are ignored."""
    shorts = {short(each): each for each in known}
    near = nearest(short(name), shorts)
    return shorts[near] if near else None


def short(name: str) -> str:
    """Returns a variable or key as it stands in the file: in lower case and without our prefix."""
    return name.lower().removeprefix("foxhooks_").removeprefix("happyfox_")


def plain(name: str) -> str:
    """Returns a name fit to print: as it is, or escaped if it has anything that does not print."""
    return name if name.isascii() and name.isprintable() else ascii(name)
