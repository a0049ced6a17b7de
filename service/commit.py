"""Group commit: deliveries that arrive while a batch is on its way to the store share the next one."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

from service.link import TRIP, Link
from workers.errors import StoreUnavailable
from workers.lanes.inbox import Acceptance, Arrival, accept

#: Arrivals in one batch; a longer script would keep the workers waiting.
BATCH = 128
#: Bytes of bodies in one batch, reached only by large ones.
BATCH_BYTES = 8 * 1024 * 1024
#: Deliveries and bytes that may wait for the store; beyond, they are turned away at once.
WAITING = 2000
WAITING_BYTES = 64 * 1024 * 1024
#: Seconds between two writes of the counters of refused deliveries.
FLUSH = 1.0

_log = logging.getLogger(__name__)


class _Request(NamedTuple):
    account: str
    arrival: Arrival | None
    since: float
    done: "asyncio.Future[Acceptance]"


class Commit:
    """Stores arrivals in batches, one on its way at a time, and answers each when it is durable.

    A delivery waits twice the time of a trip at the most. Nothing is tried again: whoever sent it does that.
    """

    def __init__(self, link: Link, keep: int) -> None:
        self._link, self._keep = link, keep
        self._waiting: list[_Request] = []
        self._bytes = 0
        self._refused: dict[str, Counter[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flush = False
        self._task: asyncio.Task[None] | None = None

    async def store(self, account: str, arrival: Arrival | None) -> Acceptance:
        """Stores an arrival, or only shows that the store takes one when it is None.

        Raises ``StoreUnavailable`` when it is not durable; it may have been stored all the same.
        """
        size = 0 if arrival is None else len(arrival.body)
        if len(self._waiting) >= WAITING or (self._bytes and self._bytes + size > WAITING_BYTES):
            raise StoreUnavailable("too many deliveries wait for the store")
        loop = asyncio.get_running_loop()
        request = _Request(account, arrival, loop.time(), loop.create_future())
        self._waiting.append(request)
        self._bytes += size
        self._start()
        return await request.done

    def refuse(self, account: str, reason: str) -> None:
        """Counts a delivery that was turned away; written in the background."""
        self._refused.setdefault(account, Counter())[reason] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH, self._write_refused)

    async def close(self) -> None:
        """Writes the counters, waits for the batch on its way and ends the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._write_refused()
        if self._task is not None:
            await self._task
        await self._link.close()

    def _write_refused(self) -> None:
        self._timer, self._flush = None, True
        self._start()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting or self._flush:
                await self._commit(self._take(), self._take_refused())
        finally:
            self._task = None

    async def _commit(self, batch: list[_Request], refused: dict[str, Counter[str]]) -> None:
        by_account: dict[str, list[_Request]] = {account: [] for account in refused}
        for request in batch:
            by_account.setdefault(request.account, []).append(request)
        if not by_account:
            return
        scripts = []
        for account, requests in by_account.items():
            arrivals = [request.arrival for request in requests if request.arrival is not None]
            scripts.append(accept(account, arrivals, self._keep, refused.get(account)))
        wake = any(request.arrival is not None and not request.arrival.reason for request in batch)
        try:
            answers = await self._link.run(scripts, wake)
        except Exception as error:
            self._fail(batch, refused, error)
            return
        for requests, acceptances in zip(by_account.values(), answers, strict=True):
            found = iter(acceptances)
            for request in requests:
                answer = _PROBED if request.arrival is None else next(found)
                if not request.done.done():
                    request.done.set_result(answer)

    def _fail(self, batch: list[_Request], refused: dict[str, Counter[str]], error: Exception) -> None:
        if not isinstance(error, StoreUnavailable):
            _log.exception("a batch of deliveries could not be stored")
        text = str(error) if isinstance(error, StoreUnavailable) else "the batch could not be stored"
        for request in batch:
            if not request.done.done():
                request.done.set_exception(StoreUnavailable(text))
        for account, counts in refused.items():
            self._refused.setdefault(account, Counter()).update(counts)

    def _take(self) -> list[_Request]:
        """Takes the next batch, and turns away what has waited too long already."""
        late = asyncio.get_running_loop().time() - TRIP
        batch: list[_Request] = []
        size = taken = 0
        for request in self._waiting[: 2 * BATCH]:
            length = 0 if request.arrival is None else len(request.arrival.body)
            if len(batch) == BATCH or (batch and size + length > BATCH_BYTES):
                break
            taken += 1
            self._bytes -= length
            if request.since >= late:
                batch.append(request)
                size += length
            elif not request.done.done():
                request.done.set_exception(StoreUnavailable("the store is too slow"))
        del self._waiting[:taken]
        return batch

    def _take_refused(self) -> dict[str, Counter[str]]:
        if not self._flush:
            return {}
        refused, self._refused, self._flush = self._refused, {}, False
        return refused


_PROBED = Acceptance("accepted", "")
