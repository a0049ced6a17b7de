"""Group commit: deliveries that arrive while a batch is on its way to the store share the next one."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

from service.intake.link import TRIP, Link
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

_PROBED = Acceptance("accepted", "")

_log = logging.getLogger(__name__)


class _Request(NamedTuple):
    account: str
    arrival: Arrival | None
    since: float
    done: "asyncio.Future[Acceptance]"


SPOILT = "a key of this ticket has the wrong type in the store; mend or delete it"


class _Batch:
    """What goes to the store together for one account, and who waits for the answers."""

    __slots__ = ("arrivals", "probes", "waiting")

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.waiting: list[asyncio.Future[Acceptance]] = []
        self.probes: list[asyncio.Future[Acceptance]] = []

    def add(self, arrival: Arrival | None, done: "asyncio.Future[Acceptance]") -> None:
        if arrival is None:
            self.probes.append(done)
        else:
            self.arrivals.append(arrival)
            self.waiting.append(done)

    def answer(self, acceptances: list[Acceptance]) -> None:
        probed = [_PROBED] * len(self.probes)
        for done, acceptance in zip(self.waiting + self.probes, acceptances + probed, strict=True):
            if done.done():
                continue
            if acceptance.status == "spoilt":
                done.set_exception(StoreUnavailable(SPOILT))
            else:
                done.set_result(acceptance)

    def fail(self, text: str) -> None:
        for done in self.waiting + self.probes:
            if not done.done():
                done.set_exception(StoreUnavailable(text))


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
        self._stored = True  # whether the last batch was; each change is told once
        self._spoilt: set[str] = set()  # accounts of which the store took nothing the last time

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
        if self._refused:
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
                refused = self._take_refused()
                batches = self._take({account: _Batch() for account in refused})
                if batches:
                    await self._commit(batches, refused)
        finally:
            self._task = None

    def _take(self, batches: dict[str, _Batch]) -> dict[str, _Batch]:
        """Takes what goes next, by account, and turns away what has waited too long already."""
        late = asyncio.get_running_loop().time() - TRIP
        size = taken = 0
        for account, arrival, since, done in self._waiting:
            length = 0 if arrival is None else len(arrival.body)
            if taken == BATCH or (size and size + length > BATCH_BYTES):
                break
            taken += 1
            size += length
            if since >= late:
                batch = batches.get(account) or batches.setdefault(account, _Batch())
                batch.add(arrival, done)
            elif not done.done():
                done.set_exception(StoreUnavailable("the store is too slow"))
        del self._waiting[:taken]
        self._bytes -= size
        return batches

    async def _commit(self, batches: dict[str, _Batch], refused: dict[str, Counter[str]]) -> None:
        try:
            scripts = [
                accept(account, batch.arrivals, self._keep, refused.get(account)) for account, batch in batches.items()
            ]
            wake = any(not arrival.reason for batch in batches.values() for arrival in batch.arrivals)
            answers = await self._link.run(scripts, wake)
        except Exception as error:
            text = str(error)
            if not isinstance(error, StoreUnavailable):
                _log.exception("a batch of deliveries could not be stored")
                text = "the batch could not be stored"
            elif self._stored:
                _log.error("deliveries cannot be stored; they are answered with 503", extra={"error": text})
            self._stored = False
            for batch in batches.values():
                batch.fail(text)
            for account, counts in refused.items():
                self._refused.setdefault(account, Counter()).update(counts)
        else:
            if not self._stored:
                _log.info("deliveries are stored again")
            self._stored = True
            for (account, batch), answer in zip(batches.items(), answers, strict=True):
                self._tell(account, answer)
                if isinstance(answer, StoreUnavailable):
                    batch.fail(str(answer))
                    self._refused.setdefault(account, Counter()).update(refused.get(account, {}))
                else:
                    batch.answer(answer)

    def _tell(self, account: str, answer: object) -> None:
        """Tells once when the store begins to refuse what comes for one account, and once when it ends."""
        if isinstance(answer, StoreUnavailable) and account not in self._spoilt:
            fields = {"account": account, "error": str(answer)}
            _log.error("deliveries of an account cannot be stored; they are answered with 503", extra=fields)
            self._spoilt.add(account)
        elif account in self._spoilt and not isinstance(answer, StoreUnavailable):
            _log.info("deliveries of an account are stored again", extra={"account": account})
            self._spoilt.remove(account)

    def _take_refused(self) -> dict[str, Counter[str]]:
        if not self._flush:
            return {}
        refused, self._refused, self._flush = self._refused, {}, False
        return refused
