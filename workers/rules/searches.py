"""Searches of HappyFox, as `find` of a rule has them: `name:value` terms and words."""

import re
from typing import Any, Final

TERM: Final = re.compile(r"""(?<!\S)("[^"]+"|[\w-]+):("[^"]*"(?:,"[^"]*")*|\S+)""")


def terms(find: str) -> dict[str, Any]:
    """Return what a search requires, as far as a rule can change it, as conditions."""
    conditions: dict[str, Any] = {}
    for name, value in TERM.findall(find):
        values = re.findall(r'"([^"]*)"', value) or value.split(",")
        if name in ("status", "priority", "tag", "assignee"):
            conditions[name] = ["" if (name, each) == ("assignee", "none") else each for each in values]
        elif (name, value) == ("unresponded", "true") or re.fullmatch("last-(staff-replied|modified)-.*before", name):
            conditions["unresponded"] = True
        elif name.startswith('"'):
            conditions.setdefault("fields", {})[name.strip('"')] = values
    return conditions
