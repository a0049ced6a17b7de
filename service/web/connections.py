"""The connections of the web process: what a sender may cost before its request reaches the application.

uvicorn reads a head of any size, for any time, and opens as many connections as the system allows. `HttpConnection`
adds limits to it. It depends on the inside of uvicorn; `tests/service/web/test_connections.py` fails if that changes.
"""

import asyncio
import logging
import math
import resource
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

#: Bytes of a head: request line with the URL, and headers. Also the limit of trailers and chunk extensions.
HEAD_LIMIT: Final = 32 * 1024
#: Headers of a request. Each costs more memory than the few bytes that it takes on the wire.
HEADERS_LIMIT: Final = 100
#: Bytes of a rejected body that are read and dropped; a sender of more is cut off.
DISCARD_LIMIT: Final = 64 * 1024 * 1024
#: Connections that wait to be accepted; the system may open this many descriptors before any is closed.
BACKLOG: Final = 256
#: Descriptors for the store, the log and the rest of the process.
RESERVED: Final = 64
#: Seconds between two log lines about the limit of connections.
LOG_SECONDS: Final = 60.0

#: The key of the shared `Connections` in the state of uvicorn's lifespan.
STATE: Final = "connections"
#: The key of the event in the same state that is set when the process stops.
ENDING: Final = "ending"

_log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """How long senders may keep us waiting, in seconds, and how many connections there may be."""

    head: float = 10.0
    """From connecting, or from the first byte of a later request, to a complete head; also to read an answer."""
    body: float = 15.0
    """For a complete body."""
    discard: float = 10.0
    """From the answer to a rejected request to the end of its body."""
    idle: int = 95
    """Between two requests: longer than proxies keep a connection (nginx 60, Heroku 90), so that they close it."""
    accept: float = 3.0
    """To go on accepting after SIGTERM, because routers still send new requests."""
    connections: int = 1000


class Connections:
    """What the connections of one process share."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.most = max(16, min(limits.connections, _open_files() - RESERVED - BACKLOG))
        """Connections that may be open."""
        self.stopping = False
        """Whether SIGTERM has arrived: answers close their connections."""
        self.ending = asyncio.Event()
        """Set when the process stops: answers that have no end of their own must end."""
        self._cut = 0
        self._log_at = -math.inf

    def make_room(self, connections: Iterable["HttpConnection"]) -> None:
        """Cut the connection that has kept us waiting longest; senders that send are served, even at the limit."""
        longest = min(connections, key=lambda each: each.waiting_since)
        longest.cut()
        self._cut += 1
        now = longest.loop.time()
        if now >= self._log_at:
            _log.warning(
                "the limit of connections is reached: those that sent nothing for longest are cut off",
                extra={"limit": self.most, "cut": self._cut},
            )
            self._cut, self._log_at = 0, now + LOG_SECONDS

    @contextmanager
    def outliving_sigterm(self) -> Iterator[None]:
        """Pass the first SIGTERM on to uvicorn, but only after `Limits.accept` seconds; SIGINT stops it at once."""
        stop = signal.getsignal(signal.SIGTERM)
        if not callable(stop) or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def on_sigterm(number: int, _frame: object) -> None:
            if not self.stopping:  # Heroku sends it to every process, and parents pass theirs on
                self.stopping = True
                loop.call_soon_threadsafe(self.ending.set)
                loop.call_soon_threadsafe(loop.call_later, self.limits.accept, stop, number, None)

        signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, stop)


class _RefusedError(Exception):
    """Raised within the parser to stop it, with the status to answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__()
        self.status = status


class HttpConnection(HttpToolsProtocol):
    """One connection. The parser never holds more than `HEAD_LIMIT` bytes, and never waits without a deadline.

    A request may be answered before its body has arrived. Then the rest is read and dropped, because a sender cut off
    while sending would never read the answer.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shared: Connections = app_state[STATE]
        self.waiting_since = math.inf
        """Since when the sender has kept us waiting; infinite while it waits for our answer."""
        self._deadline: asyncio.TimerHandle | None = None
        self._unparsed = 0  # bytes that the parser was fed since it last completed a head or a piece of a body
        self._in_body = False
        self._discarded = 0
        self._keep_alive = True  # whether the connection stays open after the current request
        self._upgrading = False  # whether the head asks for another protocol and is to be read again without that
        self._ignoring = False  # whether all further bytes are dropped

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        self._limit(self._shared.limits.head)
        if len(self.connections) > self._shared.most:
            self._shared.make_room(self.connections)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit(None)
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close the connection without waiting for the sender."""
        self.waiting_since = math.inf
        self.connections.discard(self)
        self.transport.abort()

    def shutdown(self) -> None:
        self._keep_alive = False
        self._shared.ending.set()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._in_body and self.cycle.response_complete:
            self._discarded += len(data)
            if self._discarded > DISCARD_LIMIT:
                self.cut()
        while data and not self._ignoring and not self.transport.is_closing():
            room = HEAD_LIMIT - self._unparsed
            piece, data = data[:room], data[room:]
            self._unparsed += len(piece)
            self._parse(piece)
            if not self._ignoring and (self._unparsed >= HEAD_LIMIT or len(self.headers or ()) > HEADERS_LIMIT):
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._unparsed and not self._in_body and self._deadline is None:
            self._limit(self._shared.limits.head)

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            head = self._plain_head()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self._parse(head + piece[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            refused = error.__context__
            self._refuse(refused.status if isinstance(refused, _RefusedError) else HTTPStatus.BAD_REQUEST)

    def _plain_head(self) -> bytes:
        """Return the head without its wish for another protocol (h2c, WebSocket), which a server may ignore."""
        self._upgrading = False
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request that we serve, unless an earlier one is, and close the connection."""
        self._ignoring = True
        if self._in_body:
            self.cut()
            return
        if self._is_answering():
            self.cycle.keep_alive = False
            return
        _log.debug("Invalid HTTP request received", extra={"status": status.value})
        reason = status.phrase.encode()
        head = b"%scontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (STATUS_LINE[status], len(reason)) + reason)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        if self._is_answering():
            raise _RefusedError(HTTPStatus.BAD_REQUEST)  # pipelined: thousands would fit into one read
        super().on_message_begin()
        self.waiting_since = self.loop.time()

    def on_headers_complete(self) -> None:
        if len(self.headers) > HEADERS_LIMIT:
            raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED)
            self._upgrading = True
            return
        super().on_headers_complete()
        if self._deadline is not None:
            self._limit(None)
        self._unparsed = 0
        self._in_body = True
        # An answer before the end of the body does not close the connection; `on_message_complete` does.
        self._keep_alive = self.cycle.keep_alive and not self._shared.stopping
        self.cycle.keep_alive = True

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        super().on_message_complete()
        self._unparsed = 0
        self._in_body = False
        self.cycle.keep_alive = self._keep_alive
        if not self.cycle.response_complete:
            self.waiting_since = math.inf
        elif self._keep_alive:
            self._discarded = 0
            self._limit(None)
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()

    # Callbacks of the answer.

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.waiting_since = self.loop.time()
        self.cycle.body.clear()
        if self._in_body:
            self._unset_keepalive_if_required()
            self._limit(self._shared.limits.discard)
        elif self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._limit(self._shared.limits.head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waiting_since = self.loop.time()
        self._limit(self._shared.limits.head)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._in_body:
            self._limit(None)

    def _limit(self, seconds: float | None) -> None:
        """Cut the connection after some seconds, and no longer at an earlier deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.cut)


def _open_files() -> int:
    """Raise the limit of open files to what `Limits.connections` needs, if the system allows it; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = Limits().connections + RESERVED + BACKLOG
    if resource.RLIM_INFINITY != soft < needed and soft != hard:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return needed if soft == resource.RLIM_INFINITY else soft
