"""Clients of the store. Every connection is made here, so that all of them treat a server in the same way.

After a failover, the address of the store may lead to another server while old connections stay open: with a name in
DNS, a virtual IP address, a Service in Kubernetes. So an answer that says that the server is the wrong one, or unfit to
work, counts as a lost connection: the client closes it and repeats the command on a new one. With Sentinels, each new
connection asks them for the primary; the client of a cluster asks its nodes.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import redis.asyncio
from redis._parsers import _AsyncHiredisParser, _HiredisParser
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.asyncio.connection import parse_url as parse_url_async
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import Connection, SSLConnection, parse_url
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.utils import str_if_bytes

from workers.settings.store_url import StoreAddress, split_address
from workers.store.cluster import AsyncClusterClient, ClusterClient
from workers.store.nodes import Node, Sentinels, Slots

#: Connections of a worker process for everything but scripts. A small Heroku store allows 20 in total.
POOL: Final = 1

#: Seconds for the answer to a call, and for a connection.
ANSWER_SECONDS: Final = 5.0

#: Seconds for a Sentinel, or a node of a cluster, to say where the primaries are.
LOOK_SECONDS: Final = 1.0

#: The first words of answers for which a connection is closed. redis-py does it for LOADING, NOAUTH and WRONGPASS.
#: Not among them: OOM and BUSY, because a new connection would lead to the same server.
UNFIT: Final = (
    "READONLY",  # a replica
    "UNBLOCKED",  # it became a replica while a command waited
    "MASTERDOWN",  # a replica without its primary
    "NOREPLICAS",  # a primary without its replicas: perhaps the one that was replaced
    "MISCONF",  # it cannot write to its disk
    "CLUSTERDOWN",
    "MOVED",  # another node of a cluster has the keys, for example the new primary
    "ASK",
    "DENIED",  # protected mode
)

#: The oldest versions with everything that foxhooks needs: Redis Functions since Redis 7.0, and Valkey since its first.
OLDEST: Final = {"Redis": (7, 0), "Valkey": (7, 2)}
NEWER: Final = "use Redis 7.0 or newer, or Valkey 7.2 or newer"


class UnfitServer(LostConnection):
    """The server cannot do our work, and another one may do it by now; ``status_code`` is the first word it said."""


class OldServer(LostConnection):
    """The server is too old; the text says which one it is."""


class ClosedAtOnce(LostConnection):
    """The server closes a new connection before it answers."""


class _Parser(_HiredisParser):
    EXCEPTION_CLASSES = _HiredisParser.EXCEPTION_CLASSES | dict.fromkeys(UNFIT, UnfitServer)


class _AsyncParser(_AsyncHiredisParser):
    EXCEPTION_CLASSES = _Parser.EXCEPTION_CLASSES


class Clustered(LostConnection):
    """The server is a node of a cluster, but the address does not say so."""


def connect(url: str, connections: int = POOL, give_up: float | None = None) -> redis.Redis:
    """Build a client with a bounded pool; nothing is sent before its first use.

    A call waits for a free connection. After a lost connection, or 5 s without an answer, it is repeated up to twice;
    scripts may run twice. With ``give_up``, a call that has no answer after these seconds fails and is not repeated.
    The client of a cluster has such a pool for each node.
    """
    address, seconds = split_address(url), give_up or ANSWER_SECONDS
    if address.kind == "cluster":
        make = partial(_client, address, connections, seconds, Retry(NoBackoff(), 0))
        return ClusterClient(Slots(address.hosts, partial(_ask, address)), make, address.hosts[0])
    repeated = (redis.ConnectionError,) if give_up else (redis.ConnectionError, redis.TimeoutError)
    return _client(address, connections, seconds, Retry(ExponentialBackoff(cap=0.5, base=0.05), 2, repeated))


def connect_async(
    url: str, *, connect_seconds: float, answer_seconds: float | None, decode_responses: bool = False
) -> redis.asyncio.Redis:
    """Build a client with one connection for an event loop, or one to each node of a cluster.

    After a lost connection it repeats a call once, at once.
    """
    address = split_address(url)
    options = {
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": connect_seconds,
        "decode_responses": decode_responses,
    }
    if address.kind == "cluster":
        make = partial(_async_client, address, options, redis.asyncio.retry.Retry(NoBackoff(), 0))
        return AsyncClusterClient(Slots(address.hosts, partial(_ask, address)), make, address.hosts[0])
    return _async_client(address, options, redis.asyncio.retry.Retry(NoBackoff(), 1))


def _client(
    address: StoreAddress, connections: int, seconds: float, retry: Retry, node: Node | None = None
) -> redis.Redis:
    """Build a client of a server, of the primary that Sentinels name, or of a node of a cluster."""
    pool = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
        **_target(address, node, parse_url, (_SentinelConnection, _SentinelSSLConnection)),
        max_connections=connections,
        timeout=2 * seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=retry,
        client_name="foxhooks",
        parser_class=_Parser,
        redis_connect_func=partial(_greet, address.kind),
    )
    return redis.Redis.from_pool(pool)


def _async_client(
    address: StoreAddress, options: Mapping[str, Any], retry: redis.asyncio.retry.Retry, node: Node | None = None
) -> redis.asyncio.Redis:
    pool = redis.asyncio.ConnectionPool(
        **_target(address, node, parse_url_async, (_AsyncSentinelConnection, _AsyncSentinelSSLConnection)),
        **options,
        max_connections=1,
        retry=retry,
        client_name="foxhooks-web",
        parser_class=_AsyncParser,
        redis_connect_func=partial(_greet_async, address.kind),
    )
    return redis.asyncio.Redis.from_pool(pool)


def _target(
    address: StoreAddress, node: Node | None, parse: Callable[[str], Any], sentinel: tuple[type, type]
) -> dict[str, Any]:
    """Return what a pool needs to know to connect to the right server."""
    options: dict[str, Any] = parse(address.url)
    if node is not None:
        options |= {"host": node[0], "port": node[1]}
    if address.kind == "sentinel":
        sentinels = Sentinels(address.hosts, address.name, partial(_ask, address))
        is_tls = "connection_class" in options
        options |= {"connection_class": sentinel[is_tls], "locate": sentinels.primary}
    return options


def _ask(address: StoreAddress, node: Node, command: Sequence[str]) -> Any:
    """Ask a Sentinel or a node of a cluster, on a connection of its own."""
    options: dict[str, Any] = parse_url(address.url)  # type: ignore[no-untyped-call]
    if address.kind == "sentinel":
        for name, value in zip(("username", "password"), address.login, strict=True):
            options[name] = value or None
        options.pop("db", None)
    pool = redis.ConnectionPool(
        **{**options, "host": node[0], "port": node[1]},
        socket_timeout=LOOK_SECONDS,
        socket_connect_timeout=LOOK_SECONDS,
        retry=Retry(NoBackoff(), 0),
        client_name="foxhooks",
    )
    with redis.Redis.from_pool(pool) as client:
        return cast(Any, client).execute_command(*command)


class _Located:
    """A connection that asks where the primary is whenever it connects."""

    def __init__(self, *, locate: Callable[[], Node], **options: Any) -> None:
        super().__init__(**options)
        self._locate = locate

    def _connect(self) -> Any:
        self.host, self.port = self._locate()
        return super()._connect()  # type: ignore[misc]


class _SentinelConnection(_Located, Connection):
    pass


class _SentinelSSLConnection(_Located, SSLConnection):
    pass


class _AsyncLocated:
    def __init__(self, *, locate: Callable[[], Node], **options: Any) -> None:
        super().__init__(**options)
        self._locate = locate

    async def _connect(self) -> None:
        self.host, self.port = await asyncio.to_thread(self._locate)
        await super()._connect()  # type: ignore[misc]


class _AsyncSentinelConnection(_AsyncLocated, AsyncConnection):
    pass


class _AsyncSentinelSSLConnection(_AsyncLocated, AsyncSSLConnection):
    pass


def check_version(name: str, version: str) -> None:
    """Raise ``OldServer`` if a server, Redis or Valkey, is too old; one that hides its version passes."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST[name]:
        raise OldServer(f"{name} {version}")


def _greet(kind: str, connection: Any) -> None:
    """Log in and choose the database, as redis-py does, and refuse a server that cannot be the store."""
    try:
        connection.on_connect()
        connection.send_command("HELLO", 3)
        _check_greeting(kind, connection.read_response())
    except RedisError as error:
        _explain_greeting(error)
        raise


async def _greet_async(kind: str, connection: Any) -> None:
    try:
        await connection.on_connect()
        await connection.send_command("HELLO", 3)
        _check_greeting(kind, await connection.read_response())
    except RedisError as error:
        _explain_greeting(error)
        raise


def _explain_greeting(error: RedisError) -> None:
    """Raise a more exact error for what only happens when a connection begins."""
    if isinstance(error, ResponseError) and "unknown command" in str(error):  # HELLO, known since Redis 6.0
        raise OldServer("Redis older than 6.0") from error
    if type(error) is LostConnection and error.status_code is None:
        raise ClosedAtOnce("the server closed a new connection") from error


def _check_greeting(kind: str, answer: Mapping[Any, Any]) -> None:
    """Check what a server says of itself; ``kind`` is the kind of our address."""
    said = {str_if_bytes(key): str_if_bytes(value) for key, value in answer.items()}
    check_version("Valkey" if said.get("server") == "valkey" else "Redis", str(said.get("version", "")))
    if kind == "server" and said.get("mode") == "cluster":
        raise Clustered("the server is a node of a cluster")
    if kind != "server" and said.get("role") in ("replica", "slave"):
        raise UnfitServer("READONLY the server is a replica", status_code="READONLY")
