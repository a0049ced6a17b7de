"""Deliver webhooks to the web processes: some twice, late, cut off or never, and all others until they are accepted."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from workers.simulator import Simulator, WebhookDelivery

#: Seconds to wait for a response.
PATIENCE = 5.0
#: Seconds between two attempts.
AGAIN = 0.3
#: The percentages of deliveries that are sent twice, sent late, cut off, or lost: only a sweep finds their changes.
TWICE, LATE, CUT, LOST = 5, 5, 3, 2


@dataclass(slots=True)
class Acceptances:
    """Which deliveries were answered with 200, and what the store has lost of them since."""

    times: dict[int, list[tuple[int | None, float]]] = field(default_factory=dict)
    """The `update_id` and the time of each answer of 200, by ticket."""
    losses: list[tuple[float, float]] = field(default_factory=list)
    """The periods (epoch seconds) of which the store has forgotten everything."""
    dropped: dict[int, set[int]] = field(default_factory=dict)
    """The updates whose delivery was lost on its way, by ticket; that of a new ticket is update 0."""

    def add(self, ticket: int, update_id: int | None) -> None:
        """Note an answer of 200."""
        self.times.setdefault(ticket, []).append((update_id, time.time()))

    def drop(self, ticket: int, update_id: int | None) -> None:
        """Note that a delivery was lost on its way: a sweep has to find what it was about."""
        self.dropped.setdefault(ticket, set()).add(update_id or 0)

    def last(self, ticket: int) -> int:
        """Return the newest update of which the store still knows; -1 if it knows nothing of the ticket.

        The delivery of a new ticket names no update; it counts as update 0.
        """
        known = (update_id or 0 for update_id, at in self.times.get(ticket, ()) if not self._forgotten(at))
        return max(known, default=-1)

    def last_due(self, ticket: int) -> int:
        """Return the newest update that foxhooks has to learn of, also if only a sweep can find it."""
        return max(self.last(ticket), *self.dropped.get(ticket, ()), -1)

    def _forgotten(self, at: float) -> bool:
        return any(since <= at <= until for since, until in self.losses)


class Courier:
    """Delivers webhooks in the simulator's event loop."""

    def __init__(self, ports: Sequence[int], seed: int) -> None:
        self.ports = ports
        self.accepted = Acceptances()
        self.answers = 0
        self.attempts: list[tuple[float, int]] = []
        """When each delivery was sent (epoch seconds), and the status of the answer, 0 for none."""
        self.counts: Counter[str] = Counter()
        """How often each kind of fault occurred."""
        self.busy: set[asyncio.Task[None]] = set()
        self._random = random.Random(f"{seed} courier")
        self._newest: dict[int, int] = {}

    def take(self, delivery: WebhookDelivery) -> None:
        """Deliver in the background."""
        task = asyncio.get_running_loop().create_task(self._carry(delivery))
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)

    async def _carry(self, delivery: WebhookDelivery) -> None:
        fate = self._random.uniform(0, 100)
        if fate < LATE:
            await asyncio.sleep(self._random.uniform(0.1, 4))
        elif fate < LATE + CUT:
            await self._post(delivery, cut=True)
            self.counts["delivery cut off, sent again"] += 1
        elif fate < LATE + CUT + LOST:
            self.counts["delivery lost"] += 1
            self.accepted.drop(delivery.ticket, delivery.update_id)
            return
        await self._deliver(delivery)
        if fate > 100 - TWICE:
            await asyncio.sleep(self._random.choice((0.0, 0.0, 1.0, 3.0)))
            await self._deliver(delivery)
            self.counts["delivery sent twice"] += 1

    async def _deliver(self, delivery: WebhookDelivery) -> None:
        while (status := await self._attempt(delivery)) != 200:
            self.counts[f"delivery refused with {status}, sent again" if status else "delivery unanswered"] += 1
            await asyncio.sleep(AGAIN)
        self.answers += 1
        self.accepted.add(delivery.ticket, delivery.update_id)
        if delivery.number < self._newest.get(delivery.ticket, 0):
            self.counts["delivery out of order"] += 1
        self._newest[delivery.ticket] = max(delivery.number, self._newest.get(delivery.ticket, 0))

    async def _attempt(self, delivery: WebhookDelivery) -> int:
        sent = time.time()
        status = await self._post(delivery)
        self.attempts.append((sent, status))
        return status

    async def _post(self, delivery: WebhookDelivery, cut: bool = False) -> int:
        """Send one request; return the status of the response, or 0 if there is none."""
        path = urlsplit(delivery.hook.url).path
        headers = {**delivery.headers, "Host": "test", "Connection": "close", "Content-Length": len(delivery.body)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._random.choice(self.ports))
                writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + delivery.body)
                await writer.drain()
                words = [] if cut else (await reader.readline()).split()
                return int(words[1]) if len(words) > 1 else 0
        except (OSError, TimeoutError):
            return 0
        finally:
            if writer is not None:
                writer.transport.abort()


class CourierSimulator(Simulator):
    """A simulated HappyFox whose webhooks a courier delivers."""

    courier: Courier

    def take_deliveries(self) -> list[WebhookDelivery]:
        """Hand all deliveries to the courier, so that the simulator sends none itself."""
        for delivery in super().take_deliveries():
            self.courier.take(delivery)
        return []
