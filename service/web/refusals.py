"""Note why requests are refused and which keys sign, for people: `status`, `doctor` and the log.

Nothing here delays or changes an answer. A signature is examined after its answer, five times a second at most, and
only if the body is small and earlier ones were quick. Each message is logged at most once a minute.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from redis.exceptions import RedisError
from starlette.types import Scope

from workers.store.connection import connect_async
from workers.store.refusals import Notes
from workers.webhook import HEADER
from workers.webhook.diagnosis import MOST_BYTES, cause_of, diagnose
from workers.webhook.signature import label_of

#: Seconds between two writes of the notes, and for one write.
FLUSH_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 2.0
#: How many signatures are examined in a second.
PER_SECOND: Final = 5
#: Seconds in each second after whose use no other signature is examined: strangers choose what takes long.
SHARE: Final = 0.05
#: Seconds until the same message is logged again, or the use of the same key noted.
REPEAT_SECONDS: Final = 60.0

#: The longest path, and the longest part between two slashes, that is kept as an example.
_LONGEST_PATH: Final = 100
_LONGEST_PART: Final = 32
_SIGNATURE: Final = HEADER.lower().encode()

_log = logging.getLogger(__name__)


class Refusals:
    """Collect notes, and write them to the store in the background."""

    def __init__(self, url: str, keys: Mapping[str, Sequence[bytes]]) -> None:
        self._keys, self._notes = keys, Notes()
        self._labels = {account: [label_of(key) for key in secrets] for account, secrets in keys.items()}
        self._client = connect_async(url, connect_seconds=WRITE_SECONDS, answer_seconds=WRITE_SECONDS)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._examined: list[tuple[float, float]] = []  # since when, and for how long
        self._due: dict[tuple[str, str], float] = {}

    def bad_signature(self, account: str, header: bytes, body: bytes | None) -> None:
        """Note and log the likely cause of a wrong signature; ``body`` is None if it was not read."""
        now = monotonic()
        self._examined = [each for each in self._examined if each[0] > now - 1]
        used = sum(seconds for _, seconds in self._examined)
        if len(self._examined) >= PER_SECOND or used > SHARE or len(body or b"") > MOST_BYTES:
            return
        others = {name: keys for name, keys in self._keys.items() if name != account}
        cause = diagnose(header, body, self._keys[account], others)
        self._examined.append((now, monotonic() - now))
        self._notes.cause(account, cause)
        self._plan_write()
        if self._is_due(account, cause):
            reason = f"{cause_of(cause).text}; {cause_of(cause).fix}"
            _log.warning(
                "A delivery was refused: its signature is wrong.", extra={"account": account, "reason": reason}
            )

    def signed(self, account: str, position: int) -> None:
        """Note that a key of the account has signed a delivery; ``position`` counts from 1."""
        label = self._labels[account][position - 1]
        if self._is_due(account, label):
            self._notes.key(account, label)
            self._plan_write()

    def misdirected(self, scope: Scope, reason: str) -> None:
        """Note a request that no account can receive, if it looks like a webhook."""
        names = {name for name, _ in scope["headers"]}
        if "webhook" not in scope["path"].lower() and _SIGNATURE not in names:
            return
        example = f"{scope['method'][:10]} {self._shown(scope['path'])}"
        self._notes.misdirected(reason, example)
        self._plan_write()
        if self._is_due("", reason):
            method, _, path = example.partition(" ")
            fields = {"method": method, "path": path, "reason": reason}
            _log.warning("A request looks like a webhook, but no account can receive it.", extra=fields)

    async def close(self) -> None:
        """Write the notes and close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await self._task
        if self._notes:
            await self._write()

    def _is_due(self, account: str, what: str) -> bool:
        """Return whether something was last noted long enough ago, and remember that it is noted now."""
        now, at = monotonic(), (account, what)
        if now < self._due.get(at, 0.0):
            return False
        self._due[at] = now + REPEAT_SECONDS
        return True

    def _shown(self, path: str) -> str:
        """Return a path without what may be a secret, in one line."""
        for key in (key.decode() for keys in self._keys.values() for key in keys):
            path = path.replace(key, "...")
        parts = (part if len(part) <= _LONGEST_PART else "..." for part in path[: 10 * _LONGEST_PATH].split("/"))
        printable = (letter if letter.isascii() and letter.isprintable() else "?" for letter in "/".join(parts))
        return "".join(printable)[:_LONGEST_PATH]

    def _plan_write(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._start_write)

    def _start_write(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write the notes; drop them if the store does not take them, because deliveries have priority."""
        notes, self._notes = self._notes, Notes()
        try:
            with suppress(RedisError, OSError):
                seconds, micros = await self._client.time()
                async with self._client.pipeline(transaction=False) as batch:
                    for command in notes.commands(seconds * 1000 + micros // 1000):
                        batch.execute_command(*command)
                    await batch.execute()
        finally:
            self._timer = None
            # Notes are rare, and a connection that is not used would stay at a server that was demoted.
            await self._client.aclose()
            if self._notes:
                self._plan_write()
