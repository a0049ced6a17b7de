"""Fixtures of the tests of the doors."""

import contextlib
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.service.receiver import Server


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Makes stores, not started yet, that can be killed: `server("redis", "--appendonly", "no")`."""
    with contextlib.ExitStack() as stack:

        def make(kind: str = "valkey", *options: str) -> Server:
            made = Server(kind, *options)
            stack.callback(shutil.rmtree, made.folder, ignore_errors=True)
            stack.callback(made.kill)
            return made

        yield make
