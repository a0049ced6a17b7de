"""Times for a person's eyes; the store's clock is the only one that counts."""

import redis
import typer

from workers.errors import seconds


def now_of(client: redis.Redis) -> int:
    """Gives the store's time in ms."""
    whole, micro = client.time()
    return whole * 1000 + micro // 1000


def ago(at: int, now: int) -> str:
    """Says how long ago a time (ms) was, in its largest unit."""
    return f"{_span(now - at)} ago"


def ahead(at: int, now: int) -> str:
    """Says in how long a time (ms) will be, in its largest unit."""
    return f"in {_span(at - now)}" if at > now else "now"


def _span(milliseconds: int) -> str:
    passed = max(0, milliseconds) // 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= size:
            return f"{passed // size} {unit}"
    return f"{passed} s"


def span(since: str) -> float:
    """Reads what ``--since`` was given, in seconds; 0 for nothing. Another word is wrong usage."""
    try:
        return seconds(since or 0)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--since") from None
