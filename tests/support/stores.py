"""Real stores for tests: Valkey from the package that ships it, and Debian's Redis."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.demo import free_ports
from tests.support.processes import wait_until
from workers.store import embedded

__all__ = ["Server", "await_replica", "binary", "cluster", "copy", "flush", "pair", "put_back", "running", "untyped"]

#: The folder of the append-only file.
DATA = "appendonlydir"


def binary(kind: str) -> str:
    """Return the path of the server `kind`, which is `valkey` or `redis`.

    Where redis-server is not installed the test is skipped; in CI that is an error.
    """
    if kind == "valkey":
        return embedded.valkey()
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed; CI needs it")
        pytest.skip("redis-server is not installed")
    return found


def untyped(client: redis.Redis) -> Any:
    """Return the client without types: redis-py types every answer as `bytes | str`, whatever the client decodes."""
    return client


@contextlib.contextmanager
def running(kind: str, *options: str) -> Iterator[str]:
    """Run a new, empty store that writes an append-only file until the block ends; yield its URL."""
    with embedded.running(binary(kind), "--appendonly", "yes", "--appendfsync", "everysec", *options) as url:
        yield url


@contextlib.contextmanager
def cluster(kind: str = "redis") -> Iterator[str]:
    """Run a cluster of one empty node until the block ends; yield its URL.

    Like a large cluster, it refuses a function that uses keys of two slots.
    """
    port, bus = free_ports(2)
    options = ("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus))
    with embedded.running(binary(kind), *options) as url, redis.Redis.from_url(url) as client:
        untyped(client).execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: untyped(client).cluster("INFO")["cluster_state"] == "ok", "the cluster works")
        yield f"redis://127.0.0.1:{port}"


def flush(url: str) -> None:
    """Empty a store."""
    with redis.Redis.from_url(url) as client:
        client.flushall()


def pair(make: Callable[..., "Server"]) -> tuple["Server", "Server"]:
    """Make a store and a replica of it, not started yet."""
    [port] = free_ports(1)
    return make("valkey", "--port", str(port), "--repl-diskless-sync-delay", "0"), make(
        "valkey", "--replicaof", f"127.0.0.1 {port}"
    )


def await_replica(url: str) -> None:
    """Wait until a replica confirms writes."""
    with redis.Redis.from_url(url) as client:
        for _ in range(60):
            client.set("probe", 1)
            if client.wait(1, 1_000):
                return
    raise TimeoutError("no replica has confirmed a write")


def copy(client: redis.Redis) -> dict[bytes, bytes]:
    """Copy everything in a store; keys with a lifetime are kept forever."""
    return {key: untyped(client).dump(key) for key in untyped(client).keys()}  # noqa: SIM118 - not a dict


def put_back(client: redis.Redis, copied: dict[bytes, bytes]) -> None:
    """Replace everything in a store by a copy, as if it had been restored on a server that is started with it."""
    client.flushdb()
    for key, value in copied.items():
        client.restore(key, 0, value)
        if key.endswith(b":memory"):
            client.hset(key.decode(), "server", "the server that was copied")


class Server:
    """A store that syncs every write. It can be killed, frozen and started again; its data and socket stay."""

    def __init__(self, kind: str = "valkey", *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
        self.url = f"unix://{self.folder}/socket"
        self._server = binary(kind)
        self._options = ("--appendonly", "yes", "--appendfsync", "always", *options)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._frozen = 0

    def start(self, *options: str) -> None:
        """Start it, with further options for this time, and return when it answers."""
        self._guardian = embedded.start(self._server, self.folder, *self._options, *options, keep=True)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._guardian is not None:
            self._guardian.communicate()
            self._guardian = None
            self._frozen = 0

    def freeze(self) -> None:
        """Stop it (SIGSTOP): its connections stay open, and it does not answer."""
        with self.client() as client:
            self._frozen = int(client.info("server")["process_id"])
        os.kill(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._frozen, signal.SIGCONT)
        self._frozen = 0

    def copy(self) -> Path:
        """Return a copy of its data as of one moment, as a snapshot of its disk has it."""
        kept = Path(tempfile.mkdtemp(prefix="copy-", dir=self.folder))
        self.freeze()
        try:
            shutil.copytree(self.folder / DATA, kept / DATA)
        finally:
            self.thaw()
        return kept

    def put_back(self, copy: Path) -> None:
        """Replace its data by an earlier copy, while it does not run."""
        shutil.rmtree(self.folder / DATA)
        shutil.move(copy / DATA, self.folder / DATA)

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """Open a client of its own for the block, whatever stands between it and other clients."""
        with redis.Redis.from_url(self.url) as client:
            yield untyped(client)

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
