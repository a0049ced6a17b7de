"""The connection to Redis or Valkey, and the one place where scripts are run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from workers.errors import StoreUnavailable
from workers.lanes.keys import WORKER_LIFE
from workers.lanes.scripts import Script, source

T = TypeVar("T")

#: Name of the embedded store's socket inside FOXHOOKS_DATA.
SOCKET = "store.sock"

#: Connections of a worker process for scripts; waiting for work takes one more. A small Heroku store allows 20 in all.
POOL = 4

#: What a store answers that is full, loading, failing over or read-only; redis-py makes classes of them.
REFUSALS = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ClusterDownError,
)


def url_of(redis_url: str | None, data: Path) -> str:
    """Gives the address of the store: ``REDIS_URL``, else the embedded store's socket in ``data``."""
    return redis_url or f"unix://{(data / SOCKET).absolute()}"


def connect(url: str, connections: int = POOL) -> "redis.Redis":
    """Makes a client with a bounded pool; nothing is sent before its first use.

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


class Store:
    """Runs scripts on a client; with ``clock`` (milliseconds) every script is given that time instead of its own."""

    def __init__(self, client: "redis.Redis", clock: Callable[[], int] | None = None) -> None:
        self.client = client
        self._clock = clock

    def run(self, script: Script[T]) -> T:
        """Runs a script and gives its answer; raises ``StoreUnavailable`` when the store cannot do it now."""
        now = b"" if self._clock is None else self._clock()
        text = source(script.name)
        try:
            try:
                raw = self.client.evalsha(text.sha, 1, script.prefix, now, *script.args)
            except redis.exceptions.NoScriptError:
                raw = self.client.eval(text.text, 1, script.prefix, now, *script.args)
        except redis.exceptions.ConnectionError as error:
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error
        except redis.exceptions.TimeoutError as error:
            raise StoreUnavailable("the store did not answer in time") from error
        except REFUSALS as error:
            raise StoreUnavailable(f"the store refuses to work ({type(error).__name__})") from error
        except redis.exceptions.ResponseError as error:
            raise _response_error(script.name, error) from error
        return script.read(raw)

    def beat(self, key: str, worker: str) -> None:
        """Writes a worker's sign of life at the store's own time and forgets workers that are long dead."""
        try:
            seconds, micros = self.client.time()
            now = seconds * 1000 + micros // 1000
            self.client.hset(key, worker, now)
            dead = [name for name, at in self.client.hgetall(key).items() if int(at) < now - WORKER_LIFE * 20]
            if dead:
                self.client.hdel(key, *dead)
        except redis.exceptions.RedisError as error:
            raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error


def _response_error(name: str, error: Any) -> Exception:
    text = str(error)
    if text.startswith(("MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "TRYAGAIN")):
        return StoreUnavailable(f"the store refuses to work: {text.split('.')[0]}")
    return RuntimeError(f"script {name} failed in the store: {text}")
