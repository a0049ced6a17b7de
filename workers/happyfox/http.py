"""The connection to an account's API: the only way a call leaves this process.

Every call runs under a permit and a hard total deadline. No redirects, no automatic retries, no proxies from
the environment. HTTP/1.1 only: its trace hook marks the moment before the first byte leaves, which decides
whether a failed call is unsent or in doubt.
"""

import base64
import contextlib
import io
import json
import logging
import os
import re
import socket
import ssl
import threading
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from workers.errors import InDoubt, NotNow, StoreUnavailable, Unfit, Unreachable, Unsent
from workers.happyfox.buffer import PIECE, Buffer
from workers.happyfox.messages import BASE, Answer, File, RawBody, Request, permit_outcome
from workers.http_library import httpcore, httpx
from workers.settings import Account, Priority, is_loopback
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.figures import count_call
from workers.store.permits import Governor
from workers.version import __version__

log = logging.getLogger(__name__)

#: The User-Agent of all calls.
AGENT = f"foxhooks/{__version__}"

#: A call with files may take this many times longer.
WITH_FILES = 4

#: Seconds a download may take.
DOWNLOAD = 300.0

#: Seconds an idle connection is kept; the longer, the more likely the server closes it during a write.
KEEP_ALIVE = 5.0

#: Most bytes of all files of one request (KB 1039: 25 MB). The smaller meaning of MB is used.
MOST_UPLOADED = 25 * 1000 * 1000

#: Most bytes of an answer, decompressed.
MOST_BYTES = 32 * 1024 * 1024

#: Answers of one kind (method, path without numbers, status) are noted again after this many seconds, to record what
#: they look like; larger ones (bytes) never, and no more kinds than these.
NOTE_EVERY, MOST_NOTED, MOST_KINDS = 300.0, 64 * 1024, 200

#: The numbers in a path.
NUMBERS = re.compile(r"/\d+(?=/|$)")

#: The trace event before the first byte of a call leaves.
LEAVING = "http11.send_request_headers.started"

#: Headers that are wrong once the body is decompressed.
UNPACKED = ("content-encoding", "content-length", "transfer-encoding")

#: How a connection can fail.
FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, zlib.error)


class ApiConnection:
    """Makes the calls of one account; one object for all threads of a process."""

    def __init__(self, account: Account, governor: Governor, store: Store) -> None:
        self._site, self._timeout = account.url.rstrip("/"), account.timeout
        check_scheme(self._site)
        self._governor, self._store = governor, store
        credentials = f"{account.api_key.reveal()}:{account.auth_code.reveal()}"
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode(),
            "User-Agent": AGENT,
        }
        self._noted: dict[str, float] = {}
        self._answers: deque[tuple[str, bytes]] = deque(maxlen=MOST_KINDS)
        self._locked_until = float("-inf")
        self._deadline = _Deadline()
        # At DEBUG httpcore would log the headers of answers, which may contain signed links.
        logging.getLogger(httpcore.__name__).setLevel(logging.INFO)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=governor.in_flight,
            max_keepalive_connections=governor.in_flight,
            keepalive_expiry=KEEP_ALIVE,
            http1=True,
            http2=False,
            retries=0,
            network_backend=_Backend(self._deadline),
        )

    def send(
        self,
        request: Request,
        *,
        permit: str | None = None,
        send_by: float | None = None,
        still_held: Callable[[], bool] | None = None,
        timeout: float | None = None,
        priority: Priority = "normal",
        spool: bool = False,
    ) -> Answer:
        """Make one call and return its answer, whatever the status.

        A ``permit`` passed in is settled by the caller and must outlive ``send_by`` plus ``timeout``; otherwise a
        permit of ``priority`` is taken and settled here. ``send_by``, in ``monotonic()`` seconds, and ``still_held``
        are checked just before the first byte leaves. ``timeout`` is the total time of the call; a call with files
        has four times the account's. With ``spool``, a large answer is in a file, which the caller closes.

        Raises ``NotNow`` without a permit, ``Unsent`` if no byte left, ``InDoubt`` if a byte left and no whole answer
        came, and ``Unfit`` for a body that cannot be sent.
        """
        total = timeout or self._timeout * (WITH_FILES if request.files else 1)
        deadline = monotonic() + total
        with encoded(request, self._site + BASE, self._headers) as sent:
            id = self._take_permit(request.method, priority, total) if permit is None else permit
            began = monotonic()
            result: Answer | Unsent | InDoubt = InDoubt("the call was interrupted")
            try:
                check = partial(self._refuse_if_late, deadline, send_by, still_held)
                result = self._call(sent, deadline, check, read=partial(_spooled if spool else _read, most=MOST_BYTES))
                self._note(request, result)
                return result
            except (Unsent, InDoubt) as error:
                result = error
                raise
            finally:
                if permit is None:
                    self._settle(request.method, id, result, int((monotonic() - began) * 1000))

    def download(self, link: str, sink: Callable[[bytes], object], most: int) -> int:
        """Read a signed link into ``sink``, at most ``most`` bytes; return the status.

        The link does not point to the API (KB 1039), so it needs no permit. Storage services refuse credentials in
        addition to the signature. Old accounts have relative links. Raises ``Unsent`` and ``InDoubt``; no error shows
        the link.
        """
        url = f"{self._site}{link}" if link.startswith("/") else link
        check_scheme(url)
        request = httpx.Request("GET", url, headers={"Accept": "*/*", "User-Agent": AGENT})
        return self._call(request, monotonic() + DOWNLOAD, read=partial(_read, sink=sink, most=most)).status

    def close(self) -> None:
        self._pool.close()

    def _note(self, request: Request, answer: Answer) -> None:
        """Keep an answer, the first of its kind in a while, until somebody records what it looks like."""
        what = f"{request.method} {NUMBERS.sub('/N', request.path).strip('/')} {answer.status}"
        now = monotonic()
        small = answer.large is None and len(answer.body) <= MOST_NOTED
        if now >= self._noted.get(what, now) and small and len(self._noted) < MOST_KINDS:
            self._noted[what] = now + NOTE_EVERY
            self._answers.append((what, answer.body))

    def take_answers(self) -> list[tuple[str, bytes]]:
        """Return answers that were not recorded yet: what was called, with its status, and the body."""
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def _take_permit(self, method: str, priority: Priority, total: float) -> str:
        id = uuid.uuid4().hex
        grant = self._store.run(self._governor.permit(method, id, priority, int(total * 1000)))
        if grant.wait:
            raise NotNow(grant.wait, grant.why)
        return id

    def _settle(self, method: str, permit: str, result: Answer | Unsent | InDoubt, took: int) -> None:
        outcome, wait = permit_outcome(method, result)
        age = int((monotonic() - result.at) * 1000) if isinstance(result, Answer) else 0
        try:
            counted = count_call(method, outcome, took)
            self._store.run(self._governor.release(method, permit, outcome, age, wait, counted))
        except StoreUnavailable as error:
            # The answer matters more; the slot expires by itself later.
            log.warning("permit of a call not settled: %s", error)

    def _call(
        self,
        request: httpx.Request,
        deadline: float,
        check: Callable[[], None] = lambda: None,
        *,
        read: Callable[[httpcore.Response], bytes | Buffer],
    ) -> Answer:
        """Make one call and read its answer; ``check`` runs before the first byte leaves."""
        left = False

        def trace(event: str, _: Any) -> None:
            nonlocal left
            if event == LEAVING:
                check()
                left = True

        limit = max(0.001, deadline - monotonic())
        url = request.url
        call = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"trace": trace, "timeout": dict.fromkeys(("connect", "read", "write", "pool"), limit)},
        )
        self._deadline.at = deadline
        try:
            response = self._pool.handle_request(call)
            at = monotonic()
            if response.status == 429:
                self._locked_until = at + self._governor.lockout
            body = read(response)
        except CutOff as error:
            fix = "the call was aborted, so HappyFox should ignore it: check before you send it again"
            raise InDoubt(f"{error}; {fix}") from None
        except FAILURES as error:
            if left:
                raise InDoubt(_in_doubt(request.method, error)) from error
            raise Unreachable(_unsent(error)) from error
        finally:
            self._deadline.at = None
        received = {name: value for name, value in httpx.Headers(response.headers).items() if name not in UNPACKED}
        if isinstance(body, bytes):
            return Answer(response.status, received, body, at)
        return Answer(response.status, received, b"", at, body)

    def _refuse_if_late(self, deadline: float, send_by: float | None, still_held: Callable[[], bool] | None) -> None:
        """Raise ``Unsent`` if the call was delayed after its permit was taken."""
        now = monotonic()
        if now > deadline or (send_by is not None and now > send_by):
            raise Unsent("the call is too late, because this process was delayed; nothing was sent")
        if now < self._locked_until:
            raise Unsent("the account was locked out in the meantime; nothing was sent")
        if still_held is not None and not still_held():
            raise Unsent("the lease is no longer held; nothing was sent")


def check_scheme(url: str) -> None:
    """Refuse to send anything unencrypted to another machine."""
    address = httpx.URL(url)
    if address.host and (address.scheme == "https" or (address.scheme == "http" and is_loopback(address.host))):
        return
    raise Unfit("HappyFox is called by https only; plain http is only for this machine: correct HAPPYFOX_URL")


def _in_doubt(method: str, error: BaseException) -> str:
    fix = "a read may be repeated" if method == "GET" else "check whether it was done before you send it again"
    return f"the call was sent and has no complete answer ({_cause(error)}): {fix}"


def _unsent(error: BaseException) -> str:
    cause = _cause(error)
    fix = "the certificate is not for this host" if cause == "SSLCertVerificationError" else "try again"
    return f"HappyFox cannot be reached ({cause}); nothing was sent: check HAPPYFOX_URL, {fix}"


def _cause(error: BaseException) -> str:
    """Return the name of the first cause, such as ``ConnectionRefusedError``."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return type(error).__name__


# Answers


def _read(response: httpcore.Response, most: int, sink: Callable[[bytes], object] | None = None) -> bytes:
    """Read an answer to its end; only a success must be complete.

    With ``sink`` the body of a success goes there instead. Raises ``InDoubt`` for more than ``most`` bytes.
    """
    success = 200 <= response.status < 300
    try:
        if sink is not None and success:
            for piece in _pieces(response, most):
                sink(piece)
            return b""
        return b"".join(_pieces(response, most))
    except (*FAILURES, InDoubt):
        if success:
            raise
        return b""
    finally:
        response.close()


def _spooled(response: httpcore.Response, most: int) -> bytes | Buffer:
    """Read an answer to its end as ``_read`` does; return a buffer if it is large."""
    buffer = Buffer()
    try:
        for piece in _pieces(response, most):
            buffer.add(piece)
    except (*FAILURES, InDoubt):
        buffer.close()
        if 200 <= response.status < 300:
            raise
        return b""
    finally:
        response.close()
    return buffer if buffer.is_large else buffer.read()


def _pieces(response: httpcore.Response, most: int) -> Iterator[bytes]:
    encoding = httpx.Headers(response.headers).get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise InDoubt("the answer is compressed in a way that was not asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    length = 0
    for chunk in response.iter_stream():
        for piece in _unpacked(unpack, chunk) if unpack else (chunk,):
            length += len(piece)
            if length > most:
                raise InDoubt(f"the answer is larger than {most} bytes")
            yield piece
    if unpack and length and not unpack.eof:
        raise InDoubt("the answer is cut off")


def _unpacked(unpack: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """Yield what a compressed chunk contains, in pieces: it may be a thousand times as large."""
    piece = b"more"
    while chunk or len(piece) == PIECE:
        piece = unpack.decompress(chunk, PIECE)
        chunk = unpack.unconsumed_tail
        yield piece


# Deadlines: HTTP libraries limit each single wait, so a server that sends a byte now and then could block a call
# forever. Here every wait is limited to the remaining time of the whole call. Only a DNS lookup can last longer; then
# nothing is sent.


class _Deadline(threading.local):
    """When the current call of this thread must be over, in ``monotonic()``."""

    at: float | None = None

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return how long the next wait may last; raise ``error`` if the time is up."""
        if self.at is None:
            return timeout
        left = self.at - monotonic()
        if left <= 0:
            raise error("the deadline of the call has passed")
        return left if timeout is None else min(timeout, left)


class _Backend(httpcore.SyncBackend):
    """Opens connections within the deadline, all addresses of the host together."""

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
            raise httpcore.ConnectError("the host name is unknown") from error
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


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # One piece at a time, because each may have to wait.
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


# Requests


class CutOff(Exception):
    """A file became shorter or unreadable while it was sent."""


class _MeasuredFile(io.FileIO):
    """An open file that is sent at the length it had when it was opened."""

    def __init__(self, file: File, path: Path) -> None:
        self._file = file
        if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for its other end
            raise Unfit(f"{file.name} is not a file but a pipe or device; nothing was sent")
        try:
            super().__init__(path)
        except OSError as error:
            raise Unfit(f"the file {file.name} cannot be read ({error.strerror}); nothing was sent") from None
        self.length = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = self.length - self.tell()
        try:
            piece = super().read(min(size, left) if size and size > 0 else left)
        except OSError as error:
            raise CutOff(f"the file {self._file.name} could not be read to its end ({error.strerror})") from None
        if left and not piece:
            raise CutOff(f"the file {self._file.name} became shorter while it was sent")
        return piece


@contextlib.contextmanager
def encoded(request: Request, base: str, headers: Mapping[str, str]) -> Iterator[httpx.Request]:
    """Yield a request as it is sent; its files are open until the end.

    All files are opened and measured before the first byte leaves: one deleted meanwhile is still sent, one that grows
    is sent at its first length. Raises ``Unfit`` for files that are unreadable or too large, and for a value that
    cannot be sent.
    """
    body: dict[str, Any] = {}
    with contextlib.ExitStack() as opened:
        if request.raw is not None:
            body, headers = {"content": _from_start(request.raw)}, {**headers, "Content-Type": request.raw.content_type}
        elif request.files:
            body = {"data": _form(request.body or {}), "files": _open_files(request.files, opened)}
        elif request.body is not None:
            body, headers = {"content": _json(request.body)}, {**headers, "Content-Type": "application/json"}
        if any(unquote(part) in (".", "..") for part in request.path.split("/")):
            raise Unfit("the path contains a dot segment, which would lead to another path; nothing was sent")
        url, query = base + request.path, request.query or None
        try:
            sent = httpx.Request(request.method, url, params=query, headers=headers, **body)
        except UnicodeEncodeError:  # half of a surrogate pair
            raise Unfit("a text or file name contains a character that cannot be sent; nothing was sent") from None
        yield sent


def _form(members: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members of a form; refuse a value that a form cannot express."""
    for name, value in members.items():
        if not all(isinstance(each, str | int | float) for each in (value if isinstance(value, list) else [value])):
            raise Unfit(
                f"{name} cannot be sent together with files, because a form has no such value: send it separately"
            )
    return members


def _open_files(files: Iterable[File], opened: contextlib.ExitStack) -> list[Any]:
    """Return the parts of a form for its files, in the shape that ``httpx`` expects."""
    parts, total = [], 0
    for file in files:
        stream = file.path and opened.enter_context(_MeasuredFile(file, file.path))
        total += stream.length if stream else len(file.content)
        parts.append((file.member, (file.name, stream or file.content, " ".join(file.content_type.split()))))
    if total > MOST_UPLOADED:
        most = MOST_UPLOADED // 1_000_000
        raise Unfit(f"the files have {total} bytes in total, but HappyFox accepts {most} MB; nothing was sent")
    return parts


def _from_start(raw: RawBody) -> bytes | BinaryIO:
    if not isinstance(raw.content, bytes):
        raw.content.seek(0)
    return raw.content


def _json(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise Unfit(f"a value of the call cannot be written as JSON ({error}); nothing was sent") from None
