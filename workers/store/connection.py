"""Clients of the store. Every connection is made here, so that all of them treat a server in the same way.

After a failover, the address of the store may lead to another server while old connections stay open: with a name in
DNS, a virtual IP address, a Service in Kubernetes. So an answer that says that the server is the wrong one, or unfit to
work, counts as a lost connection: the client closes it and repeats the command on a new one.
"""

from collections.abc import Mapping
from typing import Any, Final

import redis.asyncio
from redis._parsers import _AsyncHiredisParser, _HiredisParser
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.utils import str_if_bytes

#: Connections of a worker process for everything but scripts. A small Heroku store allows 20 in total.
POOL: Final = 1

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


def connect(url: str, connections: int = POOL) -> redis.Redis:
    """Build a client with a bounded pool; nothing is sent before its first use.

    A call waits for a free connection. After a lost connection it is repeated up to twice; scripts may run twice.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=10,
        socket_timeout=5,
        socket_connect_timeout=5,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        client_name="foxhooks",
        parser_class=_Parser,
        redis_connect_func=_greet,
    )
    return redis.Redis.from_pool(pool)


def connect_async(
    url: str, *, connect_seconds: float, answer_seconds: float | None, decode_responses: bool = False
) -> redis.asyncio.Redis:
    """Build a client with one connection for an event loop. After a lost connection it repeats a call once, at once."""
    return redis.asyncio.Redis.from_url(
        url,
        max_connections=1,
        socket_timeout=answer_seconds,
        socket_connect_timeout=connect_seconds,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 1),
        client_name="foxhooks-web",
        decode_responses=decode_responses,
        parser_class=_AsyncParser,
        redis_connect_func=_greet_async,
    )


def check_version(name: str, version: str) -> None:
    """Raise ``OldServer`` if a server, Redis or Valkey, is too old; one that hides its version passes."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST[name]:
        raise OldServer(f"{name} {version}")


def _greet(connection: Any) -> None:
    """Log in and choose the database, as redis-py does, and refuse an old server."""
    try:
        connection.on_connect()
        connection.send_command("HELLO", 3)
        _check_greeting(connection.read_response())
    except RedisError as error:
        _explain_greeting(error)
        raise


async def _greet_async(connection: Any) -> None:
    try:
        await connection.on_connect()
        await connection.send_command("HELLO", 3)
        _check_greeting(await connection.read_response())
    except RedisError as error:
        _explain_greeting(error)
        raise


def _explain_greeting(error: RedisError) -> None:
    """Raise a more exact error for what only happens when a connection begins."""
    if isinstance(error, ResponseError) and "unknown command" in str(error):  # HELLO, known since Redis 6.0
        raise OldServer("Redis older than 6.0") from error
    if type(error) is LostConnection and error.status_code is None:
        raise ClosedAtOnce("the server closed a new connection") from error


def _check_greeting(answer: Mapping[Any, Any]) -> None:
    """Check what a server says of itself."""
    said = {str_if_bytes(key): str_if_bytes(value) for key, value in answer.items()}
    check_version("Valkey" if said.get("server") == "valkey" else "Redis", str(said.get("version", "")))
