"""Clients of a cluster: each command goes to the node that has its key.

The keys of an account share one slot, and those of all accounts another, whose node is also asked what belongs to no
key, such as the time. If a node refuses a command or is lost, the client asks the cluster again, and then repeats it.

A command is never sent to the node that a slot is just moving to (``ASK``), because a function would find only part of
its account's keys there. It fails until the cluster has moved them all: functions name a key that never exists, so the
old node refuses them from the first moment on, before they change anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
from redis.asyncio.client import Pipeline as AsyncPipeline
from redis.backoff import ExponentialBackoff
from redis.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry
from redis.utils import str_if_bytes

from workers.store.keys import WAKE
from workers.store.nodes import Node, Slots

T = TypeVar("T")

_Queued = tuple[Sequence[Any], Mapping[str, Any]]
"""A command that waits in a pipeline, and how its answer is read."""

#: Commands that belong to no key, by their first word.
KEYLESS: Final = frozenset(
    {
        *("ACL", "AUTH", "BGREWRITEAOF", "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "FLUSHDB"),
        *("FUNCTION", "INFO", "LASTSAVE", "PING", "SCAN", "SCRIPT", "SELECT", "TIME", "WAIT", "WAITAOF"),
    }
)

#: Commands whose keys follow their number, and those whose keys follow the word STREAMS.
_NUMBERED: Final = frozenset({"EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"})
_STREAMS: Final = frozenset({"XREAD", "XREADGROUP"})

#: How often a command is tried at most, with a new look at the cluster in between.
_TRIES: Final = 3

#: How long (s) nothing is sent to a node that has not answered in time. Each command to it would take seconds, and the
#: thread that renews leases would be late for the accounts on other nodes.
SILENT_SECONDS: Final = 10.0


def key_of(command: Sequence[Any]) -> str | bytes:
    """Return the first key of a command, and ``WAKE`` if it has none."""
    name = str_if_bytes(command[0]).partition(" ")[0].upper()
    if name in _NUMBERED:
        at = 3 if int(command[2]) else 0
    elif name in _STREAMS:
        at = [str(word).upper() for word in command].index("STREAMS") + 1
    else:
        at = 0 if name in KEYLESS else 1
    key: str | bytes = command[at] if 0 < at < len(command) else WAKE
    return key


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key."""
    return key_slot(key.encode() if isinstance(key, str) else key)


class ClusterClient(redis.Redis):
    """A client that sends each command to the node that has its key."""

    def __init__(self, slots: Slots, make: Callable[[Node], redis.Redis], seed: Node) -> None:
        self._slots, self._make = slots, make
        self._nodes: dict[Node, redis.Redis] = {}
        self._silent: dict[Node, float] = {}
        self._retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), _TRIES - 1)
        super().__init__(connection_pool=self._node(seed).connection_pool)

    def at(self, key: str | bytes, action: Callable[[redis.Redis], T]) -> T:
        """Do something with the client of the node that has a key; again if the node refuses it or is lost."""
        return self._retry.call_with_retry(
            lambda: self._on(self._slots.node(slot_of(key)), action), lambda _: self._look_again()
        )

    def nodes(self) -> list[redis.Redis]:
        """Return a client of each primary."""
        return [self._node(node) for node in self._slots.primaries()]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node that has its key."""
        return self.at(key_of(args), lambda node: _untyped(node).execute_command(*args, **options))

    def scan_iter(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Yield the keys of all nodes."""
        for node in self.nodes():
            yield from node.scan_iter(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline, whose commands go to the nodes that have their keys."""
        return _ClusterPipeline(self, transaction, shard_hint)

    def close(self) -> None:
        """Close all connections."""
        for node in self._nodes.values():
            node.close()

    def _on(self, node: Node, action: Callable[[redis.Redis], T]) -> T:
        if self._silent.get(node, 0.0) > time.monotonic():
            raise NoAnswer("the node did not answer a moment ago")
        try:
            return action(self._node(node))
        except NoAnswer:
            self._silent[node] = time.monotonic() + SILENT_SECONDS
            raise

    def _node(self, node: Node) -> redis.Redis:
        if node not in self._nodes:
            self._nodes.setdefault(node, self._make(node))
        return self._nodes[node]

    def _look_again(self) -> None:
        with suppress(RedisError):  # the error that led here says more
            self._slots.read()


class _ClusterPipeline(Pipeline):
    """Commands for several nodes, in one trip for each slot."""

    def __init__(self, client: ClusterClient, transaction: bool, hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, hint)
        self._client, self._in_one_step = client, transaction

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands, and return the answers in their order."""
        commands, answers = self.command_stack, [None] * len(self.command_stack)
        try:
            for positions in _by_slot(commands, single=self._in_one_step):
                chosen = [commands[n] for n in positions]

                def send(node: Any, chosen: Sequence[_Queued] = chosen) -> list[Any]:
                    with node.pipeline(transaction=self._in_one_step) as batch:
                        for args, options in chosen:
                            batch.execute_command(*args, **options)
                        return list(batch.execute(raise_on_error))

                for n, answer in zip(positions, self._client.at(key_of(chosen[0][0]), send), strict=True):
                    answers[n] = answer
            return answers
        finally:
            self.reset()


def _by_slot(commands: Sequence[_Queued], *, single: bool) -> list[list[int]]:
    """Return the positions of the commands for each slot; a transaction has only one."""
    slots: dict[int, list[int]] = {}
    for n, (args, _) in enumerate(commands):
        slots.setdefault(slot_of(key_of(args)), []).append(n)
    if single and len(slots) > 1:
        raise RedisError("a transaction of a cluster uses keys of one slot")
    return list(slots.values())


class AsyncClusterClient(redis.asyncio.Redis):
    """The same for an event loop."""

    def __init__(self, slots: Slots, make: Callable[[Node], redis.asyncio.Redis], seed: Node) -> None:
        self._slots, self._make = slots, make
        self._nodes: dict[Node, redis.asyncio.Redis] = {}
        super().__init__(connection_pool=self._node(seed).connection_pool)

    async def home(self, key: str | bytes) -> redis.asyncio.Redis:
        """Return the client of the node that has a key."""
        if not self._slots.known:
            await asyncio.to_thread(self._slots.read)
        return self._node(self._slots.node(slot_of(key)))

    async def look_again(self) -> None:
        """Ask the cluster which node has which slot."""
        with suppress(RedisError):
            await asyncio.to_thread(self._slots.read)

    async def at(self, key: str | bytes, action: Callable[[redis.asyncio.Redis], Awaitable[T]]) -> T:
        """Do something with the client of the node that has a key; once more if the node refuses it or is lost."""
        try:
            return await action(await self.home(key))
        except (LostConnection, NoAnswer):
            await self.look_again()
            return await action(await self.home(key))

    async def nodes(self) -> list[redis.asyncio.Redis]:
        """Return a client of each primary."""
        if not self._slots.known:
            await asyncio.to_thread(self._slots.read)
        return [self._node(node) for node in self._slots.primaries()]

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node that has its key."""
        return await self.at(key_of(args), lambda node: _untyped(node).execute_command(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncPipeline:
        """Return a pipeline, whose commands go to the nodes that have their keys."""
        return _AsyncClusterPipeline(self, transaction, shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        for node in self._nodes.values():
            await node.aclose(close_connection_pool)

    def _node(self, node: Node) -> redis.asyncio.Redis:
        if node not in self._nodes:
            self._nodes[node] = self._make(node)
        return self._nodes[node]


class _AsyncClusterPipeline(AsyncPipeline):
    def __init__(self, client: AsyncClusterClient, transaction: bool, hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands, and return the answers in their order."""
        commands, answers = self.command_stack, [None] * len(self.command_stack)
        try:
            for positions in _by_slot(commands, single=self.is_transaction):
                chosen = [commands[n] for n in positions]

                async def send(node: Any, chosen: Sequence[_Queued] = chosen) -> list[Any]:
                    async with node.pipeline(transaction=self.is_transaction) as batch:
                        for args, options in chosen:
                            batch.execute_command(*args, **options)
                        return list(await batch.execute(raise_on_error))

                for n, answer in zip(positions, await self._client.at(key_of(chosen[0][0]), send), strict=True):
                    answers[n] = answer
            return answers
        finally:
            await self.reset()  # type: ignore[no-untyped-call]


def at_home(client: redis.Redis, key: str | bytes, action: Callable[[redis.Redis], T]) -> T:
    """Do something with the client of the node that has a key: the client itself, unless the store is a cluster."""
    return client.at(key, action) if isinstance(client, ClusterClient) else action(client)


async def home_of(client: redis.asyncio.Redis, key: str | bytes) -> redis.asyncio.Redis:
    """Return the client of the node that has a key: the client itself, unless the store is a cluster."""
    return await client.home(key) if isinstance(client, AsyncClusterClient) else client


async def async_nodes_of(client: redis.asyncio.Redis) -> list[redis.asyncio.Redis]:
    """Return a client of each primary: only the client itself, unless the store is a cluster."""
    return await client.nodes() if isinstance(client, AsyncClusterClient) else [client]


def nodes_of(client: redis.Redis) -> list[redis.Redis]:
    """Return a client of each primary: only the client itself, unless the store is a cluster."""
    return client.nodes() if isinstance(client, ClusterClient) else [client]


def _untyped(client: object) -> Any:
    """Return a client without types, because redis-py has none for ``execute_command``."""
    return client


def is_cluster(client: object) -> bool:
    """Return whether the store is a cluster."""
    return isinstance(client, ClusterClient | AsyncClusterClient)
