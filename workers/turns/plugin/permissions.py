"""Permissions: what a router may want without a grant, and what needs one. Pure."""

from collections.abc import Sequence

from workers.turns.plugin.intents import AnyIntent


def line(intent: AnyIntent, router: str) -> str:
    """Gives the line that allows a router an intent, such as `FOXHOOKS_ALLOW=vip:reply`; empty when none is needed."""
    return f"FOXHOOKS_ALLOW={router}:{intent.permission}" if intent.permission else ""


def denied(intent: AnyIntent, router: str, allow: frozenset[tuple[str, str]]) -> str:
    """Gives the line that would allow the intent; empty when it is allowed.

    `allow` holds the grants as (router, permission).
    """
    return "" if (router, intent.permission) in allow else line(intent, router)


def wants(intents: Sequence[AnyIntent], router: str) -> str:
    """Says what a router's handler wants and may do, in plain words, with the lines that allow it."""
    told = (f"{each.word} (allowed by {by})" if (by := line(each, router)) else each.word for each in intents)
    return ", ".join(dict.fromkeys(told)) or "nothing"


def denials(lines: Sequence[str]) -> str:
    """Says what was denied, and which lines would allow it; begins with a semicolon, empty when nothing was."""
    return "".join(f"; {each.rpartition(':')[2]} denied, add {each}" for each in lines)
