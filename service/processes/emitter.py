"""Sends the webhooks of a simulated HappyFox, each once its write is visible."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from workers.simulator import Delivery, Simulator

SECONDS = 10.0
"""How long a receiver may take to answer a webhook. HappyFox does not say."""


class Emitter:
    """Takes deliveries from the simulator and sends them; `news` is set when there may be some."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send webhooks while the block runs."""
        timeout = httpx.Timeout(SECONDS, pool=None)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            pump = asyncio.create_task(self._emit(client))
            try:
                yield
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _emit(self, client: httpx.AsyncClient) -> None:
        async with asyncio.TaskGroup() as sending:
            while True:
                self.news.clear()
                for delivery in self.simulator.take_deliveries():
                    sending.create_task(self._deliver(client, delivery))
                await self.news.wait()

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        await asyncio.sleep(max(0.0, delivery.due - self.simulator.clock()))
        try:
            answer = await client.post(delivery.hook.url, content=delivery.body, headers=delivery.headers)
        except Exception as failed:  # whatever it is, one hook must not keep the others from being told
            self.simulator.delivered(delivery, None, f"{type(failed).__name__}: {failed}")
        else:
            self.simulator.delivered(delivery, answer.status_code)
        self.news.set()  # a failed delivery may have been queued again
