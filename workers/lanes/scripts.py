"""Lua scripts as values: what to run, on which keys, with which arguments, and how to read the answer.

A script's text lies in ``lua/<name>.lua``. A line ``-- include: lib/<name>`` stands for that file's text, each at most
once; inside a function it costs nothing until that is called. Every script takes the account's key prefix as
``KEYS[1]`` and the time as ``ARGV[1]``: empty for the store's own clock, milliseconds in tests. Scripts survive being
run twice with the same arguments, because redis-py repeats a call whose answer was lost.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")

INCLUDE = "-- include: "


@dataclass(frozen=True, slots=True)
class Script(Generic[T]):
    """One run of a script: ``read`` turns the store's raw answer into a ``T``."""

    name: str
    prefix: str
    args: Sequence[bytes | str | int]
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a script and the digest the store knows it by."""

    text: str
    sha: str


@cache
def source(name: str) -> Source:
    """Reads a script's text from the package, its includes resolved."""
    text = "\n".join(_lines(name, set()))
    return Source(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _lines(name: str, seen: set[str]) -> list[str]:
    lines: list[str] = []
    for line in files("workers.lanes").joinpath(f"lua/{name}.lua").read_text("utf-8").splitlines():
        if not line.lstrip().startswith(INCLUDE):
            lines.append(line)
        elif (included := line.strip().removeprefix(INCLUDE)) not in seen:
            seen.add(included)
            lines += _lines(included, seen)
    return lines
