"""Request bodies as HappyFox takes them: JSON, form-urlencoded, multipart (tickets article)."""

from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs

import msgspec


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart body."""

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
    return msgspec.json.decode(body), ()


def _multipart(content_type: str, body: bytes) -> tuple[Any, tuple[Upload, ...]]:
    head = b"Content-Type: " + content_type.encode("ascii", "replace") + b"\r\n\r\n"
    whole = BytesParser(policy=HTTP).parsebytes(head + body)
    if not whole.is_multipart():
        raise ValueError("The multipart body has no boundary or no parts.")
    members: dict[str, list[Any]] = {}
    uploads: list[Upload] = []
    for part in whole.iter_parts():
        name = str(part.get_param("name", header="content-disposition") or "")
        content = _content(part)
        filename = part.get_filename()
        if filename is None:
            members.setdefault(name, []).append(content.decode("utf-8"))
        else:
            uploads.append(Upload(name, filename, part.get_content_type(), content))
    return {name: _single(values) for name, values in members.items()}, tuple(uploads)


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
