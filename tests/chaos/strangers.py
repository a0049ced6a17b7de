"""Strangers at the webhook endpoint: slow ones, large ones and many. An attack is bounded and ends by itself."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.support.fleet import ACCOUNT
from workers.webhook import HEADER

KIB = 1024
#: Seconds during which strangers send many or large requests, and the requests per second and process.
FLOOD, RATE = 4.0, 40
#: How many strangers of each slow and each large kind there are per process.
SLOW, LARGE = 10, 2
#: Seconds after which a slow stranger counts as one that is never cut off; the limits are 10 and 15 s.
PATIENCE = 30.0
#: Seconds between two bytes of a slow stranger.
PAUSE = 0.5

POST = f"POST /webhooks/{ACCOUNT}/ HTTP/1.1\r\nhost: foxhooks\r\n".encode()
#: Looks like a signature, so the body is read.
FORGED = POST + f"{HEADER}: {'0' * 40}\r\n".encode()

SLOW_KINDS: dict[str, tuple[bytes, Iterable[bytes]]] = {
    "silent": (b"", ()),
    "slow head": (POST + b"x: ", itertools.repeat(b"y")),
    "slow body": (FORGED + b"content-length: 100000\r\n\r\n", itertools.repeat(b"y")),
}
LARGE_KINDS: dict[str, tuple[bytes, Iterable[bytes]]] = {
    "large head": (POST + b"x: ", [b"y" * 64 * KIB] * 32),
    "large body": (FORGED + b"content-length: %d\r\n\r\n" % (6 * KIB * KIB), [b"y" * 64 * KIB] * 96),
    "large body of unknown length": (
        FORGED + b"transfer-encoding: chunked\r\n\r\n",
        [b"10000\r\n" + b"y" * 64 * KIB + b"\r\n"] * 96,
    ),
}
SMALL_KINDS: dict[str, tuple[bytes, Iterable[bytes]]] = {
    "unsigned": (POST + b"content-length: 100\r\n\r\n" + b"y" * 100, ()),
    "forged": (FORGED + b"content-length: 100\r\n\r\n" + b"y" * 100, ()),
}
#: The expected ends of each kind of stranger: a status, or 0 if the connection was closed without one.
ENDS = {
    **dict.fromkeys(SLOW_KINDS, (0, 408)),
    **dict.fromkeys(LARGE_KINDS, (0, 413, 431)),
    **dict.fromkeys(SMALL_KINDS, (0, 401)),
}
#: The end of a stranger who was neither answered nor cut off.
KEPT = -1


class Attack:
    """One attack on all web processes. Deliveries are answered 200 from its beginning to the end of the flood."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.began = time.time()
        self.flooded = 0.0
        """When the last request of the flood was answered (epoch seconds); slow strangers may still be there."""
        self.ends: Counter[tuple[str, int]] = Counter()
        """How many strangers of each kind ended how."""
        self.grown: dict[str, int] = {}
        """By how many bytes each process grew."""
        self.starved = 0.0
        """For how many seconds the machine was too busy to run a web process, until the end of the flood."""
        self._ports = ports

    async def run(self) -> None:
        """Attack, and return when the last stranger has gone."""
        slow = [
            self._one(kind, port, *SLOW_KINDS[kind]) for kind in SLOW_KINDS for port in self._ports for _ in range(SLOW)
        ]
        staying = asyncio.gather(*slow)
        await asyncio.gather(*map(self._flood, self._ports), *map(self._send_large, self._ports))
        self.flooded = time.time()
        await staying

    def count(self, kinds: Iterable[str]) -> int:
        """Return how many strangers of these kinds ended as expected."""
        return sum(times for (kind, end), times in self.ends.items() if kind in kinds and end in ENDS[kind])

    async def _flood(self, port: int) -> None:
        began = time.monotonic()
        for number, kind in zip(range(int(FLOOD * RATE)), itertools.cycle(SMALL_KINDS), strict=False):
            await asyncio.sleep(began + number / RATE - time.monotonic())
            await self._one(kind, port, *SMALL_KINDS[kind])

    async def _send_large(self, port: int) -> None:
        for kind in [*LARGE_KINDS] * LARGE:
            await asyncio.sleep(FLOOD / LARGE / len(LARGE_KINDS) / 2)
            await self._one(kind, port, *LARGE_KINDS[kind])

    async def _one(self, kind: str, port: int, head: bytes, pieces: Iterable[bytes]) -> None:
        pause = PAUSE if kind in SLOW_KINDS else 0.0
        try:
            async with asyncio.timeout(PATIENCE):
                end = await _exchange(port, head, pieces, pause)
        except TimeoutError:
            end = KEPT
        self.ends[kind, end] += 1


async def _exchange(port: int, head: bytes, pieces: Iterable[bytes], pause: float) -> int:
    """Send a request until it is answered or cut off; return the status of the answer, 0 for none."""
    answer = writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = asyncio.ensure_future(reader.readline())
        for piece in itertools.chain([head], pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.wait([answer], timeout=pause)
            if answer.done():
                break
        words = (await answer).split()
        return int(words[1]) if len(words) > 1 else 0
    except OSError:
        return 0
    finally:
        if answer is not None and not answer.cancel() and not answer.cancelled():
            answer.exception()  # retrieved, so that asyncio does not log it
        if writer is not None:
            writer.transport.abort()
