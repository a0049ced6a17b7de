"""Permissions: what a router may want without a grant, and what needs one. Pure."""

from workers.turns.intents import AnyIntent


def denied(intent: AnyIntent, router: str, allow: frozenset[tuple[str, str]]) -> str:
    """Gives the line that would allow the intent, such as `FOXHOOKS_ALLOW=vip:reply`; empty when it is allowed.

    `allow` holds the grants as (router, permission).
    """
    if not intent.permission or (router, intent.permission) in allow:
        return ""
    return f"FOXHOOKS_ALLOW={router}:{intent.permission}"
