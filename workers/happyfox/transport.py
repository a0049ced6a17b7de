"""The transport: every call of an account goes through here, so that none goes around the governor.

How a call is made stands in ``connections``; this adds permits, address and credentials.
"""

import base64
import contextlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, TypeVar

import httpcore
import httpx

from workers.errors import InDoubt, NotNow, StoreUnavailable, Unsent
from workers.governor.clock import monotonic
from workers.governor.governor import Class, Governor
from workers.happyfox.answers import settlement
from workers.happyfox.connections import Connections, Outgoing, check_scheme
from workers.happyfox.exchange import BASE, Answer, Request
from workers.happyfox.multipart import Multipart
from workers.lanes.scripts import Script

__all__ = ["GovernedTransport", "Store", "Wire", "monotonic"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A call with files may take this much longer.
WITH_FILES = 4

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

    def download(self, url: str, sink: Callable[[bytes], object], most: int) -> int:
        """Reads a signed link into ``sink``, at most ``most`` bytes, and gives the status.

        Without credentials, which storages of signed links refuse, and without a permit: the link leads away from the
        API (KB 1039). Raises ``Unsent`` and ``InDoubt``; no error tells the link.
        """
        check_scheme(url)
        address = httpx.URL(url)
        headers = [(b"Host", address.netloc), (b"Accept", b"*/*"), (b"User-Agent", _AGENT.encode())]
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


class Wire:
    """Makes an account's calls: adds address and credentials to a request, and gives the answer.

    ``timeout`` is the seconds of one whole call; one with files has four times as long. Plain http is refused unless
    the host is this machine.
    """

    def __init__(
        self, url: str, api_key: str, auth_code: str, timeout: float, governor: Governor, store: Store, base: str = BASE
    ) -> None:
        self._site = url.rstrip("/")
        check_scheme(self._site)
        self._base, self._timeout = self._site + base, timeout
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": "Basic " + base64.b64encode(f"{api_key}:{auth_code}".encode()).decode(),
            "User-Agent": _AGENT,
        }
        self._transport = GovernedTransport(governor, store, governor.in_flight, timeout)

    def send(
        self,
        request: Request,
        *,
        permit: str | None = None,
        send_by: float | None = None,
        still_held: Callable[[], bool] | None = None,
        timeout: float | None = None,
        class_: Class = "normal",
    ) -> Answer:
        """Makes one call and gives its answer, whatever its status; raises ``NotNow``, ``Unsent``, ``InDoubt``.

        A ``permit`` given is settled by the caller, and its life has to reach past the time left until
        ``send_by`` and ``timeout`` together. Without one, a permit of ``class_`` is taken and settled here. Raises
        ``Unfit`` for files that cannot be sent.
        """
        total = timeout or self._timeout * (WITH_FILES if request.files else 1)
        extensions: dict[str, Any] = {
            "permit": permit,
            "send_by": send_by,
            "still_held": still_held,
            "class": class_,
            "timeout": {"total": total},
        }
        url = httpx.URL(self._base + request.path)
        if request.query:
            url = url.copy_with(params=dict(request.query))
        with _content(request) as (headers, content):
            headers = {**self._headers, **headers}
            outgoing = httpx.Request(request.method, url, headers=headers, content=content, extensions=extensions)
            return _answer(self._transport.handle_request(outgoing))

    def download(self, link: str, sink: Callable[[bytes], object], most: int) -> int:
        """Reads a file's signed link, also a relative one of an old account; see ``GovernedTransport.download``."""
        return self._transport.download(f"{self._site}{link}" if link.startswith("/") else link, sink, most)

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()


@contextlib.contextmanager
def _content(request: Request) -> Iterator[tuple[dict[str, str], Any]]:
    """Gives the headers of a body and the body, which is open while it is used."""
    if request.files:
        with Multipart(request.body or {}, request.files) as body:
            yield {"Content-Type": body.content_type, "Content-Length": str(body.length)}, body
    elif request.body is not None:
        yield (
            {"Content-Type": "application/json"},
            json.dumps(request.body, allow_nan=False, separators=(",", ":")).encode(),
        )
    else:
        yield {}, None


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content, response.extensions["at"])


def _agent() -> str:
    try:
        return f"foxhooks/{version('foxhooks')}"
    except PackageNotFoundError:  # Heroku runs the checkout and installs its requirements only
        return "foxhooks/0"


_AGENT = _agent()
