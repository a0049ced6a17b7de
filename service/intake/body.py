"""Reads the bodies of requests, within a size and a time."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import Receive

#: Bytes of a body. HappyFox sends links to attachments, never their bytes.
LIMIT: Final = 5 * 1024 * 1024
#: Bytes of all bodies that are on their way at the same time; anybody can send some, signed or not.
HELD: Final = 64 * 1024 * 1024
#: Bytes of a refused body that are let pass by; whoever sends more is cut off.
PASSED: Final = 64 * 1024 * 1024
#: Seconds without a byte after which the rest of a refused body is not waited for.
PAUSE: Final = 1.0
#: Seconds within which a body has to be here.
PATIENCE: Final = 15.0


class DisconnectedError(Exception):
    """The sender went away before the body was complete; nobody waits for an answer."""


class TooLargeError(Exception):
    """The body has more than ``LIMIT`` bytes."""


class TooSlowError(Exception):
    """The body was not complete in time."""


class CrowdedError(Exception):
    """All bodies on their way together have more than ``HELD`` bytes."""


class Bodies:
    """Reads bodies, watched over by one timer: one for each body would cost more than verifying it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._held = 0
        self._until: dict[asyncio.Task[object], float] = {}  # in the order of their ends
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive) -> bytes:
        """Reads one body to its end; raises one of the errors above."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._until[task] = until = loop.time() + self._patience
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)
        try:
            return await self._collect(receive)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TooSlowError from None
        finally:
            del self._until[task]
            self._late.discard(task)

    async def discard(self, receive: Receive) -> None:
        """Lets a body pass by that is refused; a sender cut off while it sends would never read the answer."""
        passed, more = 0, True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while more and passed < PASSED:
                    message = await asyncio.wait_for(receive(), PAUSE)
                    passed += len(message.get("body", b""))
                    more = message.get("more_body", False)

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

    async def _collect(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        refusal: TooLargeError | CrowdedError | None = None
        try:
            while more and refusal is None:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                self._held += len(part)
                if size > LIMIT:
                    refusal = TooLargeError()
                elif self._held > HELD:
                    refusal = CrowdedError()
                else:
                    parts.append(part)
        finally:
            self._held -= size
        if refusal is not None:
            parts.clear()
            if more:
                await self.discard(receive)
            raise refusal
        return b"".join(parts) if len(parts) > 1 else parts[0]
