"""The wire to HappyFox: the only module that makes calls, so that none goes around the governor.

A call keeps a hard deadline: every wait for the socket is cut to what is left of it, so that a server which
sends a byte now and then cannot stretch it (httpx limits each wait only). Only a name look-up can last
longer, and nothing is sent after it. Not followed, repeated or read from the environment: redirects,
retries, proxies. HTTP/1.1 only, because its trace hook tells the moment before the first byte leaves.
"""

import base64
import json
import logging
import socket
import ssl
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from workers.errors import InDoubt, NotNow, StoreUnavailable, Unsent
from workers.governor.clock import monotonic
from workers.governor.governor import Class, Governor
from workers.happyfox import protocol
from workers.happyfox.protocol import Answer, Request
from workers.lanes.store import Store

__all__ = ["GovernedTransport", "Wire", "check_scheme", "monotonic"]

log = logging.getLogger(__name__)

#: The largest answer that is read, unpacked.
MOST_BYTES = 32 * 1024 * 1024

#: Seconds an idle connection is kept; the longer, the likelier the server closes it under a write.
KEEP_ALIVE = 5.0

#: The moment before the first byte of a call leaves.
LEAVING = "http11.send_request_headers.started"

#: What no longer holds once an answer is unpacked.
_UNPACKED = (b"content-encoding", b"content-length", b"transfer-encoding")


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
        self._deadline = _Deadline()
        self._locked_until = float("-inf")
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_ALIVE,
            http1=True,
            http2=False,
            retries=0,
            network_backend=_Backend(self._deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Makes one call and reads its answer to the end."""
        check_scheme(request.url)
        request.read()
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

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()

    def _settle(self, method: str, permit: str, result: Answer | Unsent | InDoubt) -> None:
        outcome, wait = protocol.settlement(method, result)
        age = int((monotonic() - result.at) * 1000) if isinstance(result, Answer) else 0
        try:
            self._store.run(self._governor.release(method, permit, outcome, age, wait))
        except StoreUnavailable as error:
            # The answer counts for more: the slot frees itself, later than it could.
            log.warning("permit of a call not settled: %s", error)

    def _call(self, request: httpx.Request, deadline: float) -> httpx.Response:
        left = False

        def trace(event: str, _: Any) -> None:
            nonlocal left
            if event == LEAVING:
                self._refuse_if_late(request.extensions, deadline)
                left = True

        limit = max(0.001, deadline - monotonic())
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.content,
            extensions={
                "trace": trace,
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), limit),
            },
        )
        self._deadline.at = deadline
        try:
            incoming = self._pool.handle_request(outgoing)
            at = monotonic()
            if incoming.status == 429:
                self._locked_until = at + self._governor.lockout
            body = _body(incoming)
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            zlib.error,
        ) as error:
            if left:
                raise InDoubt(f"the call left and has no whole answer ({_name(error)})") from error
            raise Unsent(f"HappyFox cannot be reached ({_name(error)}); nothing was sent") from error
        finally:
            self._deadline.at = None
        headers = [(name, value) for name, value in incoming.headers if name.lower() not in _UNPACKED]
        return httpx.Response(incoming.status, headers=headers, content=body, extensions={"at": at})

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

    ``timeout`` is the seconds of one whole call. Plain http is refused unless the host is this machine.
    """

    def __init__(
        self, url: str, api_key: str, auth_code: str, timeout: float, governor: Governor, store: Store
    ) -> None:
        self._base = url.rstrip("/") + protocol.BASE
        check_scheme(httpx.URL(self._base))
        self._timeout = timeout
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": "Basic " + base64.b64encode(f"{api_key}:{auth_code}".encode()).decode(),
            "User-Agent": f"foxhooks/{_version()}",
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
        ``send_by`` and ``timeout`` together. Without one, a permit of ``class_`` is taken and settled here.
        """
        headers, body = self._headers, None
        if request.body is not None:
            body = json.dumps(request.body, allow_nan=False, separators=(",", ":")).encode()
            headers = {**headers, "Content-Type": "application/json"}
        extensions: dict[str, Any] = {
            "permit": permit,
            "send_by": send_by,
            "still_held": still_held,
            "class": class_,
            "timeout": {"total": self._timeout if timeout is None else timeout},
        }
        url = httpx.URL(self._base + request.path)
        if request.query:
            url = url.copy_with(params=dict(request.query))
        outgoing = httpx.Request(request.method, url, headers=headers, content=body, extensions=extensions)
        return _answer(self._transport.handle_request(outgoing))

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()


def check_scheme(url: httpx.URL) -> None:
    """Refuses to send credentials in the clear to another machine."""
    if url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host)):
        return
    raise ValueError("HappyFox is called by https only; plain http is for a host on this machine; see HAPPYFOX_URL")


class _Deadline(threading.local):
    """When the call of this thread has to be over, in ``monotonic()``."""

    at: float | None = None

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Gives how long the next wait may last; raises ``error`` when the time is up."""
        if self.at is None:
            return timeout
        left = self.at - monotonic()
        if left <= 0:
            raise error("the deadline of the call has passed")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline of the call."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # One piece at a time, for each may have to wait.
        for start in range(0, len(buffer), 16384):
            piece = buffer[start : start + 16384]
            self._stream.write(piece, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Opens connections within the deadline of the call, all addresses of the host together."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host's name is not known") from error
        failure: Exception | None = None
        for *_, address in addresses:
            left = self._deadline.left(timeout, httpcore.ConnectTimeout)
            try:
                stream = super().connect_tcp(str(address[0]), port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure or httpcore.ConnectError("the host has no address")


def _body(response: httpcore.Response) -> bytes:
    """Reads the answer to its end, unpacked; only a success has to be whole, for an error its status says it all."""
    try:
        return _whole(response)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, zlib.error, InDoubt):
        if 200 <= response.status < 300:
            raise
        return b""
    finally:
        response.close()


def _whole(response: httpcore.Response) -> bytes:
    encoding = next((value for name, value in response.headers if name.lower() == b"content-encoding"), b"identity")
    if encoding.lower() not in (b"identity", b"gzip"):
        raise InDoubt("the answer is packed in a way nobody asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding.lower() == b"gzip" else None
    body = bytearray()
    for chunk in response.iter_stream():
        body += unpack.decompress(chunk, MOST_BYTES + 1 - len(body)) if unpack else chunk
        if len(body) > MOST_BYTES:
            raise InDoubt(f"the answer is larger than {MOST_BYTES} bytes")
    if unpack and body and not unpack.eof:
        raise InDoubt("the answer is cut off")
    return bytes(body)


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content, response.extensions["at"])


def _name(error: BaseException) -> str:
    """Names the first cause, which says most: a refused connection, a wrong certificate, an unknown host."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return type(error).__name__


def _version() -> str:
    try:
        return version("foxhooks")
    except PackageNotFoundError:  # Heroku runs the checkout and installs its requirements only
        return "0"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
