"""A cluster of real servers, whose primaries can be killed, and a store with Sentinels of its own."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from tests.support.processes import free_port, wait_until
from tests.support.stores import Server, await_replica, binary, untyped
from workers.store import embedded

#: The slots of a cluster, and how many in a row a primary has before it is the turn of the next one.
SLOTS, BLOCK = 16384, 256
#: Milliseconds after which the nodes call one of them lost, and the Sentinels theirs.
SILENCE = 2_000
SENTINEL = """\
port {port}
dir {folder}
logfile ""
sentinel monitor desk 127.0.0.1 {primary} 2
sentinel down-after-milliseconds desk {silence}
sentinel failover-timeout desk 3000
"""


class Cluster:
    """A cluster of primaries, each with a replica; what a ``Server`` can do, it does with all of them."""

    def __init__(self, primaries: int = 3, kind: str = "redis", *options: str, replicas: bool = True) -> None:
        self._count = primaries
        self.ports = [free_port() for _ in range(primaries * (1 + replicas))]
        self.servers = {port: Server(kind, *_options(port), *options) for port in self.ports}
        self.url = f"redis+cluster://{_hosts(self.ports[:2])}"

    @classmethod
    def with_tls(cls, folder: Path) -> "Cluster":
        """Make a cluster that clients and nodes reach only with TLS; its certificate is in the folder."""
        made, ports = cls(), []
        key, certificate = folder / "key", folder / "certificate"
        new = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=store -addext subjectAltName=IP:127.0.0.1"
        subprocess.run([*new.split(), "-keyout", key, "-out", certificate], capture_output=True, check=True)
        files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate)
        more = (*map(str, files), "--tls-auth-clients", "no", "--tls-cluster", "yes", "--tls-replication", "yes")
        for port in made.ports:
            ports.append(free_port())
            made.servers[port] = Server("redis", *_options(port), "--tls-port", str(ports[-1]), *more)
        made.url = f"rediss+cluster://{_hosts(ports[:2])}?ssl_ca_certs={certificate}"
        return made

    def start(self) -> None:
        """Start all servers, and join them to a cluster; return when it works."""
        for server in self.servers.values():
            server.start()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.servers[port].client()) for port in self.ports]
            for number, client in enumerate(clients[: self._count]):
                firsts = range(BLOCK * number, SLOTS, BLOCK * self._count)
                bounds = [bound for first in firsts for bound in (first, first + BLOCK - 1)]
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *bounds)
            for client, port in zip(clients[1:], self.ports[1:], strict=True):
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.ports[0], _bus(self.ports[0]))
                wait_until(lambda: self._knows(clients[0], port), "the nodes meet")  # noqa: B023
            for client, replica in zip(clients, clients[self._count :], strict=False):
                name = client.execute_command("CLUSTER", "MYID").decode()
                wait_until(lambda: name in _text(replica.execute_command("CLUSTER", "NODES")), "they know each other")  # noqa: B023
                replica.execute_command("CLUSTER", "REPLICATE", name)
            for client in clients:
                wait_until(lambda: self._works(client), "the cluster works", 60)  # noqa: B023
            for client in clients[: self._count]:
                wait_until(lambda: self._is_followed(client), "the replicas follow")  # noqa: B023

    def primary(self, key: str) -> Server:
        """Return the primary that has a key now."""
        return self.servers[self.port_of(key)]

    def port_of(self, key: str) -> int:
        """Return the port of the primary that has a key now, as any living node says."""
        slot = key_slot(key.encode())
        for server in self.servers.values():
            with contextlib.suppress(redis.ConnectionError), server.client() as client:
                for first, last, node, *_ in client.execute_command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return int(node[1])
        raise AssertionError("no node has the slot")

    def fail_over(self, key: str) -> Server:
        """Kill the primary that has a key; return the killed server when another one has taken its place."""
        before = self.port_of(key)
        killed = self.servers[before]
        killed.kill()
        wait_until(lambda: self.port_of(key) != before, "a replica takes over")
        return killed

    @contextlib.contextmanager
    def moving_slot(self, key: str) -> Iterator[None]:
        """Move the slot of a key to the next primary, key by key; the block runs while some of its keys are there."""
        slot, source = key_slot(key.encode()), self.port_of(key)
        target = next(port for port in self.ports[: self._count] if port != source)
        with self.servers[source].client() as old, self.servers[target].client() as new:
            name = {port: client.execute_command("CLUSTER", "MYID") for port, client in ((source, old), (target, new))}
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", name[source])
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", name[target])
            some = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 5)
            old.execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *some)
            yield
            while some := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                old.execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *some)
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name[target])
        wait_until(lambda: self.port_of(key) == target, "the nodes know who has the slot")

    def kill(self) -> None:
        """Kill all servers."""
        for server in self.servers.values():
            server.kill()

    def remove(self) -> None:
        """Kill everything and delete the data."""
        for server in self.servers.values():
            server.remove()

    @staticmethod
    def _knows(client: Any, port: int) -> bool:
        return f":{port}@" in _text(client.execute_command("CLUSTER", "NODES"))

    def _is_followed(self, client: Any) -> bool:
        state = client.info("replication")
        return len(self.ports) == self._count or state.get("slave0", {}).get("state") == "online"

    def _works(self, client: Any) -> bool:
        nodes = _text(client.execute_command("CLUSTER", "NODES"))
        return (
            untyped(client).cluster("INFO")["cluster_state"] == "ok"
            and nodes.count(" connected") == len(self.ports)
            and "handshake" not in nodes
            and nodes.count("slave") == len(self.ports) - self._count
        )


class SentinelStore:
    """A primary with a replica, and three Sentinels, which are asked where the primary is."""

    def __init__(self, kind: str = "redis") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="foxhooks-"))
        self.ports = (free_port(), free_port())
        self.servers = {
            port: Server(kind, "--port", str(port), "--repl-diskless-sync-delay", "0") for port in self.ports
        }
        self.sentinels = [free_port() for _ in range(3)]
        self._guardians: list[subprocess.Popen[bytes]] = []
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/desk/0"

    def start(self) -> None:
        """Start both servers and the Sentinels; return when these know each other and the replica."""
        first, second = self.ports
        self.servers[first].start()
        self.servers[second].start("--replicaof", "127.0.0.1", str(first))
        await_replica(self.servers[first].url)
        for port in self.sentinels:
            self._start_sentinel(port)
        wait_until(lambda: all(map(self._is_complete, self.sentinels)), "the Sentinels know everything")

    @property
    def primary(self) -> Server:
        """The server that the Sentinels call the primary."""
        return self.servers[self._named()]

    def fail_over(self) -> Server:
        """Kill the primary; return it when the Sentinels have promoted the replica."""
        before = self._named()
        self.servers[before].kill()
        wait_until(lambda: self._named() != before, "the Sentinels promote the replica")
        return self.servers[before]

    def follow(self, server: Server) -> None:
        """Start a killed server as the replica of the new primary."""
        server.start("--replicaof", "127.0.0.1", str(self._named()))

    def kill(self) -> None:
        """Kill both servers."""
        for server in self.servers.values():
            server.kill()

    def remove(self) -> None:
        """Kill everything and delete the data."""
        for guardian in self._guardians:
            guardian.communicate()
        for server in self.servers.values():
            server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_sentinel(self, port: int) -> None:
        folder = self.folder / str(port)
        folder.mkdir()
        settings = folder / "sentinel.conf"
        settings.write_text(SENTINEL.format(port=port, folder=folder, primary=self.ports[0], silence=SILENCE))
        command = (binary("redis"), str(settings), "--sentinel")
        self._guardians.append(
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", embedded.GUARDIAN, str(folder), "keep", *command],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        )
        embedded.wait_for(f"redis://127.0.0.1:{port}", folder / "log")

    def _is_complete(self, port: int) -> bool:
        with _sentinel(port) as sentinel:
            others = sentinel.execute_command("SENTINEL", "SENTINELS", "desk")
            return len(others) == len(self.sentinels) - 1 and bool(
                sentinel.execute_command("SENTINEL", "REPLICAS", "desk")
            )

    def _named(self) -> int:
        with _sentinel(self.sentinels[0]) as sentinel:
            return int(sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "desk")[1])


@contextlib.contextmanager
def _sentinel(port: int) -> Iterator[Any]:
    with redis.Redis(port=port) as client:
        yield untyped(client)


def _hosts(ports: Iterable[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def _options(port: int) -> tuple[str, ...]:
    """Return what makes a server a node of a cluster."""
    return (
        *("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(_bus(port))),
        *("--cluster-node-timeout", str(SILENCE), "--cluster-replica-validity-factor", "0"),
        *("--cluster-require-full-coverage", "no"),
        *("--repl-diskless-sync-delay", "0"),
    )


_buses: dict[int, int] = {}


def _bus(port: int) -> int:
    """Return the port on which a node talks to the others."""
    if port not in _buses:
        _buses[port] = free_port()
    return _buses[port]


def _text(answer: Any) -> str:
    """Return what CLUSTER NODES says: redis-py makes a dict of it."""
    if isinstance(answer, dict):
        return "\n".join(f"{name} {' '.join(map(str, each.values()))}" for name, each in answer.items())
    return answer.decode() if isinstance(answer, bytes) else str(answer)
