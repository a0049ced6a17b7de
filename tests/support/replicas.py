"""A store with a replica: two servers, a real Sentinel, and one address for clients, which follows the primary.

Everybody else reaches a server through its relay: its replica, and the Sentinel. So a test can hold back what the
primary sends to its replica. Clients connect to one more relay, which leads to the server that the Sentinel calls the
primary, as a virtual IP address or a Service in Kubernetes does.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import redis

from tests.support.processes import free_port, wait_until
from tests.support.stores import Server, await_replica, binary, untyped
from workers.store import embedded

T = TypeVar("T")

NAME = "foxhooks"
#: The milliseconds after which the Sentinel fails over: never while a test only kills or freezes, soon when it asks.
NEVER, SOON = 3_600_000, 300
SENTINEL = """\
port {port}
dir {folder}
logfile ""
sentinel monitor {name} 127.0.0.1 {primary} 1
sentinel down-after-milliseconds {name} {never}
sentinel failover-timeout {name} 3000
"""


class Relay:
    """An address of this machine that leads to another one."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        """The port to which new connections lead."""
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Link(self), "127.0.0.1", self.port)

    async def hold(self) -> None:
        """Hold back what the server sends to its replicas from now on, until the connections are closed."""
        for link in self._links:
            if link.replicates and link.far is not None:
                link.far.pause_reading()

    async def turn_to(self, target: int) -> None:
        """Lead to another port, and close the connections to the old one."""
        self.target = target
        await self.drop()

    async def drop(self) -> None:
        """Close all connections, with what is still on its way."""
        for link in list(self._links):
            link.close()

    async def shut(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            self._server.close()
        await self.drop()


class _Link(asyncio.Protocol):
    """One connection through a relay; ``near`` is the client's side, ``far`` the server's."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.near: asyncio.Transport | None = None
        self.far: asyncio.Transport | None = None
        self.replicates = False
        """Whether a replica reads the server's writes here."""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.near = transport
        transport.pause_reading()
        self.relay._links.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Far(self), "127.0.0.1", self.relay.target)
        except OSError:
            self.close()
        else:
            if self.near is not None:
                self.near.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.replicates = self.replicates or b"PSYNC" in data
        if self.far is not None:
            self.far.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Close both sides."""
        self.relay._links.discard(self)
        for transport in (self.near, self.far):
            if transport is not None:
                transport.abort()


class _Far(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.far = transport
        if self._link not in self._link.relay._links:  # closed in the meantime
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._link.near is not None:
            self._link.near.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.close()


class _Network:
    """The thread in which relays run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays")
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work in that thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class FailoverPair:
    """A primary, its replica, and one address, whose open connections stay where they are when it is turned.

    So it is with a name in DNS, a virtual IP address, and a Service in Kubernetes. ``primary`` is the server to which
    the address leads.
    """

    def __init__(self, kind: str = "valkey") -> None:
        self._ports = (free_port(), free_port())
        self.primary, self.replica = (
            Server(kind, "--port", str(port), "--repl-diskless-sync-delay", "0") for port in self._ports
        )
        self._address = Relay(self._ports[0])
        self.url = f"redis://127.0.0.1:{self._address.port}"
        self._network = _Network()

    def start(self) -> None:
        """Start both servers and the address, which leads to the primary."""
        self.primary.start()
        self.replica.start("--replicaof", "127.0.0.1", str(self._ports[0]))
        await_replica(self.primary.url)
        self._network.do(self._address.open())

    def switch(self) -> None:
        """Let the two change places without losing a write, and turn the address; return when that is done."""
        await_replica(self.primary.url)
        with self.primary.client() as old, self.replica.client() as new:
            old.execute_command("FAILOVER")
            wait_until(lambda: new.info("replication")["role"] == "master", "the replica takes over", 30)
            wait_until(lambda: old.info("replication")["role"] == "slave", "the primary follows it", 30)
        self._address.target = self._ports[1]
        self.primary, self.replica, self._ports = self.replica, self.primary, self._ports[::-1]

    def connections(self, server: Server) -> int:
        """Return how many of our clients are connected to a server."""
        with server.client() as client:
            return sum(each["name"].startswith("foxhooks") for each in client.client_list())

    def remove(self) -> None:
        """Kill everything and delete the data."""
        self._network.do(self._address.shut())
        self._network.close()
        self.primary.remove()
        self.replica.remove()


class ReplicatedStore:
    """A primary with a replica, which a Sentinel promotes. What a ``Server`` can do, it does with the primary."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
        self._ports = (free_port(), free_port())
        self._relays = tuple(map(Relay, self._ports))
        self._servers = tuple(
            Server(
                "redis",
                "--port",
                str(port),
                "--replica-announce-port",
                str(relay.port),
                "--repl-diskless-sync",
                "yes",
                "--repl-diskless-sync-delay",
                "0",
            )
            for port, relay in zip(self._ports, self._relays, strict=True)
        )
        self._address = Relay(self._ports[0])
        self.url = f"redis://127.0.0.1:{self._address.port}"
        self._primary = 0
        self._sentinel: subprocess.Popen[bytes] | None = None
        self._sentinel_port = free_port()
        self._network = _Network()

    @property
    def primary(self) -> Server:
        """The server that clients use."""
        return self._servers[self._primary]

    @property
    def replica(self) -> Server:
        """The other server."""
        return self._servers[1 - self._primary]

    def start(self) -> None:
        """Start everything, or only the primary after it was killed; return when the replica follows."""
        self.primary.start()
        if self._sentinel is None:
            for relay in (*self._relays, self._address):
                self._network.do(relay.open())
            self.replica.start(*self._follow())
            self._start_sentinel()
        self.wait_until_in_step()

    def kill(self) -> None:
        """Kill the primary; the Sentinel does nothing about it."""
        self.primary.kill()

    def freeze(self) -> None:
        """Stop the primary."""
        self.primary.freeze()

    def thaw(self) -> None:
        """Let the primary go on."""
        self.primary.thaw()

    def copy(self) -> Path:
        """Return a copy of the primary's data."""
        return self.primary.copy()

    def put_back(self, copy: Path) -> None:
        """Replace the primary's data by an earlier copy, while it does not run."""
        self.primary.put_back(copy)

    def lag(self) -> None:
        """Let the replica get nothing from now on, until the primary is killed."""
        self._network.do(self._relays[self._primary].hold())

    def fail_over(self) -> None:
        """Kill the primary, and return when clients reach the replica that the Sentinel has promoted."""
        with self._ask() as sentinel:
            sentinel.execute_command("SENTINEL", "SET", NAME, "down-after-milliseconds", SOON)
            self.primary.kill()
            # What the relay has held back is lost. Earlier, the replica would connect again and get it.
            self._network.do(self._relays[self._primary].drop())
            wait_until(lambda: self._named() != self._primary, "the Sentinel promotes the replica", 30)
            sentinel.execute_command("SENTINEL", "SET", NAME, "down-after-milliseconds", NEVER)
        self._primary = 1 - self._primary
        self._network.do(self._address.turn_to(self._ports[self._primary]))

    def recover(self) -> None:
        """Start the killed server as the replica of the new primary; return when it follows."""
        self.replica.start(*self._follow())
        self.wait_until_in_step()

    def wait_until_in_step(self) -> None:
        """Wait until the replica has what the primary has, and the Sentinel knows both."""
        wait_until(self._in_step, "the replica follows the primary", 30)

    def remove(self) -> None:
        """Kill everything and delete the data."""
        if self._sentinel is not None:
            self._sentinel.communicate()
        for server in self._servers:
            server.remove()
        for relay in (*self._relays, self._address):
            self._network.do(relay.shut())
        self._network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self) -> tuple[str, ...]:
        return ("--replicaof", "127.0.0.1", str(self._relays[self._primary].port))

    def _start_sentinel(self) -> None:
        settings = self.folder / "sentinel.conf"
        primary = self._relays[self._primary].port
        settings.write_text(
            SENTINEL.format(port=self._sentinel_port, folder=self.folder, name=NAME, primary=primary, never=NEVER)
        )
        command = (binary("redis"), str(settings), "--sentinel")
        self._sentinel = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", embedded.GUARDIAN, str(self.folder), "keep", *command],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        embedded.wait_for(f"redis://127.0.0.1:{self._sentinel_port}", self.folder / "log")

    @contextlib.contextmanager
    def _ask(self) -> Iterator[Any]:
        with redis.Redis(port=self._sentinel_port, decode_responses=True) as client:
            yield untyped(client)

    def _named(self) -> int:
        """Return the server that the Sentinel calls the primary."""
        with self._ask() as sentinel:
            port = int(sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])
        return [relay.port for relay in self._relays].index(port)

    def _in_step(self) -> bool:
        with self.primary.client() as primary, self.replica.client() as replica:
            ours, theirs = primary.info("replication"), replica.info("replication")
        follows = theirs["role"] == "slave" and theirs["master_link_status"] == "up"
        with self._ask() as sentinel:
            known = sentinel.execute_command("SENTINEL", "REPLICAS", NAME)
        return (
            follows
            and theirs["slave_repl_offset"] >= ours["master_repl_offset"]
            and self._named() == self._primary
            and len(known) == 1
        )
