"""Requests with their bodies, responses, and the log of API calls."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

RATE_LIMITED: Final = {"error": "Rate limit exceeded"}
"""The body of a 429. HappyFox does not document it."""
MULTIPART: Final = "multipart/form-data"
URLENCODED: Final = "application/x-www-form-urlencoded"
_PARAMETER: Final = re.compile(r';\s*([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')


def overload_message(seconds: float) -> str:
    """Return the body of the 503 that the older API sends (legacy developer page)."""
    return f"You have exceeded the limit. Wait for {seconds:g} seconds."


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request as it arrived."""

    method: str
    path: str
    _: KW_ONLY
    query: str = ""
    """The raw query string, without question mark."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header names are lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One HTTP response, and how to send it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    _: KW_ONLY
    wait: float = 0.0
    """Seconds to wait before sending."""
    cut: bool = False
    """Close the connection instead of sending."""
    pace: float = 0.0
    """Seconds per byte of the body; 0 sends it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """One entry of the call log. Times are epoch seconds."""

    number: int
    method: str
    path: str
    query: str
    arrived: float
    ticket: int | None = None
    body: Any = None
    files: tuple[str, ...] = ()
    counted: bool = False
    """The call passed the rate limit."""
    overlapped: bool = False
    """Another write to the same ticket was in progress."""
    applied: bool = False
    """A write took effect."""
    fault: str | None = None
    status: int | None = None
    """None while the call is in progress. The intended status if a fault kept the response from the client."""
    answered: float | None = None


class CallLog(list[LoggedCall]):
    """All calls in order of arrival. At twice `keep` entries, the older half is dropped."""

    def __init__(self, keep: int) -> None:
        super().__init__()
        self.keep = keep
        self.dropped = 0

    def open(self, call: LoggedCall) -> None:
        """Append a call that has begun."""
        if len(self) >= 2 * self.keep:
            del self[: self.keep]
            self.dropped += self.keep
        self.append(call)

    def close(self, call: LoggedCall) -> None:
        """Replace the entry of a call with its current state."""
        index = call.number - self.dropped - 1
        if index >= 0:
            self[index] = call

    @property
    def next_number(self) -> int:
        """Return the number of the next call; the first is 1."""
        return self.dropped + len(self) + 1

    def fork(self) -> "CallLog":
        """Return an independent copy."""
        other = CallLog(self.keep)
        other.extend(self)
        other.dropped = self.dropped
        return other


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart body, byte for byte."""

    field: str
    filename: str
    content_type: str
    content: bytes


def is_form(content_type: str) -> bool:
    """Return whether a body is a form, whose values are texts."""
    return _media(content_type) in (MULTIPART, URLENCODED)


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def parse_body(content_type: str, body: bytes) -> tuple[Any, tuple[Upload, ...]]:
    """Return the members and files of a body: JSON, form-urlencoded or multipart.

    A repeated member of a form becomes a list. An empty body has no members. Raise ValueError if the body cannot be
    read.
    """
    media = _media(content_type)
    if not body:
        return {}, ()
    if media == MULTIPART:
        return _multipart(content_type, body)
    if media == URLENCODED:
        pairs = parse_qs(body.decode("utf-8"), keep_blank_values=True)
        return {name: _single(values) for name, values in pairs.items()}, ()
    try:
        return msgspec.json.decode(body), ()
    except RecursionError:
        raise ValueError("The body is nested too deeply.") from None


def _multipart(content_type: str, body: bytes) -> tuple[Any, tuple[Upload, ...]]:
    header = Message()
    header["Content-Type"] = content_type
    boundary = str(header.get_param("boundary") or "").encode("utf-8", "replace")
    if not boundary:
        raise ValueError("The multipart body has no boundary.")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts or not parts.pop().startswith(b"--"):
        raise ValueError("The multipart body ends before its last boundary.")
    members: dict[str, list[Any]] = {}
    uploads: list[Upload] = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode("utf-8").split("\r\n"))
        headers = {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
        disposition = _parameters(headers.get("content-disposition", ""))
        name, filename = disposition.get("name", ""), disposition.get("filename")
        if filename is None:
            members.setdefault(name, []).append(content.decode("utf-8"))
        else:
            uploads.append(Upload(name, filename, headers.get("content-type", "application/octet-stream"), content))
    return {name: _single(values) for name, values in members.items()}, tuple(uploads)


def _parameters(disposition: str) -> dict[str, str]:
    """Return the parameters of a Content-Disposition, which browsers escape in their own way."""
    found = {}
    for name, quoted, unquoted in _PARAMETER.findall(disposition):
        value = quoted.replace('\\"', '"').replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n") or unquoted
        if name == "filename*":
            found["filename"] = unquote(value.rpartition("'")[2])
        else:
            found[name] = value
    return found


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
