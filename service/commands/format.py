"""The output of commands: tables, details and JSON."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.words import ago, ahead, blocked, clock, plural, silent
from workers.errors import seconds
from workers.logs import plain
from workers.store.pages import Page
from workers.webhook.delivery import ticket_number

__all__ = [
    "AsJson",
    "Cursor",
    "Most",
    "ago",
    "ahead",
    "as_argument",
    "blocked",
    "clock",
    "details",
    "duration",
    "line",
    "page_size",
    "parse_ticket",
    "plural",
    "print_json",
    "progress",
    "safe_lines",
    "say_more",
    "show",
    "show_page",
    "silent",
    "ticket_option",
]

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def parse_ticket(given: object) -> int:
    """Return the number of a ticket named by its number or its display id."""
    number = ticket_number(given)
    if number is None:
        raise typer.BadParameter(f"{given!r} is no ticket: write its number, or its display id such as '#DC00000012'")
    return number


def ticket_option(text: str) -> Any:
    """Return an option `--ticket`, which takes a number or a display id."""
    return typer.Option("--ticket", help=text, parser=parse_ticket, metavar="TICKET")


Most = Annotated[int | None, typer.Option("--most", min=1, help="How many to show: 50, or all with --json.")]
Cursor = Annotated[str, typer.Option("--cursor", metavar="CURSOR", help="Continue where the page before ended.")]

#: How many rows a page has, and as many as there are.
PAGE, ALL = 50, 10**9


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
        _print_table(table)


def _print_table(table: Table) -> None:
    """Print a table; in a file or for a program, without the spaces that fill its last column."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    print("\n".join(each.rstrip() for each in captured.get().removesuffix("\n").split("\n")))


def page_size(most: int | None, as_json: bool) -> int:
    """Return how many rows to read for `--most` and `--json`."""
    return most or (ALL if as_json else PAGE)


def show_page(
    page: Page[T], columns: Mapping[str, Callable[[T], object]], as_json: bool = False, empty: str = "None."
) -> None:
    """Print a page of rows, and say how many follow and how to see them."""
    show(page.items, columns, as_json, empty)
    say_more(page, as_json)


def say_more(page: Page[T], as_json: bool = False) -> None:
    """Say how many rows follow after a page, and how to see them; with JSON on the standard error."""
    if page.next or page.more:
        more = "There are more" if page.more is None else f"{page.more:,} more"
        how = f"continue with --cursor {page.next}" if page.next else "choose how many with --most, or filter"
        print(f"{more}: {how}", file=sys.stderr if as_json else sys.stdout)


def progress(items: Iterable[T], what: str, count: int | None = None) -> Iterable[T]:
    """Yield items with a progress bar on the terminal, which shows if it takes longer than a moment.

    It goes to the standard error and disappears at the end; a program or a file gets none of it.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    from rich.progress import track  # imported late: only a terminal that waits needs it

    total = len(items) if isinstance(items, Sequence) else count
    yield from track(items, what, total, console=console, transient=True)


def details(pairs: Iterable[tuple[str, object]]) -> None:
    """Print labels and texts in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    for label, text in pairs:
        table.add_row(f"  {label}", _cell(text))
    _print_table(table)


def line(*parts: str | tuple[str, str]) -> None:
    """Print one line of texts or (text, style) pairs; only the terminal wraps it, so it can be copied."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    Console(highlight=False, soft_wrap=True).print(Text.assemble(*((plain(text), style) for text, style in pairs)))


def print_json(value: object) -> None:
    """Print a value as JSON, without characters that control a terminal."""
    text = json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2, ensure_ascii=False)
    print(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def _cell(value: object) -> Text:
    """Return what a cell shows, without characters that control a terminal."""
    if not isinstance(value, Text):
        return Text(safe_lines(str(value)))
    text = value.copy()
    text.plain = safe_lines(text.plain)
    return text


def safe_lines(text: str) -> str:
    """Return a text of several lines that cannot control a terminal."""
    return "\n".join(map(plain, text.split("\n")))


def as_argument(name: str) -> str:
    """Return a name as a person must type it in a shell."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)


def duration(since: str) -> float:
    """Return the value of ``--since`` in seconds, 0 if it is empty. Anything else is wrong usage."""
    try:
        return seconds(since or 0)
    except ValueError:
        wrong = f"{since!r} is not a duration; write it as 90s, 10m, 2h or 1d"
        raise typer.BadParameter(wrong, param_hint="--since") from None
