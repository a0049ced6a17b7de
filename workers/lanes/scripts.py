"""Lua scripts as values: what to run, on which keys, with which arguments, and how to read the answer.

A script's text lies in ``lua/<name>.lua``. A line ``-- include: lib/<name>`` stands for that file's text, once. If
it is indented, it belongs to its block and costs nothing until that is run: each call makes a script's functions anew.
Every script takes the account's key prefix as ``KEYS[1]`` and the time as ``ARGV[1]``: empty for the store's own clock,
milliseconds in tests. Scripts survive being run twice with the same arguments, because redis-py repeats a call whose
answer was lost.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

INCLUDE = "-- include: "

Args = list[bytes | str | int]
"""The arguments of a script, behind the time."""


class Script(msgspec.Struct, Generic[T], frozen=True, gc=False):
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


def _lines(name: str, known: set[str]) -> list[str]:
    lines: list[str] = []
    for line in files("workers.lanes").joinpath(f"lua/{name}.lua").read_text("utf-8").splitlines():
        text = line.lstrip()
        if not text.startswith(INCLUDE):
            lines.append(line)
        elif (included := text.removeprefix(INCLUDE).strip()) not in known:
            # What a block includes is known nowhere else.
            inside = known if line == text else set(known)
            inside.add(included)
            lines += _lines(included, inside)
    return lines
