"""The hooks endpoint: other systems call it about a ticket, and its handlers get what they sent.

A call takes the same way as HappyFox's deliveries: the same limits of connections, time and memory, the same batches,
and an answer once it is durable. Its data becomes a part of the turn, so its body must be smaller.
"""

import logging
import re
import time
from collections.abc import Container, Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from service.web.endpoint import (
    TEXT,
    BodyReader,
    DisconnectedError,
    RejectedError,
    answer,
    reject,
    store_and_answer,
    too_large,
)
from service.web.writer import GroupCommit
from workers.store.inbox import Arrival, receive_hook, unreadable
from workers.store.lanes import HOOK
from workers.webhook import UnreadableBody
from workers.webhook.hooks import ID_HEADERS, MOST_BYTES, HookVerifier, event_id, read_hook

_is_router: Final = re.compile(r"[a-z][a-z0-9-]*").fullmatch

_log = logging.getLogger(__name__)


class HookEndpoint:
    """Receive the calls of other systems, each with the verifier of its hook."""

    def __init__(
        self, verifiers: Mapping[str, HookVerifier], accounts: Container[str], commit: GroupCommit, bodies: BodyReader
    ) -> None:
        self._verifiers, self._accounts, self._commit, self._bodies = verifiers, accounts, commit, bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, (account, router, name) = scope["method"], _parts(scope)
        known = account in self._accounts and name in self._verifiers and _is_router(router) is not None
        if method not in ("POST", "GET", "HEAD"):
            rejected = RejectedError(405, "method", "call hooks with POST", (b"allow", b"GET, HEAD, POST"))
            await reject(send, rejected)
        elif not known:
            await reject(send, RejectedError(404, "unknown", "there is no such hook here"))
        elif method == "POST":
            await self._take(account, router, name, scope, receive, send)
        else:
            text = f"This URL is correct. Call it with POST and the secret of the hook {name}.\n"
            await answer(send, 200, text.encode() if method == "GET" else b"", TEXT)

    async def _take(self, account: str, router: str, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, store and answer one call; count it if it is rejected."""
        began = time.perf_counter()
        try:
            arrival = await self._receive(account, router, name, scope, receive)
            await store_and_answer(self._commit, account, arrival, send, began)
        except RejectedError as rejected:
            self._commit.count_refused(account, f"hook-{rejected.reason}")
            await reject(send, rejected)
        except DisconnectedError:
            self._commit.count_refused(account, "hook-truncated")

    async def _receive(self, account: str, router: str, name: str, scope: Scope, receive: Receive) -> Arrival:
        """Read a call and check its secret; parse nothing before that."""
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        verifier = self._verifiers[name]
        proofs = verifier.proofs(headers)
        if not proofs:
            raise RejectedError(
                401, "no-secret", "sign the body with the secret of the hook, or send it as bearer token"
            )
        if proofs == ["authorization"] and not verifier(headers, b"", time.time()):
            raise _bad_secret()  # the body proves nothing
        if int(headers.get("content-length", 0)) > MOST_BYTES:
            raise too_large(MOST_BYTES)
        body = await self._bodies.read(receive, MOST_BYTES)
        if not verifier(headers, body, time.time()):
            raise _bad_secret()
        try:
            ticket, _ = read_hook(body)
        except UnreadableBody as error:
            return unreadable(error.reason, body, source=HOOK, kind=HOOK)
        except Exception as error:  # noqa: BLE001 - our own mistake must not lose a call
            # Log the type alone: the text may quote a customer.
            _log.error("could not read a hook; it is in quarantine", extra={"error": type(error).__name__})
            return unreadable("unexpected", body, source=HOOK, kind=HOOK)
        message = next((headers[each] for each in ID_HEADERS if headers.get(each)), "")
        identity = event_id(account, router, name, str(ticket), message) if message else ""
        return receive_hook(ticket, router, name, body, id=identity)


def _parts(scope: Scope) -> tuple[str, str, str]:
    params = scope["path_params"]
    return params["account"], params["router"], params["name"].removesuffix("/")


def _bad_secret() -> RejectedError:
    return RejectedError(401, "bad-secret", "this is not the secret of the hook, or the time stamp is old")
