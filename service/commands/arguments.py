"""What is typed behind `foxhooks api METHOD`, read as the method takes it: text where text is wanted, else JSON."""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import typer

from workers.happyfox.messages import File


def read(method: Callable[..., Any], typed: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Reads values, in the method's order, and NAME=VALUE pairs; days are written 2026-03-01."""
    hints, order = _hints(method)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for argument in typed:
        pair = re.match(r"([a-z_]+)=", argument)
        if pair:
            named[pair[1]] = _value(pair[1], argument[pair.end() :], hints.get(pair[1], Any))
        else:
            name = order[min(len(positional), len(order) - 1)] if order else ""
            positional.append(_value(name, argument, hints.get(name, Any)))
    return positional, named


def _hints(method: Callable[..., Any]) -> tuple[dict[str, Any], list[str]]:
    """Gives the type of each argument by its name, and the names in their order; the last may be for all others."""
    hints: dict[str, Any] = {}
    order = []
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            hints |= get_type_hints(get_args(parameter.annotation)[0])
        elif parameter.name != "self":
            hints[parameter.name] = parameter.annotation
            order += [] if parameter.kind is parameter.KEYWORD_ONLY else [parameter.name]
    return hints, order


def _value(name: str, typed: str, hint: Any) -> Any:
    kinds = set(_kinds(hint))
    if date in kinds and str not in kinds:
        try:
            return date.fromisoformat(typed)
        except ValueError:
            raise typer.BadParameter(f"{typed} is no day; write 2026-03-01", param_hint=name) from None
    try:
        value = json.loads(typed)
    except ValueError:
        return typed
    if kinds & _json_kinds(value):
        return value
    if kinds & {str, "texts"}:
        return typed
    return [value] if "list" in kinds else value


def _kinds(hint: Any) -> Iterator[Any]:
    """Gives what an argument may be, of a union each: a type; `list` for what takes several, `texts` if of texts."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for each in get_args(hint):
            yield from _kinds(each)
    elif origin is Literal:
        yield from map(type, get_args(hint))
    elif origin in (Iterable, Sequence):
        yield "list"
        if {str, Path, File} & set(_kinds(get_args(hint)[0])):
            yield "texts"
    elif origin is Mapping or is_typeddict(hint):
        yield dict
    else:
        yield hint


def _json_kinds(value: Any) -> set[Any]:
    """Gives what a JSON value fits; a text in quotation marks fits nothing here: it is taken as it was typed."""
    if isinstance(value, list):
        return {"list", Any}
    return set() if isinstance(value, str) else {type(value), Any}
