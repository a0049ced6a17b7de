"""Readers of lists: signing keys, routers, grants, and routers that run dry.

Complaints repeat the names of routers and permissions, but no key.
"""

import re
from collections.abc import Iterator

from workers.errors import nearest
from workers.settings.complaints import UnfitError, refuse
from workers.settings.names import PERMISSIONS, ROUTER
from workers.settings.readers import switch, text
from workers.settings.secret import Secret

_IMPORT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_ENTRY_POINT = re.compile(r"[A-Za-z0-9_-]+")


def words(given: object) -> list[str]:
    """Reads a list, or a text of words between commas. Empty words are dropped, repeated ones kept once."""
    if isinstance(given, str):
        found: list[object] = [word for word in given.split(",") if word.strip()]
    elif isinstance(given, list):
        found = given
    else:
        raise UnfitError("is not a list", 'write a list of texts, as ["one", "two"]')
    return list(dict.fromkeys(text(word) for word in found))


def secrets(given: object) -> tuple[Secret, ...]:
    """Reads one or more signing keys, newest first."""
    keys = tuple(Secret(word) for word in words(given))
    if not keys:
        raise UnfitError("holds no secret", "write at least one signing key, the newest first")
    return keys


def handlers(given: object) -> tuple[str, ...]:
    """Reads import strings and entry-point names, in order."""
    names = words(given)
    cure = "write module:router, as vip:router"
    wrong = [name for name in names if not (_IMPORT.fullmatch(name) or _ENTRY_POINT.fullmatch(name))]
    refuse([UnfitError(f"contains {name!a}, which is no router", cure) for name in wrong])
    if not names:
        raise UnfitError("names no router", "write at least one module:router")
    return tuple(names)


def grants(given: object) -> frozenset[tuple[str, str]]:
    """Reads `router:permission` words, or a table of lists of permissions by router."""
    if isinstance(given, dict):
        pairs = [(router, permission) for router, value in given.items() for permission in words(value)]
    else:
        pairs = [(router, permission) for router, _, permission in (word.partition(":") for word in words(given))]
    granted = [(router.strip(), permission.strip()) for router, permission in pairs]
    refuse([wrong for grant in granted for wrong in _wrong(*grant)])
    return frozenset(granted)


def dry_run(given: object) -> bool | frozenset[str]:
    """Reads on or off, or the names of the routers that run dry."""
    try:
        return switch(given)
    except UnfitError:
        pass
    cure = "write 1 or 0, or the names of routers, as vip"
    if not isinstance(given, str | list):
        raise UnfitError("is neither on nor off nor the names of routers", cure)
    names = words(given)
    refuse(
        [UnfitError(f"names {name!a}, which is no router's name", cure) for name in names if not ROUTER.fullmatch(name)]
    )
    return frozenset(names)


def _wrong(router: str, permission: str) -> Iterator[UnfitError]:
    if not ROUTER.fullmatch(router):
        yield UnfitError(f"grants to {router!a}, which is no router's name", "write router:permission, as vip:reply")
    elif permission not in PERMISSIONS:
        guess = nearest(permission, PERMISSIONS)
        cure = f"did you mean {guess}?" if guess else f"use one of {', '.join(PERMISSIONS)}"
        yield UnfitError(f"grants {router} the unknown permission {permission!a}", cure)
