"""Calls of store functions as values: the function, the account, the arguments, and how to read the answer.

All Lua code is one library of Redis functions (Redis 7.0 or newer, or Valkey), joined from the files in ``lua/``; see
``lua/header.lua``. The names of the library and its functions contain a digest of the code, so that two versions can
share a store during a deployment. The store keeps a library across restarts, failovers and FLUSHALL; a process that
finds it missing loads it.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from redis.exceptions import ResponseError

T = TypeVar("T")

#: The files of ``lua/`` in the order in which they build on each other.
MODULES = (
    "header",
    "figures",
    "schedule",
    "permits",
    "memory",
    "emails",
    "claims",
    "state",
    "turns",
    "clients",
    "settle",
    "inbox",
    "periodic",
    "records",
    "forget",
    "move",
    "access",
)

#: How many versions of the library a store keeps. When there are more, all but ours are deleted; a process that still
#: uses a deleted one loads it again.
VERSIONS = 4

Args = list[bytes | str | int]
"""The arguments of a function, after the time."""

Command = tuple[bytes | str | int, ...]


class Script(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One run of a function: ``read`` turns the store's raw answer into a ``T``."""

    name: str
    account: str
    args: Sequence[bytes | str | int]
    read: Callable[[Any], T]
    before_call: bool = False
    """Whether it marks that a call begins: at the level ``replica`` a replica must confirm it first, together with all
    that was written before, or a failover could forget the call."""


class Library(NamedTuple):
    """A library of functions; the digest is part of its name and of theirs."""

    name: str
    text: str
    digest: str


@cache
def library() -> Library:
    """Return this version's library."""
    return assemble(modules())


def modules() -> dict[str, str]:
    """Read the library's modules from the package."""
    folder = files("workers.store").joinpath("lua")
    return {name: folder.joinpath(f"{name}.lua").read_text("utf-8") for name in MODULES}


def assemble(texts: dict[str, str]) -> Library:
    """Join modules into a library: the header first, each other one as a block with its own local names."""
    header, *others = texts.values()
    code = "\n".join([header, *(f"do\n{module}\nend" for module in others)])
    digest = hashlib.sha1(code.encode(), usedforsecurity=False).hexdigest()[:10]
    name = f"foxhooks_{digest}"
    return Library(name, f"#!lua name={name}\nlocal DIGEST = '{digest}'\n{code}", digest)


class LibraryMissing(ResponseError):
    """The store does not have the library."""


def is_missing(answer: object) -> bool:
    """Return whether an answer is an error because the store does not have the library."""
    return isinstance(answer, ResponseError) and "Function not found" in str(answer)


def loading() -> Generator[Command, Any, None]:
    """Yield the commands that load the library and delete old versions; the caller sends back each answer or error."""
    ours = library()
    answer = yield ("FUNCTION", "LOAD", ours.text)
    if isinstance(answer, ResponseError) and "already exists" not in str(answer):
        raise answer
    found = yield ("FUNCTION", "LIST", "LIBRARYNAME", "foxhooks_*")
    if isinstance(found, ResponseError):
        return
    # A dict in RESP3; in RESP2 a list of names and values that begins with the library's name.
    names = [(each[b"library_name"] if isinstance(each, dict) else each[1]).decode() for each in found]
    if len(names) > VERSIONS:
        for name in names:
            if name != ours.name:
                yield ("FUNCTION", "DELETE", name)
