"""The one connection over which a web process writes, and what a write on it is worth.

WAITAOF only answers for what its own connection wrote, so the scripts and the waiting travel together.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import hiredis
import redis.asyncio
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from workers.errors import StoreUnavailable
from workers.lanes.keys import WAKE
from workers.lanes.scripts import LibraryMissing, Script, is_missing, loading
from workers.settings import Durability

T = TypeVar("T")

#: Seconds for one trip to the store and back, a connection made anew included.
TRIP = 2.5

#: Milliseconds within which the store has to have written to the disk.
SYNC = 2000

_NO_FSYNC = (
    "the store cannot promise fsync: it knows no WAITAOF (Redis and Valkey from 7.2 on do), and its setting "
    "appendfsync is not always or may not be read; set appendonly yes and appendfsync always there, "
    "or FOXHOOKS_DURABILITY=everysec"
)
_NO_FILE = "the store keeps no append-only file; set appendonly yes there, or choose another FOXHOOKS_DURABILITY"


class Link:
    """Runs scripts in one trip and returns once what they wrote is as durable as ``durability`` says.

    Connects when it is first used and after every failure; to be used by one task at a time.
    """

    def __init__(self, url: str, durability: Durability) -> None:
        self._pool = redis.asyncio.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=TRIP,
            retry=Retry(NoBackoff(), 0),
            client_name="foxhooks-web",
        )
        self._durability = durability
        self._connection: Connection | None = None
        self._waits = False

    async def run(self, scripts: Sequence[Script[T]], wake: bool = False) -> list[T | StoreUnavailable]:
        """Runs the scripts and may wake a worker; gives the answer of each, or why the store refused that one.

        Raises ``StoreUnavailable`` when it is not sure that everything answered is durable.
        """
        try:
            async with asyncio.timeout(TRIP):
                return await self._run(scripts, wake)
        except TimeoutError:
            await self.close()
            raise StoreUnavailable("the store did not answer in time") from None
        except StoreUnavailable:
            await self.close()
            raise
        except ResponseError as error:
            await self.close()
            raise _refusal(error) from None
        except (RedisError, OSError) as error:
            await self.close()
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from None

    async def _run(self, scripts: Sequence[Script[T]], wake: bool) -> list[T | StoreUnavailable]:
        reused = self._connection
        if reused is not None:
            try:
                return await self._trip(reused, scripts, wake)
            except (redis.exceptions.ConnectionError, LibraryMissing):
                # Closed while it was idle, or the store was replaced. The scripts survive being run twice
                # and always write, so WAITAOF here covers what the old one may have done.
                await self.close()
        self._connection = await self._connect()
        return await self._trip(self._connection, scripts, wake)

    async def _connect(self) -> Connection:
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await _load(connection)
            self._waits = self._durability == "fsync" and await _can_wait(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _trip(
        self, connection: Connection, scripts: Sequence[Script[T]], wake: bool
    ) -> list[T | StoreUnavailable]:
        commands: list[tuple[Any, ...]] = [script.command() for script in scripts]
        if wake:
            commands += [("LPUSH", WAKE, b"1"), ("LTRIM", WAKE, 0, 0)]
        if self._waits:
            commands.append(("WAITAOF", 1, 0, SYNC))
        await connection.send_packed_command(map(hiredis.pack_command, commands), check_health=False)
        # Every answer is read: one that stayed behind would be taken for that of the next trip.
        answers = [await _answer(connection) for _ in commands]
        for answer in answers:
            if is_missing(answer):
                raise LibraryMissing(str(answer))
        if self._waits:
            if isinstance(answers[-1], ResponseError):
                raise answers[-1]
            if answers[-1][0] < 1:
                raise StoreUnavailable("the store did not write to its disk in time")
        return [
            _refusal(answer) if isinstance(answer, ResponseError) else script.read(answer)
            for script, answer in zip(scripts, answers[: len(scripts)], strict=True)
        ]

    async def close(self) -> None:
        """Drops the connection; the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def _load(connection: Connection) -> None:
    """Load the library of functions and delete old versions of it."""
    steps = loading()
    try:
        command = next(steps)
        while True:
            await connection.send_command(*command, check_health=False)
            command = steps.send(await _answer(connection))
    except StopIteration:
        pass


async def _can_wait(connection: Connection) -> bool:
    """Tells whether the store has WAITAOF; raises when neither that nor its settings promise fsync."""
    try:
        await _ask(connection, "WAITAOF", 0, 0, 0)
    except ResponseError:
        pass
    else:
        return True
    try:
        found = await _ask(connection, "CONFIG", "GET", "append*")
    except ResponseError:
        raise StoreUnavailable(_NO_FSYNC) from None
    setting = dict(zip(found[::2], found[1::2], strict=True))
    if setting.get(b"appendonly") != b"yes":
        raise StoreUnavailable(_NO_FILE)
    if setting.get(b"appendfsync") != b"always":
        raise StoreUnavailable(_NO_FSYNC)
    return False


async def _ask(connection: Connection, *command: str | int) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response(disconnect_on_error=False)


async def _answer(connection: Connection) -> Any:
    """Reads the answer to one command; a refusal is an answer too."""
    try:
        return await connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return error


def _refusal(error: ResponseError) -> StoreUnavailable:
    """Says why the store refuses; of its words only the beginning, for the rest may repeat a command's arguments."""
    text = str(error)
    if "appendonly is disabled" in text:
        return StoreUnavailable(f"the store refuses to work: {_NO_FILE}")
    if spoilt := re.search(r"SPOILT (\S+) is a (\w+)", text):
        cure = "mend or delete it; the other accounts go on"
        return StoreUnavailable(f"the key {spoilt[1]} has the wrong type in the store, {spoilt[2]}: {cure}")
    return StoreUnavailable(f"the store refuses to work: {text.split('.')[0][:80]}")
