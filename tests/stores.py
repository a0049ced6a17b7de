"""Real stores for tests: Valkey from the package that ships it, and Debian's Redis."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from workers.testing import stores
from workers.testing.stores import flush, wait_for

__all__ = ["binary", "flush", "running", "wait_for"]


def binary(kind: str) -> str:
    """Path of the server `kind`, which is `valkey` or `redis`.

    Where redis-server is not installed the test is skipped; in CI that is an error.
    """
    if kind == "valkey":
        return stores.valkey()
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed, and in CI it has to be")
        pytest.skip("redis-server is not installed")
    return found


@contextlib.contextmanager
def running(kind: str, *options: str) -> Iterator[str]:
    """URL of a new, empty store that writes an append-only file; it ends with the block."""
    with stores.running(binary(kind), "--appendonly", "yes", "--appendfsync", "everysec", *options) as url:
        yield url
