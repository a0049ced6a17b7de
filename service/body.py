"""Reads the bodies of requests, within a size and a time."""

import asyncio
from typing import Final

from starlette.types import Receive

#: Bytes of a body. HappyFox sends links to attachments, never their bytes.
LIMIT: Final = 5 * 1024 * 1024
#: Seconds within which a body has to be here.
PATIENCE: Final = 15.0


class DisconnectedError(Exception):
    """The sender went away before the body was complete; nobody waits for an answer."""


class TooLargeError(Exception):
    """The body has more than ``LIMIT`` bytes."""


class TooSlowError(Exception):
    """The body was not complete in time."""


class Bodies:
    """Reads bodies, watched over by one timer: one for each body would cost more than verifying it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._until: dict[asyncio.Task[object], float] = {}  # in the order of their ends
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive) -> bytes:
        """Reads one body to its end; raises ``DisconnectedError``, ``TooLargeError`` or ``TooSlowError``."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._until[task] = until = loop.time() + self._patience
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)
        try:
            return await _read(receive)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TooSlowError from None
        finally:
            del self._until[task]
            self._late.discard(task)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, until in self._until.items():
            if task in self._late:
                continue
            if until > loop.time():
                self._timer = loop.call_at(until, self._look)
                break
            self._late.add(task)
            task.cancel()


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > LIMIT:
            raise TooLargeError
        more = message.get("more_body", False)
        if not more and not parts:
            return part
        parts.append(part)
    return b"".join(parts)
