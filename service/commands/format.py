"""The output of commands: tables, details and JSON, and how times and counts are written."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workers.errors import seconds
from workers.logs import plain

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

#: Why no call to HappyFox can be made, by the reasons of the store's permits.
BLOCKED = {
    "denied": "HappyFox rejected the API key",
    "limited": "HappyFox answered 429 (too many calls)",
    "throttled": "HappyFox asked to wait",
    "clock": "the store's clock or server changed",
    "gate": "the account is locked out",
    "budget": "the call budget is used up",
    "flight": "too many calls are in flight",
    "probe": "another call is testing whether HappyFox answers again",
    "unreachable": "HappyFox does not answer",
}


def show(
    rows: Sequence[T], columns: Mapping[str, Callable[[T], object]], as_json: bool = False, empty: str = "None."
) -> None:
    """Print rows as a table with one function per column, or everything in them as JSON."""
    if as_json:
        print_json(rows)
    elif not rows:
        line(empty)
    else:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in columns:
            table.add_column(title, overflow="fold")  # a person may copy what is in a cell: never cut it
        for row in rows:
            table.add_row(*(_cell(make(row)) for make in columns.values()))
        Console(highlight=False).print(table)


def details(pairs: Iterable[tuple[str, object]]) -> None:
    """Print labels and texts in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    for label, text in pairs:
        table.add_row(f"  {label}", _cell(text))
    Console(highlight=False).print(table)


def line(*parts: str | tuple[str, str]) -> None:
    """Print one line of texts or (text, style) pairs; only the terminal wraps it, so it can be copied."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    Console(highlight=False, soft_wrap=True).print(Text.assemble(*((plain(text), style) for text, style in pairs)))


def print_json(value: object) -> None:
    """Print a value as JSON, without characters that control a terminal."""
    text = json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2, ensure_ascii=False)
    print(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text(safe_lines(str(value)))


def safe_lines(text: str) -> str:
    """Return a text of several lines that cannot control a terminal."""
    return "\n".join(map(plain, text.split("\n")))


def as_argument(name: str) -> str:
    """Return a name as a person must type it in a shell."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a number and what it counts; ``nouns`` is an irregular plural."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def ago(at: int, now: int) -> str:
    """Return how long ago a time (ms) was, in its largest unit."""
    return f"{_span(now - at)} ago"


def ahead(at: int, now: int) -> str:
    """Return how far ahead a time (ms) is, in its largest unit."""
    return f"in {_span(at - now)}" if at > now else "now"


def _span(milliseconds: int) -> str:
    passed = max(0, milliseconds) // 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= size:
            return f"{passed // size} {unit}"
    return f"{passed} s"


def clock(at: int, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time (ms) as date and time."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):{form}} UTC"


def duration(since: str) -> float:
    """Return the value of ``--since`` in seconds, 0 if it is empty. Anything else is wrong usage."""
    try:
        return seconds(since or 0)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--since") from None


def silent(since: int, now: int) -> str:
    """Say since when (ms) HappyFox does not answer."""
    return f"{BLOCKED['unreachable']} since {clock(since, '%H:%M' if now - since < 86_400_000 else '%Y-%m-%d %H:%M')}"


def blocked(reason: str, wait: float) -> str:
    """Say why no call can be made, and when the next attempt is, in seconds."""
    why = BLOCKED.get(reason, reason)
    return f"{why[:1].upper()}{why[1:]}. Next attempt in {max(0.0, wait):.0f} s."
