"""A store with a replica: two servers, a real Sentinel, and one address for clients, which follows the primary.

Everybody else reaches a server through its relay: its replica, and the Sentinel. So a test can hold back what the
primary sends to its replica. Clients connect to one more relay, which leads to the server that the Sentinel calls the
primary, as a virtual IP address or a Service in Kubernetes does.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support.processes import free_port, wait_until
from tests.support.relays import Network, Relay
from tests.support.stores import Server, await_replica, binary, untyped
from workers.store import embedded

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
        self._network = Network()

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
        self._network = Network()

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

    def switch_over(self) -> None:
        """Make the replica the primary without a loss, and leave clients' connections to the demoted server open.

        New connections lead to the new primary. A Sentinel would close the old ones; a managed service, a virtual IP
        address or a Service in Kubernetes may not.
        """
        with self._ask() as sentinel:
            sentinel.execute_command("SENTINEL", "REMOVE", NAME)
            with self.primary.client() as primary:
                port = self._relays[1 - self._primary].port
                primary.execute_command("FAILOVER", "TO", "127.0.0.1", port, "TIMEOUT", 10_000)
                wait_until(lambda: primary.info("replication")["role"] == "slave", "the primary is demoted", 30)
            self._primary = 1 - self._primary
            self._address.target = self._ports[self._primary]
            sentinel.execute_command("SENTINEL", "MONITOR", NAME, "127.0.0.1", port, 1)
            sentinel.execute_command("SENTINEL", "SET", NAME, "down-after-milliseconds", NEVER)
            sentinel.execute_command("SENTINEL", "SET", NAME, "failover-timeout", 3000)

    def clients_of_replica(self) -> set[int]:
        """Return the connections on which a client has sent a command to the replica within the last two seconds."""
        with self.replica.client() as replica:
            listed = replica.client_list(_type="normal")
        clients = [each for each in listed if each["name"].startswith("foxhooks")]
        return {int(each["id"]) for each in clients if int(each["idle"]) < 2}

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
