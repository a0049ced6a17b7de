"""A store for tests: a server of its own, empty, which ends with the block however the test process ends."""

import redis

from workers.store.embedded import running, start, valkey, wait_for

__all__ = ["flush", "running", "start", "valkey", "wait_for"]


def flush(url: str) -> None:
    """Empty a store."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
