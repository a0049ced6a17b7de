"""Decode the body of a delivery: JSON, a form, or a damaged form of either.

Two passes. The first accepts what HappyFox should send. The second is for signed bodies that the first one refuses
although a person can read them: control characters inside texts, other encodings, endless integers, JSON inside quotes
or in a list of one. Both take time and memory in proportion to the body.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from workers.errors import FoxhooksError

Reason = Literal[
    "empty",
    "compressed",
    "not-utf-8",
    "not-json",
    "too-deep",
    "not-an-object",
    "bad-form",
    "no-ticket-number",
    "bad-ticket-number",
    "two-ticket-numbers",
    "other-account",
    "other-help-desk",
]

#: What each reason means, and what to do.
REASONS: Final[Mapping[str, str]] = {
    "empty": "the body is empty; check the proxy in front of foxhooks",
    "compressed": "the body is compressed; let the sender or the proxy send it as it is",
    "not-utf-8": "the body is not UTF-8",
    "not-json": "the body is no JSON",
    "too-deep": "the JSON is nested too deep",
    "not-an-object": "the JSON is no object",
    "bad-form": "the body is a form without JSON in a field payload, data or json",
    "no-ticket-number": "nothing in the body is a ticket number",
    "bad-ticket-number": "what should be the ticket number is no number in range",
    "two-ticket-numbers": "the body names two tickets, so nobody knows which one to act on",
    "other-account": "the link leads to the HappyFox of another account: correct the URL of that webhook in HappyFox",
    "other-help-desk": (
        "the link leads to another help desk than before; if it is right, forget the learned host with "
        "`foxhooks webhooks --forget-host` and replay the delivery"
    ),
    "unexpected": "a bug in foxhooks; the log shows it",
}

Object = dict[str, Any]

#: The most fields of a form that are read.
MOST_FIELDS: Final = 200
#: The largest body (bytes) that gets the second pass, which takes up to half a second for it.
MOST_BYTES: Final = 1024 * 1024
#: How many names of keys are shown, and how many levels of nested objects.
MOST_NAMES, MOST_LEVELS = 100, 4
#: How often a text inside quotes or a list of one is unwrapped.
MOST_WRAPPINGS: Final = 3

_JSON_FIELDS: Final = frozenset({"payload", "data", "json"})
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
#: No number of a ticket or an update, and too long for Python's conversion in linear time.
_ENDLESS: Final = re.compile(r"(?<![0-9])[0-9]{1000,}")


class UnreadableBody(FoxhooksError):
    """A body is unreadable, names no ticket, or contradicts itself; ``reason`` quotes none of it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def decode(body: bytes, content_type: str) -> Object:
    """Decode a body that is a JSON object, or a form with one in a field.

    The content type counts only if the bytes are ambiguous. Raise UnreadableBody if there is no such object.
    """
    text = body.removeprefix(_BOM).strip()
    if not text:
        raise UnreadableBody("empty")
    if text.startswith(_GZIP):
        raise UnreadableBody("compressed")
    if not text.startswith(b"{"):
        field = _json_field(_form_fields(text, "strict"))
        if field is not None:
            text = field.encode()
        elif "form" in content_type.lower():
            raise UnreadableBody("bad-form")
    value = _json(text)
    if not isinstance(value, dict):
        raise UnreadableBody("not-an-object")
    return value


def decode_leniently(body: bytes) -> Object | None:
    """Decode what `decode` refuses, as far as a ticket number can be read; None if there is no object."""
    if len(body) > MOST_BYTES:
        return None
    try:
        text = body.decode(json.detect_encoding(body), "replace").removeprefix("\ufeff").strip(" \t\r\n\0")
        fields = {} if text.startswith(("{", "[", '"')) else _form_fields(text.encode(errors="replace"), "replace")
        field = _json_field(fields)
        value = _loads(field or text) if field or not fields else fields
        for _ in range(MOST_WRAPPINGS):
            if isinstance(value, str):
                value = _loads(value)
            elif isinstance(value, list) and len(value) == 1:
                (value,) = value
        return value if isinstance(value, dict) else None
    except (ValueError, RecursionError, MemoryError):
        return None


def key_names(body: bytes, content_type: str) -> list[str]:
    """Return the names of the keys in a body, such as ``ticket.id``, at most 100; they describe its form."""
    try:
        found: Object | None = decode(body, content_type)
    except UnreadableBody:
        found = decode_leniently(body)
    return list(islice(_names(found or {}, "", MOST_LEVELS), MOST_NAMES))


def _names(value: object, prefix: str, levels: int) -> Iterator[str]:
    if isinstance(value, list) and value:
        yield from _names(value[0], f"{prefix.removesuffix('.')}[].", levels)
    elif isinstance(value, dict) and levels:
        for name, member in value.items():
            shown = f"{prefix}{name[:40]}"
            yield shown
            yield from _names(member, f"{shown}.", levels - 1)


def _loads(text: str) -> Any:
    return json.loads(_ENDLESS.sub("0", text), strict=False)


def _form_fields(text: bytes, errors: str) -> dict[str, str]:
    """Return the fields of a URL-encoded form; none if it is not one or has too many."""
    try:
        return dict(parse_qsl(text.decode(), errors=errors, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _json_field(fields: dict[str, str]) -> str | None:
    return next((value for name, value in fields.items() if name in _JSON_FIELDS), None)


def _json(text: bytes) -> object:
    """Decode JSON with the fast decoder, then with Python's more tolerant one.

    A contact's text may contain half a surrogate pair, which strict decoders refuse; no event may be lost to that.
    """
    reason: Reason
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        reason = "too-deep"
    except ValueError:
        try:
            return json.loads(text.decode())
        except UnicodeDecodeError:
            reason = "not-utf-8"
        except RecursionError:
            reason = "too-deep"
        except ValueError:
            reason = "not-json"
    # Raise outside the except blocks: the decoder's own error would carry the whole payload along.
    raise UnreadableBody(reason)
