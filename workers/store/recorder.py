"""The recorder: keep the shapes of HappyFox's deliveries and answers, each once, in a bounded set."""

from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from workers.store.keys import Keys
from workers.store.scripts import Script
from workers.webhook.shapes import Shape

#: How many shapes of an account are kept; further ones are only counted.
MOST_SHAPES = 100

#: Once this many shapes are known, a new one is worth a warning: HappyFox may have changed something.
SETTLED = 30


_SHAPE = msgspec.json.Decoder(Shape)


def record_shape(account: str, shape: Shape) -> Script[int]:
    """Keep a shape unless it is known; return how many there are then, 0 if it was known."""
    return Script("record_shape", account, [shape.digest, msgspec.json.encode(shape), MOST_SHAPES], int)


def is_drift(known: int) -> bool:
    """Return whether a new shape is worth a warning, given how many are known."""
    return known > SETTLED


def read_shapes(client: redis.Redis, account: str) -> dict[str, Shape]:
    """Return the shapes by their digests, oldest first."""
    untyped: Any = client
    stored: Mapping[bytes, bytes] = untyped.hgetall(Keys(account).shapes)
    found = {}
    for name, value in stored.items():
        if name != b"more":
            at, _, encoded = value.partition(b" ")
            found[name.decode()] = msgspec.structs.replace(_SHAPE.decode(encoded), at=int(at))
    return dict(sorted(found.items(), key=lambda each: each[1].at))


def left_out(client: redis.Redis, account: str) -> int:
    """Return how many shapes were not kept, because there were too many."""
    untyped: Any = client
    return int(untyped.hget(Keys(account).shapes, "more") or 0)
