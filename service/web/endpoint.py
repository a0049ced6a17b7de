"""The webhook endpoint: check a signed POST, turn it into an arrival, and answer once it is stored.

A plain ASGI callable, because a request object per delivery would cost more than checking its signature.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from time import perf_counter
from typing import Final, Literal

import msgspec
from starlette.types import Receive, Scope, Send

from service.web.recorder import ShapeRecorder
from service.web.refusals import Refusals
from service.web.writer import GroupCommit
from workers.errors import StoreUnavailable
from workers.store.inbox import Arrival, unreadable
from workers.store.inbox import receive as arrival_of
from workers.traces import traces
from workers.webhook import HEADER, KnownHosts, UnreadableBody, Verifier, parse

#: Largest body in bytes. HappyFox sends links to attachments, never their content.
BODY_LIMIT: Final = 5 * 1024 * 1024
#: Largest small body in bytes. A small body is always received; only the number of connections limits them.
SMALL_BODY: Final = 64 * 1024
#: Bytes of all larger bodies being received at once; anyone can send some, signed or not.
MEMORY_LIMIT: Final = 32 * 1024 * 1024
#: Seconds after which to send a delivery again that could not be stored.
RETRY_AFTER: Final = 5

Kind = Literal["created", "updated", ""]

#: What may follow the account in the path, and the kind that it sets for a body without an event type.
KINDS: Final[Mapping[str, Kind]] = {"": "", "created": "created", "updated": "updated"}
_SIGNATURE: Final = HEADER.lower().encode()
#: What a signature looks like. Nothing is read of a body without one.
_is_signature: Final = re.compile(rb"(?:sha1=|sha256=)?[a-z0-9+/=_-]{20,128}", re.IGNORECASE).fullmatch
_KEPT_HEADERS: Final = frozenset({b"content-type", b"content-encoding", b"user-agent", b"x-request-id"})
#: Parts of the names of headers that may contain a secret; another product's signature is one of them.
_NEVER_KEPT: Final = re.compile(rb"signature|auth|token|secret|key|cookie|password")
_HAPPYFOX_HEADERS: Final = b"x-happyfox-"  # HappyFox documents only the signature; keep any other that appears
JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
RETRY: Final = (b"retry-after", str(RETRY_AFTER).encode())
_CLOSE: Final = (b"connection", b"close")
#: The message of the cancellation of a body that did not arrive in time.
_LATE: Final = "late"

_log = logging.getLogger(__name__)


class RejectedError(Exception):
    """A delivery is rejected: the HTTP status, a short reason to count, and a sentence for people."""

    def __init__(self, status: int, reason: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers


class BadSignatureError(RejectedError):
    """The signature is wrong; it and the body are examined after the answer.

    Without a body, the signature does not even look like one, and the body was not read.
    """

    def __init__(self, signature: bytes, body: bytes | None) -> None:
        if body is None:
            super().__init__(401, "malformed-signature", f"the header {HEADER} does not look like a signature")
        else:
            super().__init__(401, "bad-signature", "the signature matches no webhook secret of this account")
        self.signature, self.body = signature, body


class DisconnectedError(Exception):
    """The sender disconnected before the body was complete, so there is no one to answer."""


class WebhookEndpoint:
    """Receive the deliveries of all accounts, each with the verifier of its signing keys."""

    def __init__(
        self,
        verifiers: Mapping[str, Verifier],
        hosts: Mapping[str, KnownHosts],
        commit: GroupCommit,
        bodies: "BodyReader",
        refusals: Refusals,
        recorder: ShapeRecorder,
    ) -> None:
        self._verifiers, self._hosts, self._commit, self._bodies = verifiers, hosts, commit, bodies
        self._refusals, self._recorder = refusals, recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        account = scope["path_params"]["account"]
        kind = KINDS.get(scope["path_params"].get("kind", "").removesuffix("/"))
        if method not in ("POST", "GET", "HEAD"):
            self._refusals.misdirected(scope, "method")
            await reject(send, RejectedError(405, "method", "send webhooks with POST", (b"allow", b"GET, HEAD, POST")))
        elif account not in self._verifiers or kind is None:
            self._refusals.misdirected(scope, "unknown-path" if kind is None else "unknown-account")
            unknown = "this account is not configured here" if kind is not None else "there is nothing at this path"
            await reject(send, RejectedError(404, "unknown", unknown))
        elif method == "POST":
            await self._deliver(account, kind, scope, receive, send)
        else:
            text = f"This URL is correct. HappyFox sends the webhooks of the account {account} here with POST.\n"
            await answer(send, 200, text.encode() if method == "GET" else b"", TEXT)

    async def _deliver(self, account: str, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, store and answer one delivery; count it if it is rejected."""
        began = perf_counter()
        try:
            arrival = await self._receive(account, kind, scope, receive)
            await store_and_answer(self._commit, account, arrival, send, began)
        except RejectedError as rejected:
            self._commit.count_refused(account, rejected.reason)
            await reject(send, rejected)
            if isinstance(rejected, BadSignatureError):
                self._refusals.bad_signature(account, rejected.signature, rejected.body)
        except DisconnectedError:
            self._commit.count_refused(account, "truncated")
        else:
            if self._recorder.wants(len(arrival.body)):
                self._recorder.delivery(account, dict(scope["headers"])[_SIGNATURE], arrival)

    async def _receive(self, account: str, kind: Kind, scope: Scope, receive: Receive) -> Arrival:
        """Read a delivery and check its signature; parse nothing before the signature is valid."""
        signatures: list[bytes] = []
        kept: list[tuple[bytes, bytes]] = []
        length = 0
        for name, value in scope["headers"]:
            if name == _SIGNATURE:
                signatures.append(value)
            elif name in _KEPT_HEADERS or (name.startswith(_HAPPYFOX_HEADERS) and not _NEVER_KEPT.search(name)):
                kept.append((name, value))
            elif name == b"content-length":
                length = int(value)
        if len(signatures) != 1:
            reason = "two-signatures" if signatures else "no-signature"
            raise RejectedError(401, reason, f"send the header {HEADER} exactly once")
        if not _is_signature(signatures[0]):
            raise BadSignatureError(signatures[0], None)
        if length > BODY_LIMIT:
            raise too_large(BODY_LIMIT)
        body = await self._bodies.read(receive)
        if not (position := self._verifiers[account](signatures[0], body)):
            raise BadSignatureError(signatures[0], body)
        self._refusals.signed(account, position)
        headers = _headers_as_json(tuple(kept))
        content_type = dict(kept).get(b"content-type", b"")
        try:
            delivery = parse(body, content_type.decode("latin-1"), kind, self._recorder.learned(account))
            return arrival_of(delivery, body, headers, host=self._hosts[account].check(delivery.host))
        except UnreadableBody as error:
            return unreadable(error.reason, body, headers, kind=kind)
        except Exception as error:  # noqa: BLE001 - our own mistake must not lose a delivery
            # Log the type alone: the text may quote a customer.
            _log.error("could not parse a delivery; it is in quarantine", extra={"error": type(error).__name__})
            return unreadable("unexpected", body, headers, kind=kind)


async def store_and_answer(commit: GroupCommit, account: str, arrival: Arrival, send: Send, began: float) -> None:
    """Answer once an arrival is durable; raise RejectedError if it cannot be stored.

    ``began`` is when the request did, by ``perf_counter``.
    """
    try:
        accepted = await commit.store(account, arrival)
    except StoreUnavailable as error:
        raise RejectedError(503, "not-stored", str(error), RETRY) from None
    body = f'{{"status":"{accepted.status}","event":"{accepted.event}"}}'
    await answer(send, 200, body.encode(), JSON)
    seconds = perf_counter() - began
    commit.count_ack(account, seconds)
    traces.accepted(account, accepted.event, accepted.status, seconds)


class BodyReader:
    """Read request bodies within limits of size, memory and time.

    One timer watches all bodies, because a timer per body would cost more than checking its signature.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._large = 0  # bytes of all large bodies being received
        self._deadlines: dict[asyncio.Task[object], float] = {}  # the earliest first
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, most: int = BODY_LIMIT) -> bytes:
        """Read one body of at most ``most`` bytes. Raise ``RejectedError`` beyond a limit, or ``DisconnectedError``."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._deadlines[task] = deadline = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._cancel_late)
        try:
            return await self._collect(receive, most)
        except asyncio.CancelledError as error:
            if error.args != (_LATE,):
                raise
            task.uncancel()
            raise RejectedError(408, "slow", "the body did not arrive in time", _CLOSE) from None
        finally:
            self._deadlines.pop(task, None)

    def _cancel_late(self) -> None:
        """Cancel the reads whose time is up, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, deadline in list(self._deadlines.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._cancel_late)
                break
            del self._deadlines[task]
            task.cancel(_LATE)

    async def _collect(self, receive: Receive, most: int) -> bytes:
        parts: list[bytes] = []
        size, large, more = 0, 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                parts.append(part)
                if size > most:
                    raise too_large(most)
                if size > SMALL_BODY:
                    self._large += size - large
                    large = size
                    if self._large > MEMORY_LIMIT:
                        raise RejectedError(503, "crowded", "too many large bodies are being received", RETRY)
        finally:
            self._large -= large
        return b"".join(parts) if len(parts) > 1 else parts[0]


def too_large(most: int) -> RejectedError:
    """Return the rejection of a body with more than ``most`` bytes."""
    size = f"{most // 1024**2} MiB" if most >= 1024**2 else f"{most // 1024} KiB"
    return RejectedError(413, "too-large", f"the body is larger than {size}")


@lru_cache(1024)
def _headers_as_json(kept: tuple[tuple[bytes, bytes], ...]) -> str:
    """Encode headers as JSON; almost every delivery has the same few."""
    pairs = {name.decode("latin-1"): value.decode("latin-1") for name, value in kept}
    return msgspec.json.encode(pairs).decode()


async def reject(send: Send, rejected: RejectedError) -> None:
    body = msgspec.json.encode({"error": str(rejected)})
    await answer(send, rejected.status, body, JSON, *rejected.headers)


async def answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
