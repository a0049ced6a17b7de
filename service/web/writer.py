"""Group commit: store deliveries in batches over one connection, and answer each once it is durable.

Deliveries that arrive while a batch is on its way to the store share the next one. WAITAOF and WAIT only cover the
writes of their own connection, so the scripts and the wait travel together. A cluster gets a part of each batch on one
connection to each node, and a node that fails does not fail the deliveries of accounts on other nodes.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

import hiredis
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError

from workers.errors import StoreUnavailable
from workers.settings import Durability
from workers.store.client import command_for
from workers.store.cluster import AsyncClusterClient, home_of, is_cluster
from workers.store.connection import connect_async
from workers.store.failures import known_failure, unavailable
from workers.store.figures import ACK, pack
from workers.store.inbox import Acceptance, Arrival, accept
from workers.store.keys import WAKE, prefix
from workers.store.scripts import LibraryMissing, Script, is_missing, loading

T = TypeVar("T")

#: Arrivals per batch; a longer script would keep the workers waiting.
BATCH = 128
#: Bytes of bodies per batch; only large bodies reach it.
BATCH_BYTES = 8 * 1024 * 1024
#: Deliveries and bytes that may wait for the store; more are rejected at once.
WAITING = 2000
WAITING_BYTES = 64 * 1024 * 1024
#: Seconds between two writes of the counts of refused deliveries, and until how long acks took is written without them.
FLUSH_SECONDS = 1.0
ACK_SECONDS = 5.0
#: Seconds for one round trip to the store, reconnecting included.
TRIP_SECONDS = 2.5
#: Milliseconds for the store to write to its disk, or for a replica to confirm the writes.
SYNC_MS = 2000
#: The commands that wait for each of them; the trips of the levels `fsync` and `replica` end with them.
ON_DISK, ON_REPLICA = ("WAITAOF", 1, 0, SYNC_MS), ("WAIT", 1, SYNC_MS)
#: Seconds for a wake-up on a node that has got no delivery; a lost one costs one poll.
WAKE_SECONDS = 0.5

NO_REPLICA = (
    "no replica confirmed the write in time: connect a replica to the store, "
    "or choose another FOXHOOKS_DURABILITY than replica"
)

_NO_FSYNC = (
    "the store cannot guarantee fsync: it has no WAITAOF (Redis and Valkey have it since 7.2), and its setting "
    "appendfsync is not always or may not be read; set appendonly yes and appendfsync always there, "
    "or FOXHOOKS_DURABILITY=everysec"
)
_NO_FILE = "the store has no append-only file; set appendonly yes there, or choose another FOXHOOKS_DURABILITY"
_CORRUPT_TICKET = (
    "a key of this ticket has the wrong type in the store; repair or delete it, unless `foxhooks doctor` says that "
    "the store's user may not read it"
)

_log = logging.getLogger(__name__)


class _Request(NamedTuple):
    account: str
    arrival: Arrival | None
    """None only tests that the store accepts writes."""
    size: int
    since: float
    stored: "asyncio.Future[Acceptance | None]"


class GroupCommit:
    """Store arrivals in batches, one batch at a time, and answer each when it is durable.

    A delivery waits for two round trips at most. Nothing is retried, because the sender does that.
    """

    def __init__(self, writer: "StoreWriter", keep_seconds: int) -> None:
        self._writer, self._keep_seconds = writer, keep_seconds
        self._waiting: list[_Request] = []
        self._bytes = 0
        self._refused: dict[str, Counter[str]] = {}
        self._acks: dict[str, Counter[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flush = False
        self._task: asyncio.Task[None] | None = None
        self._failing: set[str] = set()  # accounts whose deliveries cannot be stored; "" stands for all

    async def store(self, account: str, arrival: Arrival) -> Acceptance:
        """Store an arrival. Raise ``StoreUnavailable`` if it may not be durable."""
        acceptance = await self._submit(account, arrival)
        assert acceptance is not None
        return acceptance

    async def probe(self, account: str) -> str:
        """Return why the store would not accept a delivery now, or nothing."""
        try:
            await self._submit(account, None)
        except StoreUnavailable as error:
            return str(error)
        return ""

    def count_refused(self, account: str, reason: str) -> None:
        """Count a delivery that was not accepted; write the counts in the background."""
        self._refused.setdefault(account, Counter())[reason] += 1
        self._write_within(FLUSH_SECONDS)

    def count_ack(self, account: str, seconds: float) -> None:
        """Count how long an accepted delivery waited for its answer; write it with the next deliveries."""
        if (counted := self._acks.get(account)) is None:
            counted = self._acks[account] = Counter()
        ACK.observe(counted, int(seconds * 1e6))
        if self._timer is None:
            self._write_within(ACK_SECONDS)

    async def close(self) -> None:
        """Write the counts, wait for the current batch and close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._refused or self._acks:
            self._write_counts()
        if self._task is not None:
            await self._task
        await self._writer.close()

    def _submit(self, account: str, arrival: Arrival | None) -> "asyncio.Future[Acceptance | None]":
        size = 0 if arrival is None else len(arrival.body)
        if len(self._waiting) >= WAITING or (self._bytes and self._bytes + size > WAITING_BYTES):
            raise StoreUnavailable("too many deliveries are waiting for the store")
        loop = asyncio.get_running_loop()
        request = _Request(account, arrival, size, loop.time(), loop.create_future())
        self._waiting.append(request)
        self._bytes += size
        self._start()
        return request.stored

    def _write_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._write_counts)

    def _write_counts(self) -> None:
        self._timer, self._flush = None, True
        self._start()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting or self._flush:
                refused: dict[str, Counter[str]] = {}
                if self._flush:
                    refused, self._refused, self._flush = self._refused, {}, False
                    batches: dict[str, list[_Request]] = {account: [] for account in (*refused, *self._acks)}
                else:
                    batches = {}
                for request in self._next_requests():
                    batches.setdefault(request.account, []).append(request)
                if batches:
                    await self._commit(batches, refused)
        finally:
            self._task = None

    def _next_requests(self) -> list[_Request]:
        """Take the requests of the next batch, and fail those that have waited too long already."""
        oldest = asyncio.get_running_loop().time() - TRIP_SECONDS
        requests = []
        count = size = 0
        for request in self._waiting:
            if count == BATCH or (size and size + request.size > BATCH_BYTES):
                break
            count += 1
            size += request.size
            if request.since >= oldest:
                requests.append(request)
            else:
                _fail([request], "the store is too slow")
        del self._waiting[:count]
        self._bytes -= size
        return requests

    async def _commit(self, batches: dict[str, list[_Request]], refused: dict[str, Counter[str]]) -> None:
        """Store one batch per account in one round trip, and answer every request."""
        problem = ""
        try:
            scripts = []
            wake = False
            for account, requests in batches.items():
                arrivals = [request.arrival for request in requests if request.arrival is not None]
                wake = wake or any(not arrival.reason for arrival in arrivals)
                counted = pack(self._acks.pop(account, {}))
                scripts.append(accept(account, arrivals, self._keep_seconds, refused.get(account), counted))
            answers = await self._writer.run(scripts, wake)
        except StoreUnavailable as error:
            problem = str(error)
        except Exception:  # noqa: BLE001 - the senders still need an answer, and later batches a chance
            _log.exception("a batch of deliveries could not be stored")
            problem = "the batch could not be stored"
        self._log_change("", problem)
        if problem:
            answers = [StoreUnavailable(problem)] * len(batches)
        for (account, requests), answer in zip(batches.items(), answers, strict=True):
            if not problem:
                self._log_change(account, str(answer) if isinstance(answer, StoreUnavailable) else "")
            if not isinstance(answer, StoreUnavailable):
                _answer(requests, answer)
                continue
            _fail(requests, str(answer))
            if account in refused:  # these counts were not written: keep them for the next flush
                self._refused.setdefault(account, Counter()).update(refused[account])

    def _log_change(self, account: str, error: str) -> None:
        """Log once when deliveries start to fail, and once when they are stored again."""
        deliveries = "deliveries of an account" if account else "deliveries"
        fields = {"account": account} if account else {}
        if error and account not in self._failing:
            _log.error(f"{deliveries} cannot be stored and are answered with 503", extra=fields | {"error": error})
            self._failing.add(account)
        elif not error and account in self._failing:
            _log.info(f"{deliveries} are stored again", extra=fields)
            self._failing.remove(account)


def _answer(requests: Sequence[_Request], acceptances: Sequence[Acceptance]) -> None:
    """Resolve stored requests; the acceptances are those of the requests with an arrival, in order."""
    remaining = iter(acceptances)
    for request in requests:
        acceptance = None if request.arrival is None else next(remaining)
        if acceptance is not None and acceptance.status == "corrupt":
            _fail([request], _CORRUPT_TICKET)
        elif not request.stored.done():
            request.stored.set_result(acceptance)


def _fail(requests: Sequence[_Request], text: str) -> None:
    for request in requests:
        if not request.stored.done():
            request.stored.set_exception(StoreUnavailable(text))


class StoreWriter:
    """Run scripts in one round trip, and return once their writes are as durable as ``durability`` requires.

    Connects on first use and after every failure. Only one task may use it at a time.
    """

    def __init__(self, url: str, durability: Durability) -> None:
        self._client = connect_async(url, connect_seconds=TRIP_SECONDS, answer_seconds=None)
        self._durability = durability
        self._lines: dict[Any, _Line] = {}  # by the pool of their node

    async def run(self, scripts: Sequence[Script[T]], wake: bool = False) -> list[T | StoreUnavailable]:
        """Run the scripts; return the answer of each, or why the store rejected that one.

        ``wake`` also wakes a worker. Raise ``StoreUnavailable`` if no write is certainly durable.
        """
        deadline = asyncio.get_running_loop().time() + TRIP_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                lines = [await self._line(prefix(script.account)) for script in scripts]
                waker = await self._line(WAKE) if wake else None
        except (RedisError, OSError) as error:
            raise _unavailable(error) from None
        answers, lost = await self._run_on(lines, scripts, waker, deadline)
        if lost and is_cluster(self._client):
            # Another node may have taken over, or got the slot.
            await self._look_again(deadline)
            moved = [await self._line(prefix(scripts[n].account)) for n in lost]
            again, still = await self._run_on(moved, [scripts[n] for n in lost], waker, deadline)
            for n, answer in zip(lost, again, strict=True):
                answers[n] = answer
            lost, lines = [lost[n] for n in still], [*lines, *moved]
        if lost and len(lost) == len(scripts):
            raise cast(StoreUnavailable, answers[0])
        if waker is not None and waker not in lines:
            await waker.wake()
        return answers

    async def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        for line in self._lines.values():
            await line.close()

    async def _line(self, key: str) -> "_Line":
        """Return the connection to the node that has a key."""
        pool = (await home_of(self._client, key)).connection_pool
        if pool not in self._lines:
            self._lines[pool] = _Line(pool, self._durability)
        return self._lines[pool]

    async def _look_again(self, deadline: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await cast(AsyncClusterClient, self._client).look_again()

    async def _run_on(
        self, lines: Sequence["_Line"], scripts: Sequence[Script[T]], waker: "_Line | None", deadline: float
    ) -> tuple[list[T | StoreUnavailable], list[int]]:
        """Run each script on its line; return the answers, and the positions of those whose line has failed."""
        positions: dict[_Line, list[int]] = {}
        for n, line in enumerate(lines):
            positions.setdefault(line, []).append(n)
        trips = (
            line.run([scripts[n] for n in chosen], wake=line is waker, deadline=deadline)
            for line, chosen in positions.items()
        )
        answers: dict[int, T | StoreUnavailable] = {}
        lost = []
        for chosen, ended in zip(positions.values(), await asyncio.gather(*trips), strict=True):
            if isinstance(ended, StoreUnavailable):
                answers |= dict.fromkeys(chosen, ended)
                lost += chosen
            else:
                answers |= zip(chosen, ended, strict=True)
        return [answers[n] for n in range(len(scripts))], sorted(lost)


class _Line:
    """The connection to one node."""

    def __init__(self, pool: Any, durability: Durability) -> None:
        self._pool, self._durability = pool, durability
        self._connection: Connection | None = None
        self._waits: list[tuple[Any, ...]] = []  # what each trip ends with

    async def run(
        self, scripts: Sequence[Script[T]], *, wake: bool, deadline: float
    ) -> list[T | StoreUnavailable] | StoreUnavailable:
        """Run scripts until ``deadline``; return their answers, or why none of them is certainly durable."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._run(scripts, wake)
        except (StoreUnavailable, RedisError, OSError) as error:  # a TimeoutError is an OSError
            await self.close()
            return _unavailable(error)

    async def wake(self) -> None:
        """Wake a worker, if that is possible soon."""
        await self.run([], wake=True, deadline=asyncio.get_running_loop().time() + WAKE_SECONDS)

    async def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _run(self, scripts: Sequence[Script[T]], wake: bool) -> list[T | StoreUnavailable]:
        if self._connection is not None:
            try:
                return await self._trip(self._connection, scripts, wake)
            except (LostConnection, LibraryMissing):
                # Closed while it was idle, or the store was restarted, or another server has taken its place. It is
                # safe to run the scripts twice, and they always write, so WAITAOF on the new connection covers what
                # the old one may have done.
                await self.close()
        self._connection = await self._connect()
        return await self._trip(self._connection, scripts, wake)

    async def _connect(self) -> Connection:
        connection: Connection = self._pool.make_connection()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await _load(connection)
            self._waits = [ON_REPLICA] if self._durability == "replica" else []
            if self._durability in ("fsync", "replica") and await _has_waitaof(connection):
                self._waits.append(ON_DISK)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _trip(
        self, connection: Connection, scripts: Sequence[Script[T]], wake: bool
    ) -> list[T | StoreUnavailable]:
        commands: list[tuple[Any, ...]] = [command_for(script) for script in scripts]
        if wake:
            commands += [("LPUSH", WAKE, b"1"), ("LTRIM", WAKE, 0, 0)]
        waits = self._waits if scripts else []
        await connection.send_packed_command(map(hiredis.pack_command, [*commands, *waits]), check_health=False)
        # Read every answer: one left behind would be taken for an answer of the next trip.
        answers = [await _read(connection) for _ in commands]
        confirmations = [await _read(connection) for _ in waits]
        for answer in answers:
            if is_missing(answer):
                raise LibraryMissing(str(answer))
        for answer in confirmations:
            _check_confirmed(answer)
        return [
            _unavailable(answer) if isinstance(answer, ResponseError) else script.read(answer)
            for script, answer in zip(scripts, answers[: len(scripts)], strict=True)
        ]


def _check_confirmed(answer: Any) -> None:
    """Raise if the answer to WAIT (replicas) or WAITAOF (own disk, replicas) says that the writes may be lost."""
    if isinstance(answer, ResponseError):
        raise answer
    if isinstance(answer, int) and answer < 1:
        raise StoreUnavailable(NO_REPLICA)
    if not isinstance(answer, int) and answer[0] < 1:
        raise StoreUnavailable("the store did not write to its disk in time")


async def _load(connection: Connection) -> None:
    """Load the library of functions and delete old versions of it."""
    steps = loading()
    with suppress(StopIteration):
        command = next(steps)
        while True:
            command = steps.send(await _ask(connection, *command))


async def _has_waitaof(connection: Connection) -> bool:
    """Return whether the store has WAITAOF; without it, raise unless its settings guarantee fsync."""
    if not isinstance(await _ask(connection, "WAITAOF", 0, 0, 0), ResponseError):
        return True
    found = await _ask(connection, "CONFIG", "GET", "append*")
    if isinstance(found, ResponseError):
        raise StoreUnavailable(_NO_FSYNC)
    if found.get(b"appendonly") != b"yes":
        raise StoreUnavailable(_NO_FILE)
    if found.get(b"appendfsync") != b"always":
        raise StoreUnavailable(_NO_FSYNC)
    return False


async def _ask(connection: Connection, *command: bytes | str | int) -> Any:
    await connection.send_command(*command, check_health=False)
    return await _read(connection)


async def _read(connection: Connection) -> Any:
    """Read the answer to one command, and return an error like any other answer."""
    try:
        return await connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return error


def _unavailable(error: Exception) -> StoreUnavailable:
    """Explain an error of the store; quote only its first words, because the rest may quote a delivery."""
    text = str(error)
    if isinstance(error, StoreUnavailable):
        return error
    if not isinstance(error, ResponseError) or known_failure(error):
        return unavailable(error)
    if "appendonly is disabled" in text:
        return StoreUnavailable(f"the store rejected the write: {_NO_FILE}")
    if corrupt := re.search(r"CORRUPT (\S+) is a (\w+)", text):
        key, found = corrupt.groups()
        fix = "repair or delete it; other accounts are not affected"
        return StoreUnavailable(f"the key {key} has the wrong type in the store, {found}: {fix}")
    return StoreUnavailable(f"the store rejected the write: {text.split('.', 1)[0][:80]}")
