"""The store, and the one place where its functions are run."""

import contextlib
import weakref
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import hiredis
import redis

from workers.errors import NotReplicated
from workers.store import scripts
from workers.store.cluster import at_home, is_cluster
from workers.store.connection import connect
from workers.store.failures import known_failure, unavailable
from workers.store.keys import WAKE, WORKER_LIFE, prefix
from workers.store.scripts import Command, Script, is_missing, loading

__all__ = ["MOST_SCRIPT_CONNECTIONS", "SOCKET", "Store", "command_for", "connect", "store_time", "url_of", "wake"]

T = TypeVar("T")

_Connections = dict[Any, "SimpleQueue[redis.Connection | None]"]
"""The connections of a store, by the pool of the node that they lead to."""

#: Name of the embedded store's socket inside FOXHOOKS_DATA.
SOCKET = "store.sock"

#: Connections for scripts, unless a process asks for more. A small Heroku store allows 20 in total.
SCRIPT_CONNECTIONS = 3

#: The most that a worker process has. Threads that wait for each other's connections take half as many turns, because
#: every connection that is put back wakes a thread.
MOST_SCRIPT_CONNECTIONS = 8

#: How long (ms) a replica may take to confirm a write.
REPLICA_MS = 2000


def url_of(redis_url: str | None, data: Path) -> str:
    """Return the address of the store: ``REDIS_URL``, else the embedded store's socket in ``data``."""
    return redis_url or f"unix://{(data / SOCKET).absolute()}"


def store_time(client: redis.Redis) -> int:
    """Return the store's time (ms), the clock that all stored times refer to; of a cluster, that of one node."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def wake(client: redis.Redis) -> None:
    """Wake an idle worker because a lane is due; a lost wake-up costs one poll."""
    client.lpush(WAKE, 1)
    client.ltrim(WAKE, 0, 0)


class Store:
    """Run scripts on a client, at the time of ``clock`` (ms) if it is given, else at the store's own time.

    With ``replicated``, the scripts that mark the begin of a call wait until a replica has confirmed their writes, in
    the same round trip; they raise ``NotReplicated`` if none does.

    A store has up to this many ``connections`` of its own to each node, configured like the client's, because getting
    one from the pool costs more than a script. As a context manager it closes them, but not the client.
    """

    def __init__(
        self,
        client: "redis.Redis",
        clock: Callable[[], int] | None = None,
        *,
        replicated: bool = False,
        connections: int = SCRIPT_CONNECTIONS,
    ) -> None:
        self.client, self._replicated, self._most = client, replicated, connections
        self._clock = clock
        self._connections: _Connections = {}
        # A store that was not closed closes its connections when it is collected, to avoid a ResourceWarning.
        weakref.finalize(self, _close_all, self._connections)

    @property
    def is_cluster(self) -> bool:
        """Whether accounts may be on several nodes, of which one can fail alone."""
        return is_cluster(self.client)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use; a later script opens a new one."""
        _close_all(self._connections)

    def run(self, script: Script[T]) -> T:
        """Run a script and return its answer; raise ``StoreUnavailable`` if the store cannot run it now."""
        command = command_for(script, b"" if self._clock is None else self._clock())
        waits = self._replicated and script.before_call
        try:
            raw, confirmed = at_home(self.client, prefix(script.account), lambda node: self._run(node, command, waits))
        except redis.RedisError as error:
            raise _error_of(script.name, error) from error
        if not confirmed:
            raise NotReplicated(script.read(raw))
        return script.read(raw)

    def _run(self, node: redis.Redis, command: Command, waits: bool) -> tuple[Any, bool]:
        """Run a function on a node, which may lack the library."""
        try:
            return self._send(node, command, waits=waits)
        except redis.exceptions.ResponseError as error:
            if not is_missing(error):
                raise
            self._load(node)
            return self._send(node, command, waits=waits)

    def _load(self, node: redis.Redis) -> None:
        """Load the library into a node and delete old versions of it."""
        steps, answer = loading(), None
        with contextlib.suppress(StopIteration):
            while True:
                command = steps.send(answer)
                try:
                    answer, _ = self._send(node, command)
                except redis.exceptions.ResponseError as error:
                    answer = error

    def _send(self, node: redis.Redis, command: Command, *, waits: bool = False) -> tuple[Any, bool]:
        """Send a command; repeat it after a lost connection, as the client would.

        Return its answer and, if it ``waits`` for a replica, whether one has confirmed its writes.
        """
        pool = node.connection_pool
        connections = self._connections.get(pool) or self._connections.setdefault(pool, _unopened(self._most))
        connection = connections.get()
        try:
            if connection is None:
                connection = pool.connection_class(**pool.connection_kwargs)
            return connection.retry.call_with_retry(
                lambda: _exchange(connection, command, waits=waits), lambda _: _disconnect(connection)
            )
        finally:
            connections.put(connection)

    def beat(self, key: str, worker: str) -> None:
        """Store a worker's heartbeat at the store's own time, and delete those of workers that are long dead."""
        try:
            now = store_time(self.client)
            self.client.hset(key, worker, now)
            dead = [name for name, at in self.client.hgetall(key).items() if int(at) < now - WORKER_LIFE * 20]
            if dead:
                self.client.hdel(key, *dead)
        except redis.RedisError as error:
            raise unavailable(error) from error


def command_for(script: Script[Any], now: bytes | int = b"") -> Command:
    """Return the command that runs a script at the store's own time, or at ``now`` (ms) in tests."""
    return ("FCALL", f"foxhooks_{script.name}_{scripts.library().digest}", 1, prefix(script.account), now, *script.args)


def _exchange(connection: redis.Connection, command: Command, *, waits: bool) -> tuple[Any, bool]:
    # redis-py checks every argument before hiredis packs them, which costs up to a tenth of a turn.
    commands = [command, ("WAIT", 1, REPLICA_MS)] if waits else [command]
    connection.send_packed_command([*map(hiredis.pack_command, commands)])  # type: ignore[arg-type, no-untyped-call]
    if not waits:
        return connection.read_response(), True
    try:
        answer = connection.read_response()
    except redis.exceptions.ResponseError:
        connection.read_response()
        raise
    return answer, connection.read_response() >= 1


def _disconnect(connection: redis.Connection) -> None:
    connection.disconnect()  # type: ignore[no-untyped-call]


def _unopened(most: int) -> "SimpleQueue[redis.Connection | None]":
    """Return the connections to a node, none of which is open."""
    connections: SimpleQueue[redis.Connection | None] = SimpleQueue()
    for _ in range(most):
        connections.put(None)
    return connections


def _close_all(connections: _Connections) -> None:
    for queue in list(connections.values()):
        for _ in range(queue.qsize()):
            with contextlib.suppress(Empty):
                if (connection := queue.get_nowait()) is not None:
                    _disconnect(connection)
                queue.put(None)


def _error_of(name: str, error: redis.RedisError) -> Exception:
    """Return ``StoreUnavailable``, or an error of the function itself, whose text only quotes our own Lua code."""
    if isinstance(error, redis.exceptions.ResponseError) and known_failure(error) is None:
        return RuntimeError(f"the function {name} failed in the store: {error}")
    return unavailable(error)
