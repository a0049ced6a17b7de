"""The webhook endpoint: from the raw request to a delivery that is stored, or an answer that says why not.

A plain ASGI callable, because a request object for each delivery would cost more than verifying it.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec
from starlette.types import Receive, Scope, Send

from service.intake.body import LIMIT, Bodies, CrowdedError, DisconnectedError, TooLargeError, TooSlowError
from service.intake.commit import Commit
from workers.errors import StoreUnavailable
from workers.events.delivery import Unreadable, parse
from workers.events.signature import HEADER, Verifier
from workers.lanes.inbox import Arrival, unreadable
from workers.lanes.inbox import receive as arrival_of

#: Seconds after which a delivery that could not be stored is worth sending again.
RETRY_AFTER: Final = 5

Kind = Literal["created", "updated", ""]

#: What may stand behind the account in the path, and the kind that a body without an event type then has.
_KINDS: Final[Mapping[str, Kind]] = {
    "": "",
    "created": "created",
    "created/": "created",
    "updated": "updated",
    "updated/": "updated",
}
_SIGNATURE: Final = HEADER.lower().encode()
_KEPT: Final = frozenset({b"content-type", b"user-agent", b"x-request-id"})
_OWN: Final = b"x-happyfox-"  # HappyFox names no other header of its own; if one appears, it is kept
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_LATER: Final = (b"retry-after", str(RETRY_AFTER).encode())
_CLOSE: Final = (b"connection", b"close")
_TOO_LARGE: Final = (413, "too-large", "a delivery has at most 5 MiB")

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A delivery that is turned away: the status, a word to count it by, a sentence for a person."""

    def __init__(self, status: int, reason: str, sentence: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(reason)
        self.status, self.reason, self.sentence, self.headers = status, reason, sentence, headers


class Webhook:
    """Takes the deliveries of all accounts; ``accounts`` holds what verifies the signatures of each."""

    def __init__(self, accounts: Mapping[str, Verifier], commit: Commit, bodies: Bodies) -> None:
        self._accounts, self._commit, self._bodies = accounts, commit, bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method not in ("POST", "GET", "HEAD"):
            await self._bodies.discard(receive)
            await _refuse(send, RefusedError(405, "method", "send deliveries by POST", (b"allow", b"GET, HEAD, POST")))
            return
        account = scope["path_params"]["account"]
        kind = _KINDS.get(scope["path_params"].get("kind", ""))
        verifier = self._accounts.get(account)
        if verifier is None or kind is None:
            await self._bodies.discard(receive)
            unknown = "no account of this name is set up here" if kind is not None else "nothing is here"
            await _refuse(send, RefusedError(404, "unknown", unknown))
            return
        if method != "POST":
            text = f"This address is right: HappyFox delivers for the account {account} here, by POST.\n"
            await _answer(send, 200, text.encode() if method == "GET" else b"", _TEXT)
            return
        try:
            arrival = await self._arrival(scope, receive, verifier, kind)
            accepted = await self._commit.store(account, arrival)
        except RefusedError as refusal:
            self._commit.refuse(account, refusal.reason)
            await _refuse(send, refusal)
        except DisconnectedError:
            self._commit.refuse(account, "truncated")
        except StoreUnavailable as error:
            self._commit.refuse(account, "not-stored")
            await _refuse(send, RefusedError(503, "not-stored", str(error), _LATER))
        else:
            body = f'{{"status":"{accepted.status}","event":"{accepted.event}"}}'
            await _answer(send, 200, body.encode(), _JSON)

    async def _arrival(self, scope: Scope, receive: Receive, verifier: Verifier, kind: Kind) -> Arrival:
        """Reads and verifies a delivery; nothing of it is parsed before its signature is right."""
        signature: bytes | None = None
        content_type = b""
        kept: list[tuple[bytes, bytes]] = []
        signatures = 0
        for name, value in scope["headers"]:
            if name == _SIGNATURE:
                signature = value
                signatures += 1
            elif name in _KEPT or name.startswith(_OWN):
                kept.append((name, value))
                if name == b"content-type":
                    content_type = value
            elif name == b"content-length" and int(value) > LIMIT:
                await self._bodies.discard(receive)
                raise RefusedError(*_TOO_LARGE)
        try:
            body = await self._bodies.read(receive)
        except TooLargeError:
            raise RefusedError(*_TOO_LARGE) from None
        except CrowdedError:
            raise RefusedError(503, "crowded", "too many large bodies are on their way", _LATER) from None
        except TooSlowError:
            raise RefusedError(408, "slow", "the body did not arrive in time", _CLOSE) from None
        if signatures != 1:
            reason = "no-signature" if not signatures else "two-signatures"
            raise RefusedError(401, reason, f"the header {HEADER} has to be there exactly once")
        if not verifier(signature, body):
            raise RefusedError(401, "bad-signature", "the signature fits no webhook secret of this account")
        headers = _headers(tuple(kept))
        try:
            return arrival_of(parse(body, content_type.decode("latin-1"), kind), body, headers)
        except Unreadable as error:
            return unreadable(error.reason, body, headers)
        except Exception as error:
            # A delivery we cannot read by a fault of ours is not lost either. Its text may be a customer's.
            _log.error("a delivery could not be read", extra={"error": type(error).__name__})
            return unreadable("unexpected", body, headers)


@lru_cache(1024)
def _headers(kept: tuple[tuple[bytes, bytes], ...]) -> str:
    """Writes headers as JSON; the same few come with almost every delivery."""
    pairs = {name.decode("latin-1"): value.decode("latin-1") for name, value in kept}
    return msgspec.json.encode(pairs).decode()


async def _refuse(send: Send, refusal: RefusedError) -> None:
    body = msgspec.json.encode({"error": refusal.sentence})
    await _answer(send, refusal.status, body, _JSON, *refusal.headers)


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
