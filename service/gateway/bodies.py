"""Read the body of a client's request: its members decide which permissions the request needs.

The bytes are passed on as they came, so HappyFox reads them again. Whatever two programs could read differently is
refused: repeated members, other encodings, other types of content.
"""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from mmap import mmap
from typing import Any, Final
from urllib.parse import parse_qsl

from workers.happyfox.buffer import PIECE, Buffer
from workers.happyfox.http import MOST_UPLOADED
from workers.happyfox.messages import File, RawBody

#: Largest body without files, and largest body: the files and what a form needs around them.
MOST_BYTES: Final = 5 * 1024 * 1024
MOST_WITH_FILES: Final = MOST_UPLOADED + 1024 * 1024

JSON, URLENCODED, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"

_MOST_PARTS: Final = 200
_CHARSET: Final = re.compile(r'charset="?utf-?8"?', re.IGNORECASE)
_BOUNDARY: Final = re.compile(r"boundary=(?:\"([0-9A-Za-z'()+_,./:=? -]{1,70})\"|([0-9A-Za-z'+_.-]{1,70}))")
_DISPOSITION: Final = re.compile(rb'form-data; ?name="([\w-]{1,60})"(?:; ?filename="([^"\r\n\\]*)")?')
_DEPTH: Final = 20


class BadBody(Exception):
    """A body cannot be read in one way only; nothing was sent. ``status`` is that of the answer."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


def most_bytes(content_type: str) -> int:
    """Return how many bytes a body of this type may have."""
    return MOST_WITH_FILES if _media(content_type) == MULTIPART else MOST_BYTES


def read_body(content_type: str, buffer: Buffer) -> tuple[Any, tuple[File, ...], RawBody | None]:
    """Return the members of a body, its files without their content, and the body as it is sent."""
    if not buffer.length:
        return None, (), None
    media, raw = _media(content_type), RawBody(content_type, buffer.content)
    parameters = content_type.partition(";")[2].strip()
    if media == MULTIPART:
        with buffer.view() as body:
            members, files = _multipart(parameters, body)
        return members, files, raw
    if parameters and not _CHARSET.fullmatch(parameters):
        raise BadBody("the Content-Type has parameters other than charset=utf-8")
    if media == JSON:
        return _json(buffer.read()), (), raw
    if media == URLENCODED:
        return _form(buffer.read()), (), raw
    raise BadBody(f"send the body as {JSON}, {URLENCODED} or {MULTIPART}", 415)


def digest(content_type: str, buffer: Buffer) -> bytes:
    """Return a digest of a body; it is the same if a form is sent again with another boundary."""
    found = sha256(_media(content_type).encode())
    if _media(content_type) != MULTIPART:
        found.update(buffer.read())
        return found.digest()
    boundary = _BOUNDARY.fullmatch(content_type.partition(";")[2].strip())
    assert boundary  # `read_body` has checked it
    with buffer.view() as body:
        for name, filename, begin, end in _parts(body, (boundary[1] or boundary[2]).encode()):
            found.update(repr((name, filename, end - begin)).encode())
            for at in range(begin, end, PIECE):
                found.update(body[at : min(at + PIECE, end)])
    return found.digest()


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _json(body: bytes) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise BadBody("the JSON repeats a member")
        return found

    def no_number(name: str) -> Any:
        raise BadBody(f"the JSON contains {name}, which is no number in JSON")

    try:
        content = json.loads(body.decode("utf-8"), object_pairs_hook=members, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise BadBody("the body is not JSON in UTF-8") from None
    if not isinstance(content, dict | list) or _is_deeper(content, _DEPTH):
        raise BadBody("the body is not a JSON object or list")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    """Return whether the content has more levels; it is not followed further down."""
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return levels < 1 or any(_is_deeper(each, levels - 1) for each in values)


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise BadBody("the body is not a form in UTF-8") from None
    return _joined(pairs)


#: Members that a form may repeat, because their value is a list: multiple choices, ids.
_REPEATED: Final = re.compile(r"(?:t-cf|c-cf|ccf)-\d+|data|contacts|ticket_attachments|contact_ids|contact_group_ids")


def _joined(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name not in members:
            members[name] = value
        elif not _REPEATED.fullmatch(name):
            raise BadBody("the form repeats a member")
        else:
            before = members[name]
            members[name] = [*(before if isinstance(before, list) else [before]), value]
    return members


def _multipart(parameters: str, body: bytes | mmap) -> tuple[dict[str, Any], tuple[File, ...]]:
    found = _BOUNDARY.fullmatch(parameters)
    if not found:
        raise BadBody("the Content-Type of a form has a boundary and nothing else")
    pairs: list[tuple[str, str]] = []
    files: list[File] = []
    total = words = 0
    for name, filename, begin, end in _parts(body, (found[1] or found[2]).encode()):
        if filename is not None:
            total += end - begin
            files.append(File(filename, member=name))
            continue
        words += end - begin
        if words > MOST_BYTES:
            raise BadBody(f"the form has more than {MOST_BYTES:,} bytes besides its files; nothing was sent", 413)
        try:
            pairs.append((name, body[begin:end].decode("utf-8")))
        except UnicodeDecodeError:
            raise BadBody("a member of the form is not UTF-8") from None
    if total > MOST_UPLOADED:
        raise BadBody(f"the files have {total:,} bytes in total, but HappyFox accepts {MOST_UPLOADED:,}", 413)
    members = _joined(pairs)
    if any(each.member in members for each in files):
        raise BadBody("the form repeats a member")
    return members, tuple(files)


def _parts(body: bytes | mmap, boundary: bytes) -> Iterator[tuple[str, str | None, int, int]]:
    """Yield the name and file name of each part of a form, and where its content begins and ends."""
    first, between = b"--" + boundary + b"\r\n", b"\r\n--" + boundary
    if body[: len(first)] != first:
        raise BadBody("the form does not begin with its boundary")
    at, count = len(first), 0
    while True:
        count += 1
        head_ends, part_ends = body.find(b"\r\n\r\n", at), body.find(between, at)
        if head_ends < 0 or part_ends < head_ends or head_ends - at > 2_000 or count > _MOST_PARTS:
            raise BadBody("the form cannot be read")
        name, filename = _head(body[at:head_ends])
        yield name, filename, head_ends + 4, max(part_ends, head_ends + 4)
        at = part_ends + len(between)
        if body[at : at + 2] == b"--":
            if body[at + 2 : at + 5] not in (b"", b"\r\n"):
                raise BadBody("something follows the end of the form")
            return
        if body[at : at + 2] != b"\r\n":
            raise BadBody("the form contains its boundary")
        at += 2


def _head(head: bytes) -> tuple[str, str | None]:
    """Return the name and the file name of a part; only these two headers are allowed."""
    name, filename, seen = "", None, set[bytes]()
    for line in head.split(b"\r\n"):
        header, colon, value = line.partition(b":")
        header = header.lower()
        if not colon or header in seen or header not in (b"content-disposition", b"content-type"):
            raise BadBody("a part of the form has another header than Content-Disposition and Content-Type")
        seen.add(header)
        if header == b"content-disposition":
            found = _DISPOSITION.fullmatch(value.strip())
            if not found:
                raise BadBody("a part of the form has a Content-Disposition that can be read in several ways")
            name, filename = found[1].decode(), found[2].decode("utf-8", "replace") if found[2] is not None else None
    if not name:
        raise BadBody("a part of the form has no name")
    return name, filename
