"""Record the shapes of verified deliveries, and learn from them: it never delays or changes an answer.

A delivery is looked at after it was answered, five times a second at most, and only if it is small. Each shape is
written once per process. What other processes have learned is read at the start and then, after a delivery, every
quarter of a minute.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec
from redis.exceptions import RedisError

from workers.store.client import command_for
from workers.store.connection import connect_async
from workers.store.inbox import Arrival
from workers.store.keys import Keys
from workers.store.recorder import READ_SECONDS, as_learned, is_drift, learn, lesson_fields, lessons_in, record_shape
from workers.store.scripts import Script
from workers.webhook import UnreadableBody
from workers.webhook.bodies import Object, decode
from workers.webhook.delivery import NOTHING, Learned, read
from workers.webhook.learning import MEANINGS, Learner
from workers.webhook.questions import DELIVERY
from workers.webhook.shapes import Shape, shape_of, spelling_of

#: How many deliveries are looked at in a second, and the largest body (bytes).
PER_SECOND: Final = 5
LARGEST: Final = 64 * 1024
#: Seconds for one write.
WRITE_SECONDS: Final = 2.0
#: How many shapes a process remembers as written.
MOST_KNOWN: Final = 1_000

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ShapeRecorder:
    """Record what deliveries look like, and learn what `parse` does not know."""

    def __init__(self, url: str) -> None:
        self._client: Any = connect_async(url, connect_seconds=WRITE_SECONDS, answer_seconds=WRITE_SECONDS)
        self._known: set[tuple[str, str]] = set()
        self._second, self._looked = 0.0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # there is one connection
        self._learners: defaultdict[str, Learner] = defaultdict(Learner)
        self._learned: dict[str, Learned] = {}
        self._decided: set[tuple[str, str]] = set()
        """By account, what was learned or refused."""
        self._read: dict[str, float] = {}
        """By account, when that was last read."""

    async def start(self, accounts: Iterable[str]) -> None:
        """Read what was learned before; a store that does not answer is asked again after a delivery."""
        try:
            for account in accounts:
                await self._read_lessons(account)
        except (RedisError, OSError) as error:
            _log.debug("What was learned could not be read.", extra={"error": type(error).__name__})
        finally:
            await self._client.aclose()

    def learned(self, account: str) -> Learned:
        """Return what the deliveries of an account have taught."""
        return self._learned.get(account, NOTHING)

    def wants(self, size: int) -> bool:
        """Return whether a delivery of this size may be looked at now."""
        now = monotonic()
        if now >= self._second + 1:
            self._second, self._looked = now, 0
        self._looked += 1
        return self._looked <= PER_SECOND and size <= LARGEST

    def delivery(self, account: str, signature: bytes, arrival: Arrival) -> None:
        """Record the shape of a delivery whose signature is right, and learn from it."""
        kept: Mapping[str, str] = msgspec.json.decode(arrival.headers)
        try:
            content = decode(arrival.body, kept.get("content-type", ""))
        except UnreadableBody:
            return  # in quarantine, with its body
        names = tuple(sorted(kept))
        shape = shape_of(
            DELIVERY,
            content,
            signature=spelling_of(signature),
            headers=names,
            event=arrival.id,
            form=self._form(account, content),
        )
        lessons = self._learners[account].observe(content, self.learned(account))
        lessons = {what: value for what, value in lessons.items() if (account, what) not in self._decided}
        is_new = (account, shape.digest) not in self._known and len(self._known) < MOST_KNOWN
        if lessons or is_new:
            self._known.add((account, shape.digest))
            self._start(account, self._write(account, shape, lessons))
        elif monotonic() - self._read.get(account, -READ_SECONDS) >= READ_SECONDS:
            self._read[account] = monotonic()
            self._start(account, self._read_lessons(account))

    def _form(self, account: str, content: Object) -> str:
        try:
            return read(content, learned=self.learned(account)).form
        except UnreadableBody:
            return ""

    async def close(self) -> None:
        """Write what is not written yet, and close the connection."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WRITE_SECONDS)
        await self._client.aclose()

    def _start(self, account: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._finish(account, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, account: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something with the store, which may fail."""
        try:
            async with self._turn:
                await work
        except (RedisError, OSError) as error:
            self._known = {each for each in self._known if each[0] != account}
            _log.debug("The shape of a delivery could not be recorded.", extra={"error": type(error).__name__})
        finally:
            # This is rare, and a connection that is not used would stay at a server that was demoted.
            if len(self._tasks) == 1:
                await self._client.aclose()

    async def _write(self, account: str, shape: Shape, lessons: Mapping[str, str]) -> None:
        if is_drift(await self._run(record_shape(account, shape))):
            _log.warning("A delivery has a form that was never seen: see `foxhooks record`", extra={"account": account})
        for what, value in lessons.items():
            if await self._run(learn(account, what, value, shape.digest)):
                text = f"Learned from deliveries: {MEANINGS[what].format(value)}. See `foxhooks record`"
                _log.warning(text, extra={"account": account})
        await self._read_lessons(account)

    async def _run(self, script: Script[T]) -> T:
        return script.read(await self._client.execute_command(*command_for(script)))

    async def _read_lessons(self, account: str) -> None:
        values = await self._client.execute_command("HMGET", Keys(account).shapes, *lesson_fields())
        lessons = list(lessons_in(values))
        self._read[account] = monotonic()
        self._learned[account] = as_learned(lessons)
        self._decided = {each for each in self._decided if each[0] != account}
        self._decided |= {(account, lesson.what) for lesson in lessons}
