"""Answer the requests of clients: who asks, what exactly, and the answer of HappyFox byte for byte."""

import asyncio
import base64
import hmac
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from service.gateway.bodies import BadBody, digest, most_bytes, read_body
from service.gateway.driver import GatewayAccounts
from workers.gateway.answers import ClientAnswer
from workers.happyfox.buffer import PIECE, Buffer
from workers.happyfox.messages import Request
from workers.settings import GatewayClient

#: Seconds for a complete body, and for a client to read its answer.
BODY_SECONDS, ANSWER_SECONDS = 120.0, 120.0
#: Bytes of large answers that may wait in files for their clients to read them.
MOST_WAITING: Final = 512 * 1024 * 1024

_PATH: Final = re.compile(r"/gateway/([a-z0-9-]{1,100})/api/1\.1/json((?:/[A-Za-z0-9_.@+~!$&'*=:,%-]{1,300})+/?)")
_OVERRIDES: Final = ("x-http-method-override", "x-http-method", "x-method-override")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class BadRequest(Exception):
    """A request is not passed on; ``status`` is that of the answer."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(why)
        self.status, self.headers = status, headers


class Clients:
    """The clients by their names and tokens."""

    def __init__(self, clients: Mapping[str, GatewayClient]) -> None:
        self._clients = clients
        self._digests = {name: _digest(client.token.reveal()) for name, client in clients.items()}

    def of(self, authorization: str) -> GatewayClient | None:
        """Return the client of a header ``Authorization``: Basic with its name and token, or Bearer with its token."""
        scheme, _, credentials = authorization.partition(" ")
        name, token = "", credentials.strip()
        if scheme.lower() == "basic":
            try:
                name, _, token = base64.b64decode(token, validate=True).decode().partition(":")
            except ValueError:
                return None
        elif scheme.lower() != "bearer":
            return None
        given, found = _digest(token), None
        for known, expected in self._digests.items():
            if hmac.compare_digest(given, expected) and name in ("", known):
                found = self._clients[known]
        return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


class GatewayEndpoint:
    """Answer HappyFox's own paths below ``/gateway/{account}``; a plain ASGI application."""

    def __init__(self, accounts: GatewayAccounts, clients: Mapping[str, GatewayClient]) -> None:
        self._accounts, self._clients = accounts, Clients(clients)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        try:
            client = self._clients.of(headers.get("authorization", ""))
            if client is None:
                why = "this is no client's name and token: see [clients.NAME] in the settings of foxhooks"
                raise BadRequest(401, why, **{"www-authenticate": 'Basic realm="foxhooks"'})
            account, request_of = self._target(scope, headers)
            if self._waiting > MOST_WAITING:
                why = "too many large answers wait for their clients to read them; nothing was sent"
                raise BadRequest(503, why, **{"retry-after": "5"})
            buffer = Buffer()
            try:
                reply = await self._reply(account, client, scope, headers, request_of, buffer, receive)
            finally:
                buffer.close()
        except BadRequest as bad:
            await _answer(send, bad.status, _error(str(bad)), bad.headers)
        except BadBody as bad:
            await _answer(send, bad.status, _error(str(bad)), {"connection": "close"} if bad.status == 413 else {})
        else:
            await self._answer(send, reply)

    async def _answer(self, send: Send, reply: ClientAnswer) -> None:
        headers = {"content-type": reply.content_type}
        if reply.retry:
            headers["retry-after"] = str(reply.retry)
        if reply.repeated:
            headers["idempotency-replayed"] = "true"
        if reply.large is None:
            await _answer(send, reply.status, reply.body, headers)
            return
        self._waiting += reply.large.length
        try:
            await _answer(send, reply.status, reply.large, headers)
        finally:
            self._waiting -= reply.large.length
            reply.close()

    def _target(self, scope: Scope, headers: Headers) -> tuple[str, Request]:
        """Return the account and the request without its body."""
        path = scope["raw_path"].decode("latin-1")
        match = _PATH.fullmatch(path)
        parts = match[2].split("/") if match else []
        if not match or any(part in (".", "..") or ("%" in part and parts[1] != "user") for part in parts):
            raise BadRequest(404, "HappyFox's paths are below /gateway/ACCOUNT/api/1.1/json/, in their plain form")
        if match[1] not in self._accounts:
            raise BadRequest(404, "this account is not configured here")
        if any(name in headers for name in _OVERRIDES):
            raise BadRequest(400, "a header that replaces the method is not accepted")
        if headers.get("content-encoding", "identity") != "identity":
            raise BadRequest(415, "send the body without a Content-Encoding")
        return match[1], Request(scope["method"], match[2], _query(scope["query_string"]))

    async def _reply(
        self,
        account: str,
        client: GatewayClient,
        scope: Scope,
        headers: Headers,
        request: Request,
        buffer: Buffer,
        receive: Receive,
    ) -> ClientAnswer:
        content_type = headers.get("content-type", "")
        await receive_body(receive, buffer, most_bytes(content_type))
        members, files, raw = read_body(content_type, buffer)
        if raw is not None and request.method == "GET":
            raise BadRequest(400, "a GET has no body")
        request = Request(request.method, request.path, request.query, members, files, raw)
        key = _key(headers) if request.method != "GET" else ""
        found = ""
        if key:
            parts = (request.method, request.path, scope["query_string"].decode("latin-1"))
            found = sha256(repr(parts).encode() + (digest(content_type, buffer) if raw else b"")).hexdigest()
            key = sha256(f"{client.name}\0{key}".encode()).hexdigest()[:40]
        return await self._accounts.perform(account, client, request, key=key, digest=found)


def _query(raw: bytes) -> dict[str, str | tuple[str, ...]]:
    """Return the parameters of a request; only ``category`` may be repeated."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise BadRequest(400, "the query string cannot be read") from None
    found: dict[str, str | tuple[str, ...]] = {}
    for name, value in pairs:
        before = found.get(name, ())
        if name == "category":
            found[name] = (*((before,) if isinstance(before, str) else before), value)
        elif name in found:
            raise BadRequest(400, "the query string repeats a parameter")
        else:
            found[name] = value
    return found


def _key(headers: Headers) -> str:
    given = headers.getlist("idempotency-key")
    if not given:
        return ""
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise BadRequest(400, "an Idempotency-Key has 1 to 255 printable ASCII characters, and is given once")
    return given[0]


async def receive_body(receive: Receive, buffer: Buffer, most: int) -> None:
    """Receive the whole body, of at most ``most`` bytes, within ``BODY_SECONDS``."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BadRequest(400, "the client has disconnected")
                buffer.add(message.get("body", b""))
                if buffer.length > most:
                    raise BadBody(f"the body has more than {most:,} bytes; nothing was sent", 413)
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        raise BadRequest(408, f"the body did not arrive within {BODY_SECONDS:g} s", connection="close") from None


def _error(why: str) -> bytes:
    return msgspec.json.encode({"error": why})


async def _answer(send: Send, status: int, body: bytes | Buffer, headers: Mapping[str, str]) -> None:
    """Send an answer in pieces; give up on a client that does not read it."""
    length, pieces = (len(body), _pieces(body)) if isinstance(body, bytes) else (body.length, body.pieces())
    listed = {"content-type": "application/json", **headers, "content-length": str(length)}
    async with asyncio.timeout(ANSWER_SECONDS):
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in listed.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]
