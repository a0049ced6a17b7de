"""Readers of lists: signing keys, routers and grants.

Complaints repeat the names of routers and permissions, but no key.
"""

import re

from workers.settings.complaints import UnfitError
from workers.settings.names import PERMISSIONS, ROUTER, nearest
from workers.settings.readers import text
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
    for name in names:
        if not (_IMPORT.fullmatch(name) or _ENTRY_POINT.fullmatch(name)):
            raise UnfitError(f"contains {name!a}, which is no router", "write module:router, as vip:router")
    if not names:
        raise UnfitError("names no router", "write at least one module:router")
    return tuple(names)


def grants(given: object) -> frozenset[tuple[str, str]]:
    """Reads `router:permission` words, or a table of lists of permissions by router."""
    if isinstance(given, dict):
        pairs = [(router, permission) for router, value in given.items() for permission in words(value)]
    else:
        pairs = [(router, permission) for router, _, permission in (word.partition(":") for word in words(given))]
    return frozenset(_grant(router.strip(), permission.strip()) for router, permission in pairs)


def _grant(router: str, permission: str) -> tuple[str, str]:
    if not ROUTER.fullmatch(router):
        raise UnfitError(f"grants to {router!a}, which is no router's name", "write router:permission, as vip:reply")
    if permission not in PERMISSIONS:
        guess = nearest(permission, PERMISSIONS)
        cure = f"did you mean {guess}?" if guess else f"use one of {', '.join(PERMISSIONS)}"
        raise UnfitError(f"grants {router} the unknown permission {permission!a}", cure)
    return router, permission
