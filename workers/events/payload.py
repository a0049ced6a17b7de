"""Turns the raw body of a delivery into a JSON object, or says in one fixed word why that cannot be done."""

import json
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from workers.errors import FoxhooksError

Reason = Literal[
    "empty",
    "not-utf-8",
    "not-json",
    "too-deep",
    "not-an-object",
    "bad-form",
    "no-ticket-number",
    "bad-ticket-number",
]

_FORM_FIELDS: Final = frozenset({"payload", "data", "json"})


class Unreadable(FoxhooksError):
    """A delivery's body names no ticket. ``reason`` is one of a few fixed words, never text of the body."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def decode(body: bytes, content_type: str) -> dict[str, Any]:
    """Decodes the JSON object in a body that is JSON, or a form with JSON in one field.

    The content type is believed only where the bytes do not speak for themselves. Raises Unreadable.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise Unreadable("empty")
    if not text.startswith(b"{"):
        field = _form_field(text)
        if field is not None:
            text = field
        elif "form" in content_type.lower():
            raise Unreadable("bad-form")
    value = _json(text)
    if not isinstance(value, dict):
        raise Unreadable("not-an-object")
    return value


def _form_field(text: bytes) -> bytes | None:
    """Finds the field of a URL-encoded form that holds JSON, or None when this is no such form."""
    try:
        fields = parse_qsl(text.decode(), errors="strict", max_num_fields=20)
    except ValueError:
        return None
    return next((value.encode() for name, value in fields if name in _FORM_FIELDS), None)


def _json(text: bytes) -> object:
    """Decodes JSON fast, and where that fails as tolerantly as Python can.

    A contact's words may hold half a surrogate pair, which strict decoders refuse; that must cost no event.
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
    # Raised out here, because the decoder's own error would carry the whole payload along.
    raise Unreadable(reason)
