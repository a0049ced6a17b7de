"""Addresses of this machine that lead to another one, and the ways in which a network between them fails."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from tests.support.processes import free_port

T = TypeVar("T")


class Relay:
    """An address of this machine that leads to another one."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        """The port to which new connections lead; open ones stay where they are."""
        self.unanswered: list[float] = []
        """When connections brought a request in silence (epoch seconds)."""
        self.silent = False
        """Whether everything that arrives is dropped."""
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Link(self), "127.0.0.1", self.port)

    async def hold(self) -> None:
        """Hold back what the server sends to its replicas from now on, until the connections are closed."""
        for link in self._links:
            if link.replicates and link.far is not None:
                link.far.pause_reading()

    async def turn_to(self, target: int) -> None:
        """Lead to another port, and close the connections to the old one."""
        self.target = target
        await self.drop()

    async def drop(self) -> None:
        """Close all connections, with what is still on its way."""
        for link in list(self._links):
            link.close()

    async def silence(self) -> None:
        """Accept connections and drop what they bring, in both directions, as a network that loses everything."""
        self.silent = True

    async def recover(self) -> None:
        """Forward again; what was dropped never arrives, because the connections that carried it are closed."""
        self.silent = False
        await self.drop()

    async def shut(self) -> None:
        """Refuse connections, and close all that are open; `open` ends that."""
        if self._server is not None:
            self._server.close()
        await self.drop()


class _Link(asyncio.Protocol):
    """One connection through a relay; ``near`` is the client's side, ``far`` the server's."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.near: asyncio.Transport | None = None
        self.far: asyncio.Transport | None = None
        self.replicates = False
        """Whether a replica reads the server's writes here."""
        self._unanswered = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.near = transport
        transport.pause_reading()
        self.relay._links.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Far(self), "127.0.0.1", self.relay.target)
        except OSError:
            self.close()
        else:
            if self.near is not None:
                self.near.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.relay.silent:
            if not self._unanswered:
                self.relay.unanswered.append(time.time())
            self._unanswered = True
            return
        self.replicates = self.replicates or b"PSYNC" in data
        if self.far is not None:
            self.far.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Close both sides."""
        self.relay._links.discard(self)
        for transport in (self.near, self.far):
            if transport is not None:
                transport.abort()


class _Far(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.far = transport
        if self._link not in self._link.relay._links:  # closed in the meantime
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._link.near is not None and not self._link.relay.silent:
            self._link.near.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.close()


class Network:
    """A thread of its own in which relays run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays")
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work in that thread, and return its result."""
        return self.begin(work).result(20)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start work in that thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
