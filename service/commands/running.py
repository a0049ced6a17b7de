"""Where a command finds the running system: in the store, or with `--at URL` at the address of a dashboard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.address import AT
from service.context import accounts_of, store_of
from service.reading.source import Source, StoreSource
from workers.settings import COMMAND_TOKEN

if TYPE_CHECKING:
    from service.reading.remote import RemoteSource


@contextmanager
def remote_source() -> "Iterator[RemoteSource | None]":
    """Yield the dashboard that `--at` names, None without it."""
    if not AT.get():
        yield None
        return
    from service.reading.remote import RemoteSource  # an HTTP client, which other commands do not need

    with RemoteSource(AT.get(), os.environ.get(COMMAND_TOKEN, "").strip()) as remote:
        yield remote


@contextmanager
def running_system() -> Iterator[Source]:
    """Yield what answers a command's questions."""
    with remote_source() as remote:
        if remote is not None:
            yield remote
            return
        accounts = accounts_of()
        with store_of(accounts.settings) as client:
            yield StoreSource(client, accounts)
