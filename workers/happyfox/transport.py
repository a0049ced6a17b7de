"""The transport: every call of an account goes through here, so that none goes around the governor.

How a call is made stands in ``connections``; this adds permits, and ``wire`` address and credentials.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import httpcore
import httpx

from workers.errors import InDoubt, NotNow, StoreUnavailable, Unsent
from workers.governor.clock import monotonic
from workers.governor.governor import Class, Governor
from workers.happyfox.answers import settlement
from workers.happyfox.connections import Connections, Outgoing, check_scheme
from workers.happyfox.exchange import Answer
from workers.lanes.scripts import Script
from workers.version import __version__

__all__ = ["AGENT", "GovernedTransport", "Store", "monotonic"]

log = logging.getLogger(__name__)

T = TypeVar("T")


#: How we name ourselves to HappyFox.
AGENT = f"foxhooks/{__version__}"

#: Seconds a download may take.
DOWNLOAD = 300.0


class Store(Protocol):
    """What runs the governor's scripts: a Redis or Valkey, or the memory of this process."""

    def run(self, script: Script[T], /) -> T:
        """Runs a script and gives its answer."""


class GovernedTransport(httpx.BaseTransport):
    """Makes every call under a permit; one for each account, shared by all threads.

    Extensions of the request: ``permit`` is one already taken, which its taker settles; without it the
    transport takes one for ``class`` and settles it. ``timeout`` has the seconds of the whole call under
    ``total``. ``send_by``, in seconds of ``monotonic()``, and ``still_held``, a function, are checked
    before the first byte leaves. The response carries ``at``, the ``monotonic()`` at which its headers
    arrived.

    Raises ``NotNow`` without a permit, ``Unsent`` if no byte left and ``InDoubt`` for all else that is no
    answer.
    """

    def __init__(self, governor: Governor, store: Store, connections: int, timeout: float) -> None:
        self._governor, self._store, self._timeout = governor, store, timeout
        self._locked_until = float("-inf")
        self._connections = Connections(httpx.create_ssl_context(trust_env=False), connections)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Makes one call and reads its answer to the end."""
        check_scheme(str(request.url))
        total = float(request.extensions.get("timeout", {}).get("total", self._timeout))
        deadline = monotonic() + total
        if request.extensions.get("permit") is not None:
            return self._call(request, deadline)
        permit = uuid.uuid4().hex
        class_: Class = request.extensions.get("class", "normal")
        grant = self._store.run(self._governor.permit(request.method, permit, class_, int(total * 1000)))
        if grant.wait:
            raise NotNow(grant.wait, grant.why)
        result: Answer | Unsent | InDoubt = InDoubt("the call was broken off")
        try:
            response = self._call(request, deadline)
            result = _answer(response)
        except (Unsent, InDoubt) as error:
            result = error
            raise
        finally:
            self._settle(request.method, permit, result)
        return response

    def call(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        content: Any,
        **extensions: Any,
    ) -> Answer:
        """Makes one call and gives its answer, whatever its status; ``content`` is bytes or yields them."""
        address = httpx.URL(url)
        if query:
            address = address.copy_with(params=dict(query))
        outgoing = httpx.Request(method, address, headers=headers, content=content, extensions=extensions)
        return _answer(self.handle_request(outgoing))

    def download(self, url: str, sink: Callable[[bytes], object], most: int) -> int:
        """Reads a signed link into ``sink``, at most ``most`` bytes, and gives the status.

        Without credentials, which storages of signed links refuse, and without a permit: the link leads away from the
        API (KB 1039). Raises ``Unsent`` and ``InDoubt``; no error tells the link.
        """
        check_scheme(url)
        address = httpx.URL(url)
        headers = [(b"Host", address.netloc), (b"Accept", b"*/*"), (b"User-Agent", AGENT.encode())]
        deadline = monotonic() + DOWNLOAD
        return self._connections.call(
            Outgoing("GET", _url(address), headers, None, deadline, sink=sink, most=most)
        ).status

    def close(self) -> None:
        """Closes all connections."""
        self._connections.close()

    def _settle(self, method: str, permit: str, result: Answer | Unsent | InDoubt) -> None:
        outcome, wait = settlement(method, result)
        age = int((monotonic() - result.at) * 1000) if isinstance(result, Answer) else 0
        try:
            self._store.run(self._governor.release(method, permit, outcome, age, wait))
        except StoreUnavailable as error:
            # The answer counts for more: the slot frees itself, later than it could.
            log.warning("permit of a call not settled: %s", error)

    def _call(self, request: httpx.Request, deadline: float) -> httpx.Response:
        def check() -> None:
            self._refuse_if_late(request.extensions, deadline)

        def arrived(status: int, at: float) -> None:
            if status == 429:
                self._locked_until = at + self._governor.lockout

        content = request.stream
        assert isinstance(content, httpx.SyncByteStream)
        outgoing = Outgoing(request.method, _url(request.url), request.headers.raw, content, deadline, check)
        incoming = self._connections.call(outgoing, arrived)
        extensions = {"at": incoming.at}
        return httpx.Response(incoming.status, headers=incoming.headers, content=incoming.body, extensions=extensions)

    def _refuse_if_late(self, extensions: Any, deadline: float) -> None:
        """Stops a call whose permit was taken in time but which was held up since."""
        now, send_by, still_held = monotonic(), extensions.get("send_by"), extensions.get("still_held")
        if now > deadline or (send_by is not None and now > send_by):
            raise Unsent("the call is late, for this process was held up; nothing was sent")
        if now < self._locked_until:
            raise Unsent("the account was locked out in the meantime; nothing was sent")
        if still_held is not None and not still_held():
            raise Unsent("the lease is no longer held; nothing was sent")


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content, response.extensions["at"])
