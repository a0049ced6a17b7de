"""The connections of an account: one call made within its deadline, and what became of it.

Not followed, repeated or read from the environment: redirects, retries, proxies. HTTP/1.1 only, because its trace hook
tells the moment before the first byte leaves, on which it depends whether a call is in doubt.
"""

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpcore

from workers.errors import InDoubt, Unfit, Unsent
from workers.governor.clock import monotonic
from workers.happyfox.deadline import Backend, Deadline
from workers.happyfox.multipart import CutOff
from workers.happyfox.unpacking import FAILURES, UNPACKED, body
from workers.settings import is_loopback

#: Seconds an idle connection is kept; the longer, the likelier the server closes it under a write.
KEEP_ALIVE = 5.0

#: The moment before the first byte of a call leaves.
LEAVING = "http11.send_request_headers.started"

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call as it is put on the wire. ``check`` is asked before the first byte leaves and may raise ``Unsent``.

    ``deadline`` is in ``monotonic()``. With ``sink`` the body of a success goes there, ``most`` bytes of it.
    """

    method: str
    url: httpcore.URL
    headers: Headers = field(repr=False)
    content: bytes | Iterable[bytes] | None = field(repr=False)
    deadline: float
    check: Callable[[], None] = lambda: None
    sink: Callable[[bytes], object] | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer: ``at`` is the ``monotonic()`` at which its headers arrived."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)
    at: float


class Connections:
    """A pool of connections, for all threads of a process."""

    def __init__(self, context: ssl.SSLContext, most: int) -> None:
        # At DEBUG it would log the headers of answers, which may hold signed links.
        logging.getLogger("httpcore").setLevel(logging.INFO)
        self._deadline = Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=most,
            max_keepalive_connections=most,
            keepalive_expiry=KEEP_ALIVE,
            http1=True,
            http2=False,
            retries=0,
            network_backend=Backend(self._deadline),
        )

    def call(self, outgoing: Outgoing, arrived: Callable[[int, float], None] = lambda status, at: None) -> Incoming:
        """Makes one call and reads its answer to the end; tells status and time as soon as its headers are there.

        Raises ``Unsent`` if no byte left and ``InDoubt`` for all else that is no answer.
        """
        left = False

        def trace(event: str, _: Any) -> None:
            nonlocal left
            if event == LEAVING:
                outgoing.check()
                left = True

        limit = max(0.001, outgoing.deadline - monotonic())
        request = httpcore.Request(
            method=outgoing.method,
            url=outgoing.url,
            headers=outgoing.headers,
            content=outgoing.content,
            extensions={"trace": trace, "timeout": dict.fromkeys(("connect", "read", "write", "pool"), limit)},
        )
        self._deadline.at = outgoing.deadline
        try:
            response = self._pool.handle_request(request)
            at = monotonic()
            arrived(response.status, at)
            content = body(response, outgoing.sink, outgoing.most)
        except CutOff as error:
            raise InDoubt(
                f"{error}; the call was cut off, so it should not count: look before you send it again"
            ) from None
        except FAILURES as error:
            if left:
                raise InDoubt(_doubt(outgoing.method, error)) from error
            raise Unsent(_unsent(error)) from error
        finally:
            self._deadline.at = None
        headers = [(name, value) for name, value in response.headers if name.lower() not in UNPACKED]
        return Incoming(response.status, headers, content, at)

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()


def check_scheme(url: str) -> None:
    """Refuses to send anything in the clear to another machine."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        return
    raise Unfit("HappyFox is called by https only; plain http is for a host on this machine; see HAPPYFOX_URL")


def _doubt(method: str, error: BaseException) -> str:
    cure = "a read may be made again" if method == "GET" else "look whether it happened before you send it again"
    return f"the call left and has no whole answer ({_name(error)}): {cure}"


def _unsent(error: BaseException) -> str:
    name = _name(error)
    cure = "the certificate is not one for this host" if name == "SSLCertVerificationError" else "try again"
    return f"HappyFox cannot be reached ({name}); nothing was sent: check HAPPYFOX_URL, {cure}"


def _name(error: BaseException) -> str:
    """Names the first cause, which says most: a refused connection, a wrong certificate, an unknown host."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return type(error).__name__
