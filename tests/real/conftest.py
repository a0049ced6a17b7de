"""Fixtures of the tests with real processes: a store that can be killed, and deployments around it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.fleet import Fleet, deployed
from tests.service.receiver import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A store that syncs every write to its disk and can be killed."""
    store = Server()
    store.start()
    try:
        yield store
    finally:
        store.kill()
        shutil.rmtree(store.folder, ignore_errors=True)


@pytest.fixture
def deploy(tmp_path: Path, server: Server) -> Iterator[Callable[..., Fleet]]:
    """Makes a deployment: ``deploy(plugin, gets=30)``; it ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda plugin, **options: stack.enter_context(deployed(tmp_path, server, plugin, **options))
