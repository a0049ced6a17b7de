"""The connection to Redis or Valkey, and the one place where workers run store functions."""

import weakref
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

import hiredis
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from workers.errors import StoreUnavailable
from workers.store import scripts
from workers.store.keys import WAKE, WORKER_LIFE, prefix
from workers.store.scripts import Command, Script, is_missing, loading

T = TypeVar("T")

#: Name of the embedded store's socket inside FOXHOOKS_DATA.
SOCKET = "store.sock"

#: Connections of a worker process: for scripts, for which threads wait in turn, and for all else. Waiting for work
#: takes one more. A small Heroku store allows 20 in all.
LINES = 3
POOL = 1

#: What a store answers that is full, loading, failing over or read-only; redis-py makes classes of them.
REFUSALS = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ClusterDownError,
)


def url_of(redis_url: str | None, data: Path) -> str:
    """Return the address of the store: ``REDIS_URL``, else the embedded store's socket in ``data``."""
    return redis_url or f"unix://{(data / SOCKET).absolute()}"


def connect(url: str, connections: int = POOL) -> "redis.Redis":
    """Build a client with a bounded pool; nothing is sent before its first use.

    A call that finds no free connection waits for one. A lost connection is tried again twice: scripts survive it.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=10,
        socket_timeout=5,
        socket_connect_timeout=5,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        client_name="foxhooks",
    )
    return redis.Redis(connection_pool=pool)


def store_time(client: redis.Redis) -> int:
    """Return the store's time, the only clock that counts."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def wake(client: redis.Redis) -> None:
    """Hint to an idle worker that a lane is due; a lost hint costs one poll."""
    client.lpush(WAKE, 1)
    client.ltrim(WAKE, 0, 0)


class Store:
    """Run scripts on a client; with ``clock`` (milliseconds) every script gets that time instead of the store's own.

    It has up to ``LINES`` connections of its own, made like the client's: fetching one from the pool for every script
    costs more than the script. Used as a context it closes them; whoever made the client closes that.
    """

    def __init__(self, client: "redis.Redis", clock: Callable[[], int] | None = None) -> None:
        self.client = client
        self._clock = clock
        self._lines: SimpleQueue[redis.Connection | None] = SimpleQueue()
        for _ in range(LINES):
            self._lines.put(None)
        # One that is forgotten is closed when it is collected: a socket that is collected by itself warns.
        weakref.finalize(self, _hang_up, self._lines)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections except those in use; a later script opens a new one."""
        _hang_up(self._lines)

    def run(self, script: Script[T]) -> T:
        """Run a script and return its answer; raise ``StoreUnavailable`` if the store cannot do it now."""
        command = command_for(script, b"" if self._clock is None else self._clock())
        try:
            try:
                raw = self._ask(command)
            except redis.exceptions.ResponseError as error:
                if not is_missing(error):
                    raise
                self._load()
                raw = self._ask(command)
        except redis.exceptions.ConnectionError as error:
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error
        except redis.exceptions.TimeoutError as error:
            raise StoreUnavailable("the store did not answer in time") from error
        except REFUSALS as error:
            raise StoreUnavailable(f"the store refuses to work ({type(error).__name__})") from error
        except redis.exceptions.ResponseError as error:
            raise _response_error(script.name, error) from error
        return script.read(raw)

    def _load(self) -> None:
        """Load the library into the store and delete old versions of it."""
        steps = loading()
        try:
            command = next(steps)
            while True:
                try:
                    answer = self._ask(command)
                except redis.exceptions.ResponseError as error:
                    answer = error
                command = steps.send(answer)
        except StopIteration:
            pass

    def _ask(self, command: Command) -> Any:
        """Send a command and read its answer; repeat it after a lost connection, as the client would."""
        line = self._lines.get()
        try:
            if line is None:
                pool = self.client.connection_pool
                line = pool.connection_class(**pool.connection_kwargs)
            return line.retry.call_with_retry(lambda: _trip(line, command), lambda _: _drop(line))
        finally:
            self._lines.put(line)

    def beat(self, key: str, worker: str) -> None:
        """Write a worker's sign of life at the store's own time and forgets workers that are long dead."""
        try:
            now = store_time(self.client)
            self.client.hset(key, worker, now)
            dead = [name for name, at in self.client.hgetall(key).items() if int(at) < now - WORKER_LIFE * 20]
            if dead:
                self.client.hdel(key, *dead)
        except redis.exceptions.RedisError as error:
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error


def command_for(script: Script[Any], now: bytes | int = b"") -> Command:
    """Return the command that runs a script at the store's own time, or at ``now`` (ms) in tests."""
    return ("FCALL", f"foxhooks_{script.name}_{scripts.library().digest}", 1, prefix(script.account), now, *script.args)


def _trip(line: redis.Connection, command: Command) -> Any:
    # redis-py looks at every argument before it lets hiredis pack them, which costs as much as a tenth of a turn.
    line.send_packed_command([hiredis.pack_command(command)])  # type: ignore[arg-type, no-untyped-call]
    return line.read_response()


def _drop(line: redis.Connection) -> None:
    line.disconnect()  # type: ignore[no-untyped-call]


def _hang_up(lines: "SimpleQueue[redis.Connection | None]") -> None:
    free = []
    while True:
        try:
            free.append(lines.get_nowait())
        except Empty:
            break
    for line in free:
        if line is not None:
            _drop(line)
        lines.put(None)


def _response_error(name: str, error: Any) -> Exception:
    text = str(error)
    if text.startswith("unknown command"):
        return StoreUnavailable("the store has no functions: use Valkey, or Redis 7.0 or newer")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return StoreUnavailable(
            "the store's user may not run FCALL and FUNCTION LOAD, LIST and DELETE: allow them there"
        )
    if text.startswith(("MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "TRYAGAIN")):
        return StoreUnavailable(f"the store refuses to work: {text.split('.')[0]}")
    return RuntimeError(f"the function {name} failed in the store: {text}")
