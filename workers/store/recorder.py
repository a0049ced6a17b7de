"""The recorder: keep the shapes of HappyFox's deliveries and answers, each once, and what they have taught.

A shape is kept in a bounded set. What was learned is kept beside it, as ``learned WHAT``: ``ms digest value`` with the
digest of the shape that settled it. ``refused WHAT`` says that a person does not want it to be learned.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import redis

from workers.store.audit import By
from workers.store.keys import Keys
from workers.store.scripts import Script
from workers.webhook.delivery import Learned
from workers.webhook.shapes import Shape

#: How many shapes of an account are kept; further ones are only counted.
MOST_SHAPES = 100

#: Once this many shapes are known, a new one is worth a warning: HappyFox may have changed something.
SETTLED = 30

#: Seconds between two looks of a web process at what others have learned or refused.
READ_SECONDS = 15

#: What can be learned.
LESSONS = Learned.__struct_fields__

_SHAPE = msgspec.json.Decoder(Shape)


class Lesson(NamedTuple):
    """Something that was learned, or that a person has refused to learn: then the value is empty."""

    what: str
    """number, event or contact, see workers/webhook/learning.py."""
    value: str
    at: int
    """When (ms)."""
    digest: str = ""
    """The shape that settled it."""


def record_shape(account: str, shape: Shape) -> Script[int]:
    """Keep a shape unless it is known; return how many there are then, 0 if it was known."""
    return Script("record_shape", account, [shape.digest, msgspec.json.encode(shape), MOST_SHAPES], int)


def learn(account: str, what: str, value: str, digest: str) -> Script[bool]:
    """Keep what a shape has taught; return False if it is known already or was refused."""
    return Script("learn", account, [what, value, digest], bool)


def refuse(account: str, what: str, by: By) -> Script[bool]:
    """Forget what was learned and do not learn it again; return whether that changed anything."""
    return Script("refuse_learning", account, [what, "refuse", by.encode()], bool)


def allow(account: str, what: str, by: By) -> Script[bool]:
    """Learn again what was refused; return whether that changed anything."""
    return Script("refuse_learning", account, [what, "", by.encode()], bool)


def is_drift(known: int) -> bool:
    """Return whether a new shape is worth a warning, given how many are known."""
    return known > SETTLED


def drift(shapes: Collection[Shape], since: int) -> list[Shape]:
    """Return the shapes first seen since then (ms), if enough were known by then."""
    new = [each for each in shapes if each.at >= since]
    return new if is_drift(len(shapes) - len(new)) else []


def lesson_fields() -> list[str]:
    """Return the fields that `lessons_in` reads."""
    return [f"{state} {what}" for what in LESSONS for state in ("learned", "refused")]


def lessons_in(values: list[bytes | None]) -> Iterator[Lesson]:
    """Return what was learned or refused, from the values of ``lesson_fields()``."""
    for field, value in zip(lesson_fields(), values, strict=True):
        if value is not None:
            state, _, what = field.partition(" ")
            at, _, rest = value.decode().partition(" ")
            digest, _, learned = rest.partition(" ")
            yield Lesson(what, learned if state == "learned" else "", int(at), digest)


def read_lessons(client: redis.Redis, account: str) -> list[Lesson]:
    """Return what was learned or refused."""
    untyped: Any = client
    return list(lessons_in(untyped.hmget(Keys(account).shapes, lesson_fields())))


def as_learned(lessons: list[Lesson]) -> Learned:
    """Return what `parse` needs."""
    return Learned(**{lesson.what: lesson.value for lesson in lessons})


def read_shapes(client: redis.Redis, account: str) -> dict[str, Shape]:
    """Return the shapes by their digests, oldest first."""
    untyped: Any = client
    stored: Mapping[bytes, bytes] = untyped.hgetall(Keys(account).shapes)
    found = {}
    for name, value in stored.items():
        if name != b"more" and b" " not in name:
            at, _, encoded = value.partition(b" ")
            found[name.decode()] = msgspec.structs.replace(_SHAPE.decode(encoded), at=int(at))
    return dict(sorted(found.items(), key=lambda each: each[1].at))


def left_out(client: redis.Redis, account: str) -> int:
    """Return how many shapes were not kept, because there were too many."""
    untyped: Any = client
    return int(untyped.hget(Keys(account).shapes, "more") or 0)
