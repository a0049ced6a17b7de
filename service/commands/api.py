"""`foxhooks api`: lists the calls of HappyFox's API and makes one, within the limits."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.commands.arguments import read
from service.commands.words import plain
from service.failures import CommandError
from workers.errors import FoxhooksError, InDoubt, Unsent
from workers.happyfox import HappyFox
from workers.happyfox.base import Confirmation, ItemResult, Page
from workers.happyfox.endpoints import ENDPOINTS

#: What can be called beside the endpoints: whole lists.
WALKS = ("ticket_numbers", "all_tickets", "all_ticket_numbers", "all_contacts", "all_assets")

#: Seconds a call may wait for its permit, while somebody sits before the screen.
PATIENCE = 60.0

#: Members that make good columns, most telling first.
COLUMNS = (
    *("id", "display_id", "name", "title", "subject", "email", "status", "priority", "assigned_to", "user", "category"),
    *("type", "active", "behavior", "tagged_domains", "description", "last_modified", "state", "problems", "target"),
)
FEW_COLUMNS, MOST_COLUMNS = 3, 7


def run(method: str, arguments: Sequence[str], account: str, as_json: bool) -> int:
    """Lists the methods, or calls one and prints what it gives."""
    console = Console()
    if not method:
        _list(console, as_json)
        return 0
    _check(method)
    positional, named = read(getattr(HappyFox, method), arguments)
    try:
        with HappyFox.from_env(account=account, patience=PATIENCE, class_="interactive") as client:
            call = getattr(client, method)
            try:
                inspect.signature(call).bind(*positional, **named)
                given = call(*positional, **named)
            except TypeError as wrong:
                raise typer.BadParameter(f"{wrong}; it takes {method}{_signature(method)}") from None
            given = list(given) if isinstance(given, Iterator) else given
    except (InDoubt, Unsent) as error:
        raise CommandError(str(error)) from None
    except FoxhooksError as error:
        raise CommandError(_told(error)) from None
    _print(console, given, as_json)
    return 0


def _list(console: Console, as_json: bool) -> None:
    rows = [
        {
            "method": f"{each.name}{_signature(each.name)}",
            "call": f"{each.method} {each.path}",
            "document": each.source,
        }
        for each in ENDPOINTS
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    _table(console, rows, ("method", "call", "document"))
    console.print("\nWhole lists: " + ", ".join(WALKS), highlight=False)
    console.print(
        "Try: foxhooks api ticket 12, foxhooks api tickets status=_pending, foxhooks api private_note 12 text=Hi"
    )


def _signature(name: str) -> str:
    """Shows the parameters of a method; those of a named shape by its names."""
    shown = []
    for parameter in inspect.signature(getattr(HappyFox, name)).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            shown += [f"{key}=" for key in parameter.annotation.__args__[0].__annotations__]
        elif parameter.name != "self":
            shown.append(f"{parameter.name}=" if parameter.kind is parameter.KEYWORD_ONLY else parameter.name)
    return f"({', '.join(shown)})"


def _check(method: str) -> None:
    names = [*(endpoint.name for endpoint in ENDPOINTS), *WALKS]
    if method not in names:
        nearest = get_close_matches(method, names, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "`foxhooks api` lists them"
        raise typer.BadParameter(f"there is no method {method}; {hint}", param_hint="METHOD")


def _told(error: FoxhooksError) -> str:
    """Adds what HappyFox complains about: the person who called may read it."""
    problems = getattr(error, "problems", ())
    return "\n".join([str(error), *(f"  {field or 'call'}: {text}" for field, text in problems)])


def _print(console: Console, given: Any, as_json: bool) -> None:
    rows = [_plain(each) for each in given] if isinstance(given, list | Page) else None
    if not as_json and rows and all(isinstance(row, Mapping) for row in rows):
        present = [name for name in COLUMNS if any(row.get(name) not in (None, "", []) for row in rows)]
        others = [name for name in rows[0] if name not in COLUMNS] if len(present) < FEW_COLUMNS else []
        columns = (present + others)[:MOST_COLUMNS]
        _table(console, rows, columns)
        if isinstance(given, Page) and given.total is not None:
            console.print(f"{len(given)} of {given.total}")
        return
    content = given.raw if isinstance(given, Page) else _plain(given) if rows is None else rows
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Gives what HappyFox sent, for JSON."""
    if isinstance(value, ItemResult):
        told = asdict(value)
        return told | {"error": None if value.error is None else str(value.error)}
    if isinstance(value, Confirmation):
        return value.raw
    return getattr(value, "raw", value)


def _table(console: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    console.print(table)


def _cell(value: Any) -> str:
    """Shows a member in one line; names stand for objects, and what would steer a terminal is left out."""
    if isinstance(value, Mapping):
        value = value.get("name", value.get("id"))
    if isinstance(value, list | tuple):
        value = ", ".join(map(_cell, value))
    text = "" if value is None else str(value)
    return plain(text)
