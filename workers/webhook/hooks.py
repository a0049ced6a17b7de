"""Calls of other systems: check who sent one, and find its ticket.

A hook's secret proves the sender in one of three ways:

- the signature of Standard Webhooks (standardwebhooks.com): ``webhook-id``, ``webhook-timestamp``,
  ``webhook-signature``, with a tolerance of five minutes;
- HMAC-SHA256 of the raw body, in hexadecimal digits or base64, with or without ``sha256=`` before it;
- ``Authorization: Bearer SECRET``, for systems that cannot sign.
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from workers.webhook.bodies import UnreadableBody
from workers.webhook.delivery import ticket_number

#: The headers that contain the HMAC of a body, besides the one that a hook names.
HMAC_HEADERS: Final = ("x-hub-signature-256", "x-hub-signature", "x-signature")

#: The headers that contain the id of a message, which is the same when it is sent again.
ID_HEADERS: Final = ("webhook-id", "idempotency-key", "x-github-delivery", "x-atlassian-webhook-identifier")

#: The largest body in bytes: its data becomes a part of the turn.
MOST_BYTES: Final = 256 * 1024

#: Seconds by which the time of a signed message may differ from ours.
TOLERANCE: Final = 300

#: The members of a body that name the ticket, the most specific first.
TICKET_KEYS: Final = ("ticket", "ticket_id", "ticket_number", "display_id")

_DATA: Final = msgspec.json.Decoder()
_PREFIX: Final = "whsec_"


class HookVerifier:
    """Check that a request was sent by whoever knows one of a hook's secrets; ``header`` has the HMAC of its body."""

    def __init__(self, secrets: Sequence[str], header: str = "") -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._keys = [key for secret in secrets for key in _keys(secret)]
        self._hmac_headers = tuple(dict.fromkeys((*([header.lower()] if header else []), *HMAC_HEADERS)))

    def proofs(self, headers: Mapping[str, str]) -> list[str]:
        """Return the headers that may prove the sender; nothing is read of a body without one."""
        return [name for name in ("webhook-signature", *self._hmac_headers, "authorization") if name in headers]

    def __call__(self, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """Return whether the headers, by their names in lower case, prove the sender; ``now`` in Unix seconds."""
        if "webhook-signature" in headers:
            return self._is_standard(headers, body, now)
        for name in self._hmac_headers:
            if name in headers:
                return self._is_hmac(headers[name], body)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode()
        return scheme.lower() == "bearer" and any(hmac.compare_digest(given, secret) for secret in self._secrets)

    def _is_standard(self, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp[:16])) > TOLERANCE:
            return False
        signed = f"{identity}.{timestamp}.".encode() + body
        expected = [b64encode(hmac.digest(key, signed, "sha256")) for key in self._keys]
        given = [each[3:].encode() for each in headers["webhook-signature"].split() if each.startswith("v1,")]
        return any(hmac.compare_digest(one, other) for one in given for other in expected)

    def _is_hmac(self, text: str, body: bytes) -> bool:
        digest = _digest(text.strip())
        matches = [hmac.compare_digest(hmac.digest(key, body, "sha256"), digest) for key in self._secrets]
        return bool(digest) and any(matches)


def _keys(secret: str) -> list[bytes]:
    """Return the keys that a secret of Standard Webhooks may stand for: its base64 form decoded, or the text."""
    try:
        decoded = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return [secret.encode()]
    return [decoded, secret.encode()] if decoded else [secret.encode()]


def _digest(text: str) -> bytes:
    """Return the 32 bytes of a signature, or nothing if it is none."""
    text = text.removeprefix("sha256=")
    try:
        found = bytes.fromhex(text) if len(text) == 64 else b64decode(text.encode(), validate=True)
    except (ValueError, UnicodeEncodeError):
        return b""
    return found if len(found) == 32 else b""


def read_hook(body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the ticket number and the JSON object of a body; raise UnreadableBody if it has none."""
    try:
        data = _DATA.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableBody("not-json") from None
    if not isinstance(data, dict):
        raise UnreadableBody("not-an-object")
    named = [data[key] for key in TICKET_KEYS if data.get(key) not in (None, "")]
    if not named:
        raise UnreadableBody("no-ticket-number")
    found = named[0]
    if isinstance(found, dict):
        found = next((found[key] for key in ("id", "number", "display_id") if found.get(key) not in (None, "")), None)
    if (number := ticket_number(found)) is None:
        raise UnreadableBody("bad-ticket-number")
    return number, data


def event_id(*parts: str) -> str:
    """Return the id of the event for a message that has an id of its own: equal for equal parts."""
    return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:20]
