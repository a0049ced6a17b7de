"""How times, counts and reasons are written for people, in commands and on the dashboard."""

from datetime import UTC, datetime

from workers.errors import BLOCKED


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a number and what it counts; ``nouns`` is an irregular plural."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def ago(at: int, now: int) -> str:
    """Return how long ago a time (ms) was, in its largest unit."""
    return f"{span(now - at)} ago"


def ahead(at: int, now: int) -> str:
    """Return how far ahead a time (ms) is, in its largest unit."""
    return f"in {span(at - now)}" if at > now else "now"


def span(milliseconds: int) -> str:
    """Return a time span (ms) in its largest unit."""
    passed = max(0, milliseconds) // 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= size:
            return f"{passed // size} {unit}"
    return f"{passed} s"


def clock(at: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time (ms) as date and time."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):{form}} UTC"


def silent(since: int, now: int) -> str:
    """Say since when (ms) HappyFox does not answer."""
    return f"{BLOCKED['unreachable']} since {clock(since, '%H:%M' if now - since < 86_400_000 else '%Y-%m-%d %H:%M')}"


def blocked(reason: str, wait: float) -> str:
    """Say why no call can be made, and when the next attempt is, in seconds."""
    why = BLOCKED.get(reason, reason)
    return f"{why[:1].upper()}{why[1:]}. Next attempt in {max(0.0, wait):.0f} s."
