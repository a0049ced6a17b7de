"""Record the shapes of verified deliveries, beside the deliveries: it never delays or changes an answer.

A delivery is looked at after it was answered, five times a second at most, and only if it is small. Each shape is
written once per process.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Final

import msgspec
from redis.exceptions import RedisError

from workers.store.client import command_for
from workers.store.connection import connect_async
from workers.store.inbox import Arrival
from workers.store.recorder import is_drift, record_shape
from workers.webhook import UnreadableBody, parse
from workers.webhook.bodies import decode
from workers.webhook.questions import DELIVERY
from workers.webhook.shapes import Shape, shape_of, spelling_of

#: How many deliveries are looked at in a second, and the largest body (bytes).
PER_SECOND: Final = 5
LARGEST: Final = 64 * 1024
#: Seconds for one write.
WRITE_SECONDS: Final = 2.0
#: How many shapes a process remembers as written.
MOST_KNOWN: Final = 1_000

_log = logging.getLogger(__name__)


class Recorder:
    """Record what deliveries look like."""

    def __init__(self, url: str) -> None:
        self._client = connect_async(url, connect_seconds=WRITE_SECONDS, answer_seconds=WRITE_SECONDS)
        self._known: set[tuple[str, str]] = set()
        self._second, self._looked = 0.0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = 0

    def wants(self, size: int) -> bool:
        """Return whether a delivery of this size may be looked at now."""
        now = monotonic()
        if now >= self._second + 1:
            self._second, self._looked = now, 0
        self._looked += 1
        return self._looked <= PER_SECOND and size <= LARGEST

    def delivery(self, account: str, signature: bytes, arrival: Arrival) -> None:
        """Record the shape of a delivery whose signature is right."""
        kept: Mapping[str, str] = msgspec.json.decode(arrival.headers)
        content_type, form = kept.get("content-type", ""), ""
        try:
            content = decode(arrival.body, content_type)
            form = parse(arrival.body, content_type).form
        except UnreadableBody:
            return  # in quarantine, with its body
        names = tuple(sorted(kept))
        shape = shape_of(
            DELIVERY, content, signature=spelling_of(signature), headers=names, event=arrival.id, form=form
        )
        if (account, shape.digest) not in self._known and len(self._known) < MOST_KNOWN:
            self._known.add((account, shape.digest))
            self._writing += 1
            task = asyncio.get_running_loop().create_task(self._write(account, shape))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Write what is not written yet, and close the connection."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WRITE_SECONDS)
        await self._client.aclose()

    async def _write(self, account: str, shape: Shape) -> None:
        try:
            script = record_shape(account, shape)
            known = script.read(await self._client.execute_command(*command_for(script)))  # type: ignore[no-untyped-call]
            if is_drift(known):
                _log.warning(
                    "A delivery has a form that was never seen: see `foxhooks record`", extra={"account": account}
                )
        except (RedisError, OSError) as error:
            self._known.discard((account, shape.digest))
            _log.debug("The shape of a delivery could not be recorded.", extra={"error": type(error).__name__})
        finally:
            self._writing -= 1
            # New shapes are rare, and a connection that is not used would stay at a server that was demoted.
            if not self._writing:
                await self._client.aclose()
