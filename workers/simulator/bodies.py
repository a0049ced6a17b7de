"""Request bodies as HappyFox takes them: JSON, form-urlencoded, multipart (tickets article)."""

import re
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

_PARAMETER: Final = re.compile(r';\s*([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart body, byte for byte."""

    field: str
    filename: str
    content_type: str
    content: bytes


def parse(content_type: str, body: bytes) -> tuple[Any, tuple[Upload, ...]]:
    """The body's members and files. A member that is repeated in a form becomes a list.

    An empty body is no members. Raises ValueError with the reason for a body that cannot be read.
    """
    media = content_type.partition(";")[0].strip().lower()
    if not body:
        return {}, ()
    if media == "multipart/form-data":
        return _multipart(content_type, body)
    if media == "application/x-www-form-urlencoded":
        pairs = parse_qs(body.decode("utf-8"), keep_blank_values=True)
        return {name: _single(values) for name, values in pairs.items()}, ()
    try:
        return msgspec.json.decode(body), ()
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def _multipart(content_type: str, body: bytes) -> tuple[Any, tuple[Upload, ...]]:
    boundary = _boundary(content_type)
    if not boundary:
        raise ValueError("The multipart body has no boundary.")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts or not parts.pop().startswith(b"--"):
        raise ValueError("The multipart body ends before its last boundary.")
    members: dict[str, list[Any]] = {}
    uploads: list[Upload] = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        headers = _headers(head)
        disposition = _parameters(headers.get("content-disposition", ""))
        name, filename = disposition.get("name", ""), disposition.get("filename")
        if filename is None:
            members.setdefault(name, []).append(content.decode("utf-8"))
        else:
            uploads.append(Upload(name, filename, headers.get("content-type", "application/octet-stream"), content))
    return {name: _single(values) for name, values in members.items()}, tuple(uploads)


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_param("boundary") or "").encode("utf-8", "replace")


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("utf-8").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


def _parameters(disposition: str) -> dict[str, str]:
    """The parameters of a Content-Disposition, with quotes and line ends escaped as browsers do."""
    found = {}
    for name, quoted, bare in _PARAMETER.findall(disposition):
        value = quoted.replace('\\"', '"').replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n") or bare
        if name == "filename*":
            name, value = "filename", unquote(value.rpartition("'")[2])
        found[name] = value
    return found


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
