"""`foxhooks api`: list the calls of HappyFox's API, or make one within the limits."""

import inspect
import json as jsonlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from operator import itemgetter
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import typer

from service.commands.format import AsJson, blocked, line, print_json, show
from service.context import AccountName
from service.errors import CommandError
from workers.errors import FoxhooksError, InDoubt, NotNow, Unsent, suggest
from workers.happyfox import HappyFox, search, search_contacts
from workers.happyfox.base import Confirmation, ItemResult, Page
from workers.happyfox.endpoints import ENDPOINTS
from workers.happyfox.messages import File

#: Methods beside the endpoints: they read whole lists, or an attachment.
WALKS = ("ticket_numbers", "all_tickets", "all_ticket_numbers", "all_contacts", "all_assets")
FILES = ("download",)

#: Functions that make no call: they print the ``q`` of a list.
SEARCHES: dict[str, Callable[..., str]] = {"search": search, "search_contacts": search_contacts}

#: Seconds that a call may wait for its permit, while a person is waiting.
PATIENCE = 60.0

#: Members that make good columns, most important first.
COLUMNS = (
    *("id", "display_id", "name", "title", "subject", "email", "status", "priority", "assigned_to", "user", "category"),
    *("type", "active", "behavior", "tagged_domains", "description", "last_modified", "state", "problems", "target"),
)
FEW_COLUMNS, MOST_COLUMNS = 3, 7


def api(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="A method, such as ticket; without one they are listed.")] = "",
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Its arguments, in order or as NAME=VALUE: text, or JSON where text is not expected."),
    ] = None,
    account: AccountName = "",
    json: AsJson = False,
    help: Annotated[bool, typer.Option("--help", help="Show this help, or after METHOD what the method does.")] = False,
) -> None:
    """List the calls of HappyFox's API, or make one within the limits."""
    names = [*(endpoint.name for endpoint in ENDPOINTS), *WALKS, *FILES, *SEARCHES]
    if method and method not in names:
        fix = suggest(method, names, "`foxhooks api` lists them")
        raise typer.BadParameter(f"there is no method {method}; {fix}", param_hint="METHOD")
    if help:
        _explain(method) if method else line(context.get_help())
        return
    if not method:
        _list(json)
        return
    positional, named = read_arguments(_function(method), arguments or [])
    if method in SEARCHES:
        q = _call(method, SEARCHES[method], positional, named)
        print_json(q) if json else line(q)
        return
    with happyfox(account) as client:
        result = _call(method, getattr(client, method), positional, named)
        result = list(result) if isinstance(result, Iterator) else result
    _show(result, json)


@contextmanager
def happyfox(account: str) -> Iterator[HappyFox]:
    """Yield a client that calls within the limits for a person who waits; raise CommandError if a call fails."""
    try:
        with HappyFox.from_env(account=account, patience=PATIENCE, priority="interactive") as client:
            yield client
    except NotNow as closed:
        raise CommandError(blocked(closed.reason, closed.wait / 1000)) from None
    except (InDoubt, Unsent, FoxhooksError) as error:
        # The person who made the call may read what HappyFox complains about.
        problems = getattr(error, "problems", ())
        unsaid = [(field, text) for field, text in problems if text not in str(error)]
        lines = [str(error), *(f"  {field or 'call'}: {text}" for field, text in unsaid)]
        raise CommandError("\n".join(lines)) from None


def _function(name: str) -> Callable[..., Any]:
    return SEARCHES.get(name) or getattr(HappyFox, name)


def _call(name: str, function: Callable[..., Any], positional: list[Any], named: dict[str, Any]) -> Any:
    """Call a method; report wrong arguments as wrong usage."""
    try:
        return function(*positional, **named)
    except TypeError as wrong:
        raise typer.BadParameter(f"{wrong}; usage: {name}{_signature(name)}") from None


def _explain(name: str) -> None:
    """Print what a method does, its arguments and its document."""
    function = _function(name)
    line((name, "bold"), _signature(name))
    for each in ENDPOINTS:
        if each.name == name:
            line((f"    {each.method} {each.path}, {each.source}", "dim"))
    line()
    for text in (inspect.getdoc(function) or "").splitlines():
        line(text)
    for title, members in _typed_members(function).items():
        line()
        line(f"{title}: {', '.join(members)}")


def _typed_members(function: Callable[..., Any]) -> dict[str, list[str]]:
    """Return the members of each argument that is an object, or a list of objects."""
    types, order = _hints(function)
    found = {name: _object(types[name]) for name in order if name in types}
    return {
        f"Members of {name}": [f"{each}{' (required)' * (each in kind.__required_keys__)}" for each in _members(kind)]
        for name, kind in found.items()
        if kind is not None
    }


def _object(expected: Any) -> Any:
    """Return the typed object in a type; None if there is none."""
    if is_typeddict(expected):
        return expected
    return next(filter(None, map(_object, get_args(expected))), None)


def _members(expected: Any) -> dict[str, Any]:
    """Return the members of the object in a type, by name; none if there is no such object."""
    kind = _object(expected)
    return {} if kind is None else get_type_hints(kind)


def _list(as_json: bool) -> None:
    if as_json:
        methods = [(each.name + _signature(each.name), f"{each.method} {each.path}", each.source) for each in ENDPOINTS]
        print_json([dict(zip(("method", "call", "document"), method, strict=True)) for method in methods])
        return
    for each in ENDPOINTS:
        line((each.name, "bold"), _signature(each.name))
        line((f"    {each.method} {each.path}, {each.source}", "dim"))
    line()
    for title, names in (("Whole lists", WALKS), ("Attachments", FILES), ("The q of a list", SEARCHES)):
        line(f"{title}: {', '.join(name + _signature(name) for name in names)}")
    line()
    line("Try: foxhooks api ticket 12, foxhooks api tickets status=_pending, foxhooks api private_note 12 text=Hi")
    line("`foxhooks api METHOD --help` says what a method does, and what its arguments can be.")


def _signature(name: str) -> str:
    """Return the parameters of a method as a person would write them."""
    types, order = _hints(_function(name))
    folded = _folded(types, order)
    shown = [*(each for each in order if each != folded), *(f"{each}=" for each in types if each not in order)]
    members = [f"{each}=" for each in _members(types[folded])] if folded else []
    return f"({', '.join([*members, *shown])})"


def _folded(types: Mapping[str, Any], order: Sequence[str]) -> str:
    """Return the first argument if it is an object, whose members can be written as NAME=VALUE."""
    first = order[0] if order else ""
    is_list = get_origin(types.get(first)) in (Iterable, Sequence)
    return first if first in types and not is_list and _members(types[first]) else ""


def _show(result: Any, as_json: bool) -> None:
    rows = [_raw(each) for each in result] if isinstance(result, list | Page) else None
    if not as_json and rows and all(isinstance(row, Mapping) for row in rows):
        present = [name for name in COLUMNS if any(row.get(name) not in (None, "", []) for row in rows)]
        others = [name for name in rows[0] if name not in COLUMNS] if len(present) < FEW_COLUMNS else []
        names = (present + others)[:MOST_COLUMNS]
        cells = [{name: _text(row.get(name)) for name in names} for row in rows]
        show(cells, {name: itemgetter(name) for name in names})
        if isinstance(result, Page) and result.total is not None:
            line(f"{len(result)} of {result.total}")
        return
    print_json(result.raw if isinstance(result, Page) else _raw(result) if rows is None else rows)


def _raw(value: Any) -> Any:
    """Return what HappyFox sent."""
    if isinstance(value, ItemResult):
        return asdict(value) | {"error": None if value.error is None else str(value.error)}
    if isinstance(value, Confirmation):
        return value.raw
    return getattr(value, "raw", value)


def _text(value: Any) -> str:
    """Return a value as one line; an object is shown by its name."""
    if isinstance(value, Mapping):
        value = value.get("name", value.get("id"))
    if isinstance(value, list | tuple):
        value = ", ".join(map(_text, value))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return "" if value is None else " ".join(str(value).splitlines())


def read_arguments(method: Callable[..., Any], typed: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Read values, in the method's order, and NAME=VALUE pairs; days are written 2026-03-01."""
    types, order = _hints(method)
    folded = _folded(types, order)
    members = _members(types[folded]) if folded else {}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for argument in typed:
        pair = re.match(r"([a-z_]+)=", argument)
        if pair and pair[1] in members:
            whole[pair[1]] = _value(pair[1], argument[pair.end() :], members[pair[1]])
        elif pair:
            named[pair[1]] = _value(pair[1], argument[pair.end() :], types.get(pair[1], Any))
        else:
            name = order[min(len(positional), len(order) - 1)] if order else ""
            positional.append(_value(name, argument, types.get(name, Any)))
    return [whole, *positional] if whole else positional, named


def _hints(method: Callable[..., Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the type of each argument by name, and the names in order; the last may be for all others."""
    types: dict[str, Any] = {}
    order = []
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            types |= get_type_hints(get_args(parameter.annotation)[0])
        elif parameter.name != "self":
            types[parameter.name] = parameter.annotation
            order += [] if parameter.kind is parameter.KEYWORD_ONLY else [parameter.name]
    return types, order


def _value(name: str, typed: str, expected: Any) -> Any:
    kinds = set(_kinds(expected))
    if date in kinds and str not in kinds:
        try:
            return date.fromisoformat(typed)
        except ValueError:
            raise typer.BadParameter(f"{typed} is not a day; write 2026-03-01", param_hint=name) from None
    try:
        value = jsonlib.loads(typed)
    except ValueError:
        return typed
    # A quoted text is used as it was typed.
    if not isinstance(value, str) and kinds & {"list" if isinstance(value, list) else type(value), Any}:
        return value
    if kinds & {str, "texts"}:
        return typed
    return [value] if "list" in kinds else value


def _kinds(expected: Any) -> Iterator[Any]:
    """Yield the types that an argument may have: `list` for several values, also `texts` if they are texts."""
    origin = get_origin(expected)
    if origin in (Union, UnionType):
        for each in get_args(expected):
            yield from _kinds(each)
    elif origin is Literal:
        yield from map(type, get_args(expected))
    elif origin in (Iterable, Sequence):
        yield "list"
        if {str, Path, File} & set(_kinds(get_args(expected)[0])):
            yield "texts"
    elif origin is Mapping or is_typeddict(expected):
        yield dict
    else:
        yield expected
